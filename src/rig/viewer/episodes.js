/* The episodes: their table of results, their list with its filters, and who else played the same. */
const outcome = (of) => (of.success ? "✓ success" : "✗ failed");
const mark = (of) => {
  const [sign, ...word] = outcome(of);
  return span(of.success ? "good" : "bad", sign, span("hidden", word.join("")));
};
const verdict = (of) => span(of.success ? "good" : "bad", outcome(of));
const cell = (of) => `${of.task} · ${of.setting}`;
const player = (of) => (of.way === of.actor ? of.way : `${of.way} · ${of.actor}`);
const option = (value, text) => make("option", { value }, text);

const share = (score) => (score ? `${score[0]} of ${score[1]}` : "–");
const row = (tag, ...values) => make("tr", {}, ...values.map((value, index) => {
  const node = make(index ? tag : "th", {}, value);
  if (!index || tag === "th") node.scope = index || tag === "th" ? "col" : "row";
  return node;
}));
/* A name breaks behind its underscores rather than within a word. */
const breakable = (name) => span("", ...name.split(/(?<=[_/])/).flatMap((part) => [part, make("wbr")]));
const drawResults = ({ ways, cells, ways_left, cells_left }) => {
  const steps = make("span", { title: "in the mean, of the episodes on this page" }, "Steps");
  filled(at("scores"), [
    make("thead", {}, row("th", "Played by", "Success", steps)),
    filled(make("tbody"), ways.map((way) =>
      row("td", way.name, share([way.successes, way.episodes]), way.steps === null ? "–" : number(way.steps)))),
  ]);
  at("scores-left").hidden = !ways_left;
  filled(at("scores-left"), absent(ways_left, "ways"));
  at("by-task").hidden = cells.length < 2;
  filled(at("cells"), [
    make("thead", {}, row("th", "Task", ...ways.map((way) => way.name))),
    filled(make("tbody"), cells.map((each) => row("td", breakable(each.name), ...each.scores.map(share)))),
  ]);
  at("by-task").append(...absent(cells_left, "tasks"));
};

/* Who played the same task and seed: the first episode of each way. */
const MOST_BESIDE = 8;
const start = (of) => JSON.stringify([of.environment, of.task, of.setting, of.seed]);
const starts = grouped(trace.episodes.keys(), (index) => start(trace.episodes[index]));
const ofSameStart = (index) => {
  const ways = new Map([[trace.episodes[index].way, index]]);
  for (const other of starts.get(start(trace.episodes[index]))) {
    if (!ways.has(trace.episodes[other].way)) ways.set(trace.episodes[other].way, other);
    if (ways.size === MOST_BESIDE) break;
  }
  return [...ways.values()].sort((one, other) => one - other);
};
/* The last shown step of `of` that is not behind this place in the episode. */
const stepAt = (of, position) => {
  let low = 0, high = of.steps.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (of.steps[middle].position <= position) low = middle; else high = middle - 1;
  }
  return low;
};

const listed = (of, index) => {
  const button = make("button", { type: "button" },
    make("strong", {}, `${index + 1}. ${of.task}`),
    span("row", span("player", player(of))),
    span("row", span("", `${of.setting} · seed ${of.seed}`), verdict(of)));
  button.dataset.episode = index;
  return make("li", {}, button);
};
/* The list holds a leaf of the episodes that the filters let through: a browser slows down with many rows. */
const LEAF = 100;
const visible = [];
let leaf = 0, current = null;
const turning = (to, count, word) => {
  const button = make("button", { type: "button", className: "more" }, `… ${counted(count)} ${word}`);
  button.addEventListener("click", () => { drawList(to); at("list").scrollTop = 0; });
  return make("li", {}, button);
};
const drawList = (to) => {
  const last = Math.max(0, Math.ceil(visible.length / LEAF) - 1);
  leaf = Math.min(Math.max(0, to), last);
  const from = leaf * LEAF, shown = visible.slice(from, from + LEAF);
  filled(at("list"), [
    ...(leaf > 0 ? [turning(leaf - 1, from, "earlier")] : []),
    ...shown.map((index) => listed(trace.episodes[index], index)),
    ...(leaf < last ? [turning(leaf + 1, visible.length - from - LEAF, "more")] : []),
  ]);
  markCurrent();
};
const markCurrent = () => {
  current?.setAttribute("aria-current", "false");
  current = at("list").querySelector(`[data-episode="${state.episode}"]`);
  current?.setAttribute("aria-current", "true");
};
/* As scrollIntoView does it, but for the list alone: the page itself stays where it is. */
const reveal = () => {
  const position = visible.indexOf(state.episode);
  if (position >= 0 && Math.floor(position / LEAF) !== leaf) drawList(Math.floor(position / LEAF));
  markCurrent();
  if (!current) return;
  const list = at("list"), outer = list.getBoundingClientRect(), inner = current.getBoundingClientRect();
  if (inner.top < outer.top) list.scrollTop += inner.top - outer.top;
  if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
};
const words = trace.episodes.map((of, index) =>
  [`${index + 1}. ${of.task}`, of.way, of.actor, of.setting, `seed ${of.seed}`, outcome(of)].join(" ").toLowerCase());
const MOST_OPTIONS = 300;
const choices = (select, every, of) => {
  const names = [...new Set(trace.episodes.map(of))];
  filled(select, [option("", every), ...names.slice(0, MOST_OPTIONS).map((name) => option(name, name))]);
  select.hidden = names.length < 2;
};
const drawFilters = () => {
  choices(at("by-way"), "every way of playing", (of) => of.way);
  choices(at("by-cell"), "every task", cell);
  filled(at("outcome"), [option("", "every outcome"), option("success", "success"), option("failed", "failed")]);
};
const filter = () => {
  const wanted = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [way, task, result] = ["by-way", "by-cell", "outcome"].map((id) => at(id).value);
  visible.length = 0;
  for (const [index, of] of trace.episodes.entries()) {
    const fits = (!way || of.way === way) && (!task || cell(of) === task) && outcome(of).includes(result)
      && wanted.every((word) => words[index].includes(word));
    if (fits) visible.push(index);
  }
  drawList(Math.floor(Math.max(0, visible.indexOf(state.episode)) / LEAF));
  const count = visible.length, of = trace.episodes.length;
  at("none").hidden = count > 0;
  at("tally").textContent = count === of ? `(${counted(of)})` : `(${counted(count)} of ${counted(of)})`;
};
