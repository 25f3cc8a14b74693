// Swatches, the events of the controls, and the start.
const DASHES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };
const SHAPES = {
  circle: "M19 2.5a4.5 4.5 0 1 0 .01 0", square: "M15 3h8v8h-8z", diamond: "M19 1.5l5.5 5.5-5.5 5.5-5.5-5.5z", "triangle-up": "M19 2l5 9h-10z",
  x: "M15 3l8 8m0-8l-8 8", cross: "M19 2v10m-5-5h10", star: "M19 1l2 4.5 4.5.5-3.5 3 1 4.5-4-2.5-4 2.5 1-4.5-3.5-3 4.5-.5z", pentagon: "M19 2l5 4-2 6h-6l-2-6z",
};
function drawSwatches() {
  for (const swatch of all("[data-style]")) {
    const { dash, marker, verdict, ...own } = trainings[swatch.dataset.style], hue = colour(own), point = swatch.classList.contains("point");
    const fill = hollow({ verdict }) ? "none" : hue;
    const line = point ? "" : `<path d="M0 7h38" stroke="${hue}" stroke-width="2" stroke-dasharray="${DASHES[dash]}"/>`;
    swatch.innerHTML = `<svg viewBox="${point ? "12 0 14 14" : "0 0 38 14"}" aria-hidden="true">${line}<path d="${SHAPES[marker]}" fill="${fill}" stroke="${hue}" stroke-width="2"/></svg>`;
  }
}

function follow() {
  drawPlane();
  sayPlane();
  fillModels();
  resortModels();
  drawSwatches();
}

function draw() {
  charts.forEach(drawChart);
  follow();
  $("theme").textContent = isDark() ? "Light" : "Dark";
}

const boxes = all("input[data-training]");
function setControls() {
  for (const name of ["theta", "epsilon"]) $(name).value = state[name];
  boxes.forEach((box) => { box.checked = state.shown[box.dataset.training]; });
  all("input[name=measure]").forEach((radio) => { radio.checked = radio.value === state.measure; });
}

for (const name of ["theta", "epsilon"]) {
  $(name).addEventListener("input", (event) => { state[name] = Number(event.target.value); follow(); changed(); });
}
const toggled = () => { boxes.forEach((box) => { state.shown[box.dataset.training] = box.checked; }); draw(); changed(); };
boxes.forEach((box) => box.addEventListener("change", toggled));
for (const [id, on] of [["all", true], ["none", false]]) {
  $(id).addEventListener("click", () => { boxes.forEach((box) => { box.checked = on; }); toggled(); });
}
all("input[name=measure]").forEach((radio) => radio.addEventListener("change", () => { state.measure = radio.value; charts.forEach(drawChart); changed(); }));
$("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; draw(); });
media.addEventListener("change", draw);
addEventListener("hashchange", () => {
  const name = location.hash.slice(1);
  if (name && !name.includes("=") && !name.includes("&") && $(name)) { section = name; remember(); return; } // a link of this page
  recall();
  setControls();
  draw();
});

let before;
addEventListener("beforeprint", () => {
  before = { theme: root.dataset.theme, open: all("details.example").map((one) => one.open) };
  root.dataset.theme = "light";
  root.classList.add("printing");
  all("details.example").forEach((one) => { one.open = true; });
  draw();
});
addEventListener("afterprint", () => {
  root.classList.remove("printing");
  if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
  all("details.example").forEach((one, i) => { one.open = before.open[i]; });
  draw();
});

all(".control").forEach((control) => { control.hidden = false; });
recall();
setControls();
draw();
if (section) $(decoded(section)).scrollIntoView();
