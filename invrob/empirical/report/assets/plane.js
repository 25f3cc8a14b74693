// The trade-off plane, and what follows its sliders.
const STANDINGS = Object.fromEntries(data.standings); // of a point, in words, the best first
const SIZES = { front: 15, estimated: 12 };

function planeTraces() {
  const { line, standings, notes } = here(), corners = line.map(place);
  const front = {
    x: corners.map(([inv]) => inv[0]), y: corners.map(([, rob]) => rob[0]), mode: "lines", hoverinfo: "skip",
    line: { color: isDark() ? "#8a94a3" : "#7b838d", dash: "dash", width: 1.5 }, name: "front of the estimates",
  };
  const below = trainings.map((training, k) => {
    const [inv, rob] = place(k), floor = floorOf(k), shown = floor !== null && plane.believed[k];
    return {
      x: shown ? [inv[0], inv[0]] : [], y: shown ? [floor, rob[1]] : [], mode: "lines", hoverinfo: "skip", visible: state.shown[k],
      line: { color: clear(colour(training), 0.4), width: 5 }, name: "floor", showlegend: false,
    };
  });
  return [front, ...trainings.map((training, k) => pointTrace(training, k, standings[k], notes[k])), ...below];
}

function pointTrace(training, k, standing, note) {
  const [inv, rob] = place(k), hue = colour(training), accuracy = plane.accuracy[k], floor = floorOf(k);
  const bars = (share) => ({
    type: "data", symmetric: false, array: [share[2] - share[0]], arrayminus: [share[0] - share[1]], color: hue, thickness: 1.4, width: 0,
  });
  const certain = standing === "front", rim = isDark() ? "#ffffff" : "#000000";
  return {
    x: [inv[0]], y: [rob[0]], error_x: bars(inv), error_y: bars(rob), mode: "markers", visible: state.shown[k],
    name: escaped(training.name), opacity: standing === "dominated" ? 0.45 : 1,
    marker: {
      symbol: training.marker + (hollow(training) ? "-open" : ""), color: hue, size: SIZES[standing] || 10,
      line: { width: certain ? 2.5 : standing === "estimated" ? 1.2 : 0.5, color: certain || standing === "estimated" ? rim : hue },
    },
    text: [[
      `<b>${escaped(training.name)}</b>`, `invariance: ${told(inv)}`, `robustness: ${told(rob)}`,
      ...(accuracy ? [`accuracy: ${told(accuracy)}`] : []),
      ...(floor === null ? [] : [`floor: ${percent(floor)} %`]),
      plane.believed[k] ? STANDINGS[standing] + (note && `: it is ${note}`) : `${training.verdict}: takes no part`,
    ].join("<br>")],
    hovertemplate: "%{text}<extra></extra>",
  };
}

function planeLayout() {
  const span = { range: [-0.03, 1.03] }, degrees = plane.change === "rotation";
  const where = degrees ? `angles in [-${shownTheta()}, ${shownTheta()}]` : `${plane.change}, ${shownTheta()}`;
  const x = { title: axisTitle("chart-plane", `rate of invariance, ${where}`), tickformat: ".0%", ...span };
  const y = { title: { text: `robustness, epsilon = ${shownEpsilon()} (${plane.norm})` }, ...span };
  const move = { duration: still.matches ? 0 : 200, easing: "cubic-in-out" };
  return { ...layout("chart-plane", x, y), transition: printing() ? { duration: 0 } : move };
}

const drawPlane = () => Plotly.react("chart-plane", planeTraces(), planeLayout(), config);

// The standings in words: the legend of the plane, with the marker of each model.
function standingLines() {
  const { standings, notes } = here(), lines = [];
  for (const [standing, text] of Object.entries(STANDINGS)) {
    const members = trainings.map((_, k) => k).filter((k) => state.shown[k] && standings[k] === standing);
    if (!members.length) continue;
    const names = members.flatMap((k, i) => {
      const name = trainings[k].name + (notes[k] && ` (${notes[k]})`) + (i < members.length - 1 ? "; " : "");
      const swatch = element("span");
      swatch.className = "swatch point";
      swatch.dataset.style = k;
      const whole = element("span", "", swatch, name);
      whole.className = "named";
      return [whole];
    });
    lines.push(element("span", "", element("b", `${text}: `), ...names));
  }
  return lines;
}

// Which pairs are undecided here, and how many images would probably decide each.
function pairLines() {
  const { pairs, morePairs } = here();
  const shown = pairs.filter(([a, b]) => state.shown[a] && state.shown[b]);
  return [
    ...shown.map(([a, b, answer]) => element("li", `${trainings[a].name} against ${trainings[b].name}: ${answer}`)),
    ...(morePairs ? [element("li", `and ${morePairs} more`)] : []),
  ];
}

function sayPlane() {
  for (const [name, text] of [["theta", shownTheta()], ["epsilon", shownEpsilon()]]) {
    $(`${name}-value`).textContent = text;
    $(name).setAttribute("aria-valuetext", text);
    for (const span of all(`[data-place=${name}]`)) span.textContent = text;
  }
  $("plane-text").replaceChildren(element("span", `At theta = ${shownTheta()}, epsilon = ${shownEpsilon()}:`), ...standingLines());
  const pairs = pairLines();
  $("pairs-list").replaceChildren(...pairs);
  $("pairs").hidden = !pairs.length;
  for (const table of all(".heat")) heatRows(table);
}

function heatRows(table) {
  const kind = table.dataset.kind, at = kind === "invariance" ? state.theta : state.epsilon;
  for (const row of all("tbody tr", table)) {
    data.classes[kind][row.dataset.training].forEach((values, i) => {
      if (!values) return;
      const cell = all("td", row)[i];
      cell.textContent = percent(values[at]);
      cell.style.setProperty("--share", values[at]);
    });
  }
}
