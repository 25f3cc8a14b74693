"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { trainings, plane } = data;
  const charts = [...data.profiles, ...data.beside];
  const state = { theta: plane.theta, epsilon: plane.epsilon, measure: "rate", shown: trainings.map(() => true) };
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const percent = (share) => (100 * share).toFixed(1) + " %";
  const interval = (low, high) => `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); // plotly reads tags
  const media = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const isDark = () => (root.dataset.theme || (media.matches ? "dark" : "light")) === "dark";
  const colour = (training) => (isDark() ? training.dark : training.light);
  const hollow = (training) => ["masked", "constant", "weak"].includes(training.verdict);
  const clear = (hex, alpha) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;

  const config = { displaylogo: false, responsive: true, displayModeBar: "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  // On paper a chart has the width of its place, whatever the window was; on a screen it follows the window.
  const printing = () => root.classList.contains("printing");
  const size = (id) => (printing() ? { width: $(id).clientWidth, height: $(id).clientHeight } : { autosize: true });
  const wrapped = (text, width) => text.split(" ").reduce(([...lines], word) => {
    if (lines.length && (lines.at(-1) + word).length < width) lines.push(lines.pop() + " " + word); else lines.push(word);
    return lines;
  }, []).map(escaped).join("<br>");
  const axisTitle = (id, text) => ({ text: wrapped(text, Math.max(16, ($(id).clientWidth - 66) / (printing() ? 5.5 : 7.2))), standoff: 8 });
  const layout = (id, x, y) => {
    const style = getComputedStyle(document.body);
    const line = isDark() ? "#343a44" : "#d9dde2";
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    return {
      ...size(id),
      font: { family: style.fontFamily, color: style.color, size: printing() ? 9.5 : 12.5 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 52, r: 12, t: 12, b: 48 },
      xaxis: { ...axis, ...x }, yaxis: { ...axis, tickformat: ".0%", ...y },
      hoverlabel: { bgcolor: isDark() ? "#1d2128" : "#ffffff", bordercolor: line, font: { color: style.color }, align: "left" },
      hovermode: "closest", showlegend: false, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    };
  };

  function chartTraces(chart) {
    const bands = [], lines = [], floors = [];
    for (const line of chart.lines) {
      const training = trainings[line.training], hue = colour(training), values = line[state.measure], other = line.accuracy;
      const visible = state.shown[line.training];
      bands.push({
        x: [...line.x, ...[...line.x].reverse()], y: [...values.high, ...[...values.low].reverse()],
        fill: "toself", fillcolor: clear(hue, 0.14), line: { width: 0 }, mode: "lines", hoverinfo: "skip", visible,
      });
      const attacked = chart.id === "robustness", open = attacked && hollow(training);
      const floor = state.measure === "rate" && line.floor;
      if (floor) {
        floors.push({ x: line.x, y: floor, mode: "lines", line: { color: hue, dash: "dot", width: 1.2 }, opacity: 0.8, hoverinfo: "skip", visible });
      }
      lines.push({
        x: line.x, y: values.y, mode: "lines+markers", name: escaped(training.name), visible,
        line: { color: hue, dash: training.dash, width: 2 },
        marker: { symbol: training.marker + (open ? "-open" : ""), size: 7, color: hue },
        text: line.x.map((x, i) => [
          `<b>${escaped(training.name)}</b>${attacked && training.verdict !== "sound" ? " " + training.verdict.toUpperCase() : ""}`,
          `${chart.axis} = ${chart.ticks ? chart.ticks[i] : x}`,
          `stay: ${percent(line.rate.y[i])} (${interval(line.rate.low[i], line.rate.high[i])})`,
          ...(line.floor ? [`floor: ${percent(line.floor[i])}`] : []),
          `right: ${percent(other.y[i])} (${interval(other.low[i], other.high[i])})`,
        ].join("<br>")),
        hovertemplate: "%{text}<extra></extra>",
      });
    }
    return [...bands, ...lines, ...floors];
  }

  function drawChart(chart) {
    const degrees = chart.axis === "theta" && /degrees/.test(chart.label) && chart.lines[0].x.at(-1) > 60;
    const id = "chart-" + chart.id;
    const x = { title: axisTitle(id, chart.label), ...(degrees ? { dtick: 30 } : {}) };
    const y = { title: { text: state.measure === "rate" ? "predictions that stay" : "predictions that are right" }, range: [-0.03, 1.03] };
    Plotly.react(id, chartTraces(chart), layout(id, x, y), config);
  }

  const statuses = () => plane.statuses[`${state.theta},${state.epsilon}`];
  const place = (k) => [plane.invariance[k][state.theta], plane.robustness[k][state.epsilon]];
  const shownEpsilon = () => plane.shownEpsilons[state.epsilon];

  function planeTraces() {
    const line = plane.lines[`${state.theta},${state.epsilon}`].map(place);
    const status = statuses();
    const front = {
      x: line.map(([inv]) => inv[0]), y: line.map(([, rob]) => rob[0]), mode: "lines", hoverinfo: "skip",
      line: { color: isDark() ? "#8a94a3" : "#7b838d", dash: "dash", width: 1.5 }, name: "front of the estimates",
    };
    const below = trainings.map((training, k) => {
      const [inv, rob] = place(k), floor = plane.floors[k][state.epsilon];
      const shown = floor !== null && plane.believed[k];
      return {
        x: shown ? [inv[0], inv[0]] : [], y: shown ? [floor, rob[1]] : [], mode: "lines", hoverinfo: "skip", visible: state.shown[k],
        line: { color: clear(colour(training), 0.4), width: 5 }, name: "floor",
      };
    });
    return [front, ...trainings.map((training, k) => {
      const [inv, rob] = place(k), hue = colour(training), believed = plane.believed[k], note = plane.notes[`${state.theta},${state.epsilon}`][k];
      const bars = (share) => ({
        type: "data", symmetric: false, array: [share[2] - share[0]], arrayminus: [share[0] - share[1]], color: hue, thickness: 1.4, width: 0,
      });
      const accuracy = plane.accuracy[k];
      return {
        x: [inv[0]], y: [rob[0]], error_x: bars(inv), error_y: bars(rob), mode: "markers", visible: state.shown[k],
        name: escaped(training.name), opacity: status[k] === "dominated" ? 0.45 : 1,
        marker: {
          symbol: training.marker + (hollow(training) ? "-open" : ""), color: hue, size: status[k] === "front" ? 14 : 11,
          line: { width: status[k] === "front" ? 2.5 : 1, color: status[k] === "front" ? (isDark() ? "#ffffff" : "#000000") : hue },
        },
        text: [[
          `<b>${escaped(training.name)}</b>`, `invariance: ${percent(inv[0])} (${interval(inv[1], inv[2])})`,
          `robustness: ${percent(rob[0])} (${interval(rob[1], rob[2])})`,
          ...(accuracy ? [`accuracy: ${percent(accuracy[0])} (${interval(accuracy[1], accuracy[2])})`] : []),
          ...(plane.floors[k][state.epsilon] === null || training.verdict === "masked" ? [] : [`floor: ${percent(plane.floors[k][state.epsilon])}`]),
          believed ? status[k] + (note && `: it is ${note}`) : `${training.verdict}: takes no part`,
        ].join("<br>")],
        hovertemplate: "%{text}<extra></extra>",
      };
    }), ...below];
  }

  function drawPlane() {
    const theta = plane.thetas[state.theta];
    const span = { range: [-0.03, 1.03] };
    const x = { title: axisTitle("chart-plane", `rate of invariance, angles in [-${theta}, ${theta}]`), tickformat: ".0%", ...span };
    const y = { title: { text: `robustness, epsilon = ${shownEpsilon()} (${plane.norm})` }, ...span };
    const move = { duration: still.matches ? 0 : 200, easing: "cubic-in-out" };
    Plotly.react("chart-plane", planeTraces(), { ...layout("chart-plane", x, y), transition: printing() ? { duration: 0 } : move }, config);
  }

  function sayPlane() {
    const degrees = `${plane.thetas[state.theta]}°`;
    $("theta-value").textContent = degrees;
    $("epsilon-value").textContent = shownEpsilon();
    $("theta").setAttribute("aria-valuetext", degrees);
    $("epsilon").setAttribute("aria-valuetext", shownEpsilon());
    const notes = plane.notes[`${state.theta},${state.epsilon}`];
    const by = { front: [], undecided: [], dominated: [], excluded: [] };
    statuses().forEach((status, k) => state.shown[k] && by[status].push(trainings[k].name + (notes[k] && ` (${notes[k]})`)));
    const lines = Object.entries(by).filter(([, names]) => names.length).map(([status, names]) => `${status}: ${names.join("; ")}`);
    $("plane-text").replaceChildren(...[`At theta = ${degrees}, epsilon = ${shownEpsilon()}:`, ...lines].map((text) => {
      const line = document.createElement("span");
      line.textContent = text + " ";
      return line;
    }));
    for (const span of all("[data-place]")) span.textContent = span.dataset.place === "theta" ? degrees : shownEpsilon();
    for (const table of all(".heat")) {
      const at = table.dataset.kind === "invariance" ? state.theta : state.epsilon;
      for (const row of table.querySelectorAll("tbody tr")) {
        data.classes[table.dataset.kind][row.dataset.training].forEach((values, i) => {
          if (!values) return;
          const cell = row.querySelectorAll("td")[i];
          cell.textContent = (100 * values[at]).toFixed(0);
          cell.style.setProperty("--share", values[at]);
        });
      }
    }
  }

  const DASHES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };
  const SHAPES = {
    circle: "M19 2.5a4.5 4.5 0 1 0 .01 0", square: "M15 3h8v8h-8z", diamond: "M19 1.5l5.5 5.5-5.5 5.5-5.5-5.5z", "triangle-up": "M19 2l5 9h-10z",
    x: "M15 3l8 8m0-8l-8 8", cross: "M19 2v10m-5-5h10", star: "M19 1l2 4.5 4.5.5-3.5 3 1 4.5-4-2.5-4 2.5 1-4.5-3.5-3 4.5-.5z", pentagon: "M19 2l5 4-2 6h-6l-2-6z",
  };
  function drawSwatches() {
    for (const swatch of all("[data-style]")) {
      const { dash, marker, verdict, ...own } = trainings[swatch.dataset.style], hue = colour(own);
      const fill = hollow({ verdict }) ? "none" : hue;
      swatch.innerHTML = `<svg viewBox="0 0 38 14" aria-hidden="true"><path d="M0 7h38" stroke="${hue}" stroke-width="2" stroke-dasharray="${DASHES[dash]}"/><path d="${SHAPES[marker]}" fill="${fill}" stroke="${hue}" stroke-width="2"/></svg>`;
    }
  }

  function draw() {
    charts.forEach(drawChart);
    drawPlane();
    sayPlane();
    drawSwatches();
    $("theme").textContent = isDark() ? "Light" : "Dark";
  }

  for (const name of ["theta", "epsilon"]) {
    $(name).addEventListener("input", (event) => { state[name] = Number(event.target.value); drawPlane(); sayPlane(); });
    state[name] = Number($(name).value); // a reloaded page keeps its sliders
  }
  const boxes = all("input[data-training]");
  const toggled = () => { boxes.forEach((box) => { state.shown[box.dataset.training] = box.checked; }); draw(); };
  boxes.forEach((box) => box.addEventListener("change", toggled));
  for (const [id, on] of [["all", true], ["none", false]]) {
    $(id).addEventListener("click", () => { boxes.forEach((box) => { box.checked = on; }); toggled(); });
  }
  all("input[name=measure]").forEach((radio) => radio.addEventListener("change", () => { state.measure = radio.value; charts.forEach(drawChart); }));
  $("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; draw(); });
  media.addEventListener("change", draw);

  for (const table of all("table.sortable")) {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "ascending" : "descending");
        const value = (row) => { const cell = row.cells[column]; return cell.dataset.value ? Number(cell.dataset.value) : cell.textContent.trim(); };
        const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(value(a), value(b)) * (down ? 1 : -1));
        table.tBodies[0].append(...rows);
      });
    });
  }

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
  boxes.forEach((box) => { state.shown[box.dataset.training] = box.checked; });
  draw();
})();
