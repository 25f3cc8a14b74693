// The profiles: lines with bands. No toolbar of plotly's, which would lie on the points: buttons stand above each chart.
const config = { displaylogo: false, responsive: true, displayModeBar: false, doubleClick: "reset" };
// On paper a chart has the width of its place, whatever the window was; on a screen it follows the window.
const printing = () => root.classList.contains("printing");
const size = (id) => (printing() ? { width: $(id).clientWidth, height: $(id).clientHeight } : { autosize: true });
const wrapped = (text, width) => text.split(" ").reduce(([...lines], word) => {
  if (lines.length && (lines.at(-1) + word).length < width) lines.push(lines.pop() + " " + word); else lines.push(word);
  return lines;
}, []).map(escaped).join("<br>");
const axisTitle = (id, text) => ({ text: wrapped(text, Math.max(16, ($(id).clientWidth - 66) / (printing() ? 5.5 : 7.2))), standoff: 8 });
const layout = (id, x, y) => {
  const style = getComputedStyle(document.body), ink = isDark() ? "#e6e9ee" : "#1b1f24";
  const line = isDark() ? "#343a44" : "#d9dde2";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  return {
    ...size(id),
    font: { family: style.fontFamily, color: ink, size: printing() ? 9.5 : 12.5 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 12, t: 8, b: 48 },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, tickformat: ".0%", ...y },
    hoverlabel: { bgcolor: isDark() ? "#1d2128" : "#ffffff", bordercolor: line, font: { color: ink }, align: "left" },
    hovermode: "closest", showlegend: false, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
};

function hoverTexts(chart, line, training) {
  const doubt = chart.axis === "epsilon" && chart.id === "robustness" && training.verdict !== "sound" ? ` ${training.verdict.toUpperCase()}` : "";
  const at = (rate, i) => told([rate.y[i], rate.low[i], rate.high[i]]);
  return line.x.map((_, i) => [
    `<b>${escaped(training.name)}</b>${doubt}`,
    `${chart.axis} = ${line.values[i]}`,
    `stay: ${at(line.rate, i)}`,
    ...(line.floor ? [`floor: ${percent(line.floor[i])} %`] : []),
    ...(line.accuracy ? [`right: ${at(line.accuracy, i)}`] : []),
  ].join("<br>"));
}

function chartTraces(chart) {
  const bands = [], lines = [], floors = [];
  for (const line of chart.lines) {
    const training = trainings[line.training], hue = colour(training), values = line[state.measure];
    const visible = state.shown[line.training] && values !== null, name = escaped(training.name);
    const { y, low, high } = values || { y: [], low: [], high: [] };
    bands.push({
      x: [...line.x, ...[...line.x].reverse()], y: [...high, ...[...low].reverse()],
      fill: "toself", fillcolor: clear(hue, 0.14), line: { width: 0 }, mode: "lines", hoverinfo: "skip", visible, showlegend: false,
    });
    const open = chart.id === "robustness" && hollow(training);
    const floor = state.measure === "rate" && line.floor;
    if (floor) {
      floors.push({ x: line.x, y: floor, mode: "lines", line: { color: hue, dash: "dot", width: 1.2 }, opacity: 0.8, hoverinfo: "skip", visible, showlegend: false });
    }
    lines.push({
      x: line.x, y, mode: "lines+markers", name, visible,
      line: { color: hue, dash: training.dash, width: 2 },
      marker: { symbol: training.marker + (open ? "-open" : ""), size: 7, color: hue },
      text: hoverTexts(chart, line, training), hovertemplate: "%{text}<extra></extra>",
    });
  }
  return [...bands, ...lines, ...floors];
}

// Ticks of an epsilon axis: values that were measured, written as people write them, as many as there is room for.
function epsilonTicks(chart, width) {
  const values = new Map(chart.lines.flatMap((line) => line.x.map((x, i) => [x, line.values[i]])));
  const sorted = [...values].sort(([a], [b]) => a - b), last = sorted.at(-1)[0] || 1;
  const longest = Math.max(...sorted.map(([, text]) => text.length));
  const apart = (last * (longest * 8 + 6)) / Math.max(width - 80, 80), kept = [];
  for (const [x, text] of sorted) if (!kept.length || x - kept.at(-1)[0] >= apart) kept.push([x, text]);
  return { tickvals: kept.map(([x]) => x), ticktext: kept.map(([, text]) => text) };
}

function chartLayout(chart) {
  const id = "chart-" + chart.id, degrees = chart.axis === "theta" && /degrees/.test(chart.label);
  const ticks = chart.axis === "epsilon" ? epsilonTicks(chart, $(id).clientWidth) : degrees && chart.lines[0].x.at(-1) > 60 ? { dtick: 30 } : {};
  const x = { title: axisTitle(id, chart.label), ...ticks };
  const y = { title: { text: state.measure === "rate" ? "predictions that stay" : "predictions that are right" }, range: [-0.03, 1.03] };
  return layout(id, x, y);
}

const drawChart = (chart) => Plotly.react("chart-" + chart.id, chartTraces(chart), chartLayout(chart), config);
