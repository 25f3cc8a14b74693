// What all parts share: the data, the state of the page, and how values are written.
const data = JSON.parse(document.getElementById("data").textContent);
const { trainings, plane } = data;
const charts = [...data.profiles, ...data.beside];
const state = { theta: plane.theta, epsilon: plane.epsilon, measure: "rate", shown: trainings.map(() => true), sort: null };
const root = document.documentElement;
const $ = (id) => document.getElementById(id);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

const TENTH = 1e9; // a tenth of a percent, in units of 1e-12
// As `percent` in invrob/intervals.py, step by step: one decimal, ties to the even side.
function percent(share) {
  const units = Math.floor(Math.abs(share) * 1e12 + 0.5), rest = units % TENTH;
  let tenths = (units - rest) / TENTH;
  if (rest * 2 > TENTH || (rest * 2 === TENTH && tenths % 2 === 1)) tenths += 1;
  return `${share < 0 && tenths ? "-" : ""}${Math.floor(tenths / 10)}.${tenths % 10}`;
}
const interval = (low, high) => `${percent(low)} to ${percent(high)}`;
const told = ([estimate, low, high]) => `${percent(estimate)} % (${interval(low, high)})`;
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); // plotly reads tags
const element = (tag, text, ...inside) => {
  const made = document.createElement(tag);
  made.append(...(text ? [text] : []), ...inside);
  return made;
};

const media = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let onPaper = false; // while a chart is drawn for a file, which is light
const isDark = () => !onPaper && (root.dataset.theme || (media.matches ? "dark" : "light")) === "dark";
const colour = (training) => (isDark() ? training.dark : training.light);
const hollow = (training) => ["masked", "constant", "weak"].includes(training.verdict);
const clear = (hex, alpha) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;

const here = () => plane.places[`${state.theta},${state.epsilon}`];
const place = (k) => [plane.invariance[k][state.theta], plane.robustness[k][state.epsilon]];
const floorOf = (k) => (trainings[k].verdict === "masked" ? null : plane.floors[k][state.epsilon]);
const shownTheta = () => plane.shownThetas[state.theta];
const shownEpsilon = () => plane.shownEpsilons[state.epsilon];
