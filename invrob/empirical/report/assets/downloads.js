// Files that are made in the page: tables as CSV, charts as SVG. Nothing is fetched.
function save(name, text, type) {
  const link = element("a"), address = URL.createObjectURL(new Blob([text], { type }));
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// A spreadsheet takes what begins with one of these characters for a formula.
const quoted = (value) => {
  const text = String(value), safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
};
const csv = (rows) => rows.map((row) => row.map(quoted).join(",") + "\r\n").join("");
const triple = (share) => (share ? share.map(percent) : ["", "", ""]);
const fileName = (what) => `${document.body.dataset.file}-${what}`;

function modelsAsCsv() {
  const { standings } = here(), parts = ["accuracy", "invariance", "robustness"];
  const head = ["model", "theta", "epsilon", ...parts.flatMap((name) => [`${name} in %`, `${name} from`, `${name} to`]), "floor in %", "attack", "standing"];
  const rows = [...models.tBodies[0].rows].map((row) => Number(row.dataset.training)).filter((k) => state.shown[k]).map((k) => {
    const cells = modelCells(k), floor = floorOf(k);
    return [
      trainings[k].name, plane.thetas[state.theta], shownEpsilon(), ...parts.flatMap((name) => triple(cells[name])),
      floor === null ? "" : percent(floor), trainings[k].verdict, STANDINGS[standings[k]],
    ];
  });
  return csv([head, ...rows]);
}

function chartAsCsv(chart) {
  const lines = chart.lines.filter((line) => state.shown[line.training]);
  const rows = lines.flatMap((line) => line.x.map((_, i) => [
    trainings[line.training].name, line.values[i],
    ...[line.rate, line.accuracy].flatMap((rate) => triple(rate && [rate.y[i], rate.low[i], rate.high[i]])),
    line.floor ? percent(line.floor[i]) : "",
  ]));
  return csv([["model", chart.axis, "stay in %", "stay from", "stay to", "right in %", "right from", "right to", "floor in %"], ...rows]);
}

// A chart as a file has its title and its legend inside, and is light.
async function chartAsSvg(id) {
  const chart = charts.find((one) => "chart-" + one.id === id);
  onPaper = true;
  const traces = chart ? chartTraces(chart) : planeTraces(), lines = chart ? chartLayout(chart) : planeLayout();
  onPaper = false;
  const title = chart ? chart.title : "The trade-off plane";
  const file = {
    data: traces,
    layout: {
      ...lines, autosize: false, width: 900, height: 480, title: { text: escaped(title), x: 0.02, xanchor: "left" }, paper_bgcolor: "#ffffff",
      margin: { l: 70, r: 20, t: 48, b: 60 }, showlegend: true, legend: { x: 1.02, y: 1, xanchor: "left" }, transition: { duration: 0 },
    },
  };
  const uri = await Plotly.toImage(file, { format: "svg", width: 900, height: 480 });
  return decodeURIComponent(uri.slice(uri.indexOf(",") + 1));
}

for (const button of all("[data-svg]")) {
  button.addEventListener("click", async () => save(fileName(`${button.dataset.svg}.svg`), await chartAsSvg("chart-" + button.dataset.svg), "image/svg+xml"));
}
for (const button of all("[data-csv]")) {
  button.addEventListener("click", () => {
    const name = button.dataset.csv, chart = charts.find((one) => one.id === name);
    save(fileName(`${name}.csv`), chart ? chartAsCsv(chart) : modelsAsCsv(), "text/csv;charset=utf-8");
  });
}
