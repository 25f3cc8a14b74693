// The table of models, which follows the sliders, and the sorting of all tables.
const RANKS = Object.keys(STANDINGS);
const models = $("models");

function modelCells(k) {
  const [inv, rob] = place(k);
  return { accuracy: plane.accuracy[k], invariance: inv, robustness: rob };
}

function fillModels() {
  const { standings } = here();
  for (const row of models.tBodies[0].rows) {
    const k = Number(row.dataset.training), floor = floorOf(k);
    for (const [column, share] of Object.entries(modelCells(k))) {
      if (!share) continue;
      const cell = row.querySelector(`[data-column=${column}]`);
      cell.dataset.value = share[0];
      cell.replaceChildren(percent(share[0]), element("small", interval(share[1], share[2])));
    }
    const below = row.querySelector("[data-column=floor]"), standing = row.querySelector("[data-column=standing]");
    below.textContent = floor === null ? "-" : percent(floor);
    below.dataset.value = floor === null ? "" : floor;
    standing.textContent = trainings.length > 1 ? STANDINGS[standings[k]] : "the only one";
    standing.dataset.value = RANKS.indexOf(standings[k]);
    row.classList.toggle("unbelieved", !plane.believed[k]);
    row.hidden = !state.shown[k];
  }
}

// A sort keeps the order of equal rows, and has what was not measured at the end whichever way it goes.
function sorted(rows, column, down) {
  const value = (row) => {
    const { value: number } = row.cells[column].dataset;
    return number === undefined ? row.cells[column].textContent.trim() : number === "" ? null : Number(number);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  return [...rows].sort((one, two) => {
    const [a, b] = [value(one), value(two)];
    return a === null || b === null ? (a === null) - (b === null) : compare(a, b) * (down ? -1 : 1);
  });
}

// order: [column, whether it goes down], or null for the order that the table came with.
function sortTable(table, order) {
  const heads = all("thead th", table), body = table.tBodies[0];
  heads.forEach((head, column) => {
    if (order && order[0] === column) head.setAttribute("aria-sort", order[1] ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  body.append(...(order ? sorted(table.original, ...order) : table.original));
}

function resortModels() {
  sortTable(models, state.sort);
}

for (const table of all("table.sortable")) {
  table.original = [...table.tBodies[0].rows];
  all("thead th", table).forEach((head, column) => {
    const button = element("button", "", ...head.childNodes);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const order = [column, head.getAttribute("aria-sort") !== "descending"];
      if (table === models) { state.sort = order; resortModels(); changed(); } else sortTable(table, order);
    });
  });
}
