// The state of the page in its address, behind the #, so that a reload and whoever is sent the address see the same. No
// entry is added to the history, and a part that means nothing is passed over.
const PLACES = { theta: plane.thetas.map(String), epsilon: plane.shownEpsilons };
const columns = all("thead th", models).map((head) => head.dataset.sort);
let section = "";

function fragment() {
  const parts = section ? [section] : [];
  for (const [name, values] of Object.entries(PLACES)) {
    if (state[name] !== plane[name]) parts.push(`${name}=${encodeURIComponent(values[state[name]]).replace(/%2F/g, "/")}`);
  }
  const names = (shown) => trainings.filter((_, k) => state.shown[k] === shown).map((training) => encodeURIComponent(training.name));
  const hidden = names(false), left = names(true);
  if (hidden.length) parts.push(...(left.length && left.length < hidden.length ? left.map((name) => `only=${name}`) : hidden.map((name) => `without=${name}`)));
  if (state.measure !== "rate") parts.push(`measure=${state.measure}`);
  if (state.sort) parts.push(`sort=${state.sort[1] ? "-" : ""}${columns[state.sort[0]]}`);
  return parts.join("&");
}

function remember() {
  const text = fragment();
  try {
    history.replaceState(null, "", text ? `#${text}` : location.href.split("#")[0]);
  } catch { /* a page inside another one has no address of its own */ }
}
let timer;
// Browsers take so many changes of the address in so many seconds, and a slider that is drawn makes more.
function changed() {
  clearTimeout(timer);
  timer = setTimeout(remember, 150);
}
addEventListener("pagehide", remember);

const decoded = (text) => { try { return decodeURIComponent(text); } catch { return ""; } };
function recall() {
  const parts = location.hash.slice(1).split("&").filter(Boolean), given = { only: [], without: [] };
  section = parts.length && !parts[0].includes("=") && $(decoded(parts[0])) ? parts.shift() : "";
  for (const part of parts) {
    const [name, value] = [part.split("=")[0], decoded(part.slice(part.indexOf("=") + 1))];
    if (name in given && Array.isArray(given[name])) given[name].push(value); else given[name] = value;
  }
  for (const [name, values] of Object.entries(PLACES)) {
    const at = values.indexOf(given[name]);
    state[name] = at < 0 ? plane[name] : at;
  }
  const known = (names) => names.some((name) => trainings.some((training) => training.name === name));
  state.shown = trainings.map(({ name }) => (known(given.only) ? given.only.includes(name) : !given.without.includes(name)));
  state.measure = given.measure === "accuracy" ? "accuracy" : "rate";
  const column = columns.indexOf((given.sort || "").replace(/^-/, ""));
  state.sort = column < 0 ? null : [column, given.sort.startsWith("-")];
}
