/* The page: where it is, how it gets elsewhere, and what it keeps in its address. */
const episode = () => trace.episodes[state.episode];
const place = (step) => {
  const count = episode().steps.length, whole = episode().length;
  const thinned = whole > count ? ` (step ${step.position + 1} of ${whole} in the episode)` : "";
  return `Step ${state.step + 1} of ${count}${thinned}`;
};

/* At most some 2,000 points: of every stretch the lowest and the highest, and the last of all. */
const points = (values) => {
  const size = Math.max(1, Math.ceil(values.length / 1000)), kept = [];
  for (let start = 0; start < values.length; start += size) {
    let low = start, high = start;
    for (let index = start; index < Math.min(values.length, start + size); index += 1) {
      if (values[index] < values[low]) low = index;
      if (values[index] > values[high]) high = index;
    }
    kept.push(...new Set([Math.min(low, high), Math.max(low, high)]));
  }
  if (kept.at(-1) !== values.length - 1) kept.push(values.length - 1);
  return kept;
};
const drawChart = (of) => {
  const last = Math.max(1, of.steps.length - 1), kept = points(of.progress);
  let low = Math.min(0, of.final), high = Math.max(0, of.final);
  for (const value of of.progress) { low = Math.min(low, value); high = Math.max(high, value); }
  const x = (index) => (1000 * index) / last, y = (value) => 97 - (90 * (value - low)) / (high - low || 1);
  const steps = kept.map((index) => `H${x(index)}V${y(of.progress[index])}`).join("");
  const curve = `M0 ${y(of.progress[0])}${steps}V${y(of.final)}`;
  const turns = new Set();
  of.steps.forEach((step, index) => { if (isTurn(step)) turns.add(Math.round(x(index))); });
  const marks = [...turns].map((where) => `M${where} 86V100`).join("");
  document.querySelector("#chart svg").replaceChildren(svg("path", { class: "area", d: `${curve}V100H0Z` }),
    svg("path", { d: curve }), svg("path", { class: "marks", d: marks }));
  at("end").textContent = outcome(of)[0];
  at("end").className = of.success ? "good" : "bad";
  at("end").style.top = y(of.final) + "%";
};

let same = [];
const otherWay = (index) => make("button", { type: "button", value: String(index) }, trace.episodes[index].way, " ",
  mark(trace.episodes[index]));
const drawEpisode = () => {
  const of = episode();
  at("task").textContent = cell(of);
  at("badge").textContent = outcome(of);
  at("badge").className = "badge " + (of.success ? "good" : "bad");
  at("way").textContent = player(of);
  at("origin").textContent =
    `${of.environment} · seed ${of.seed} · ${of.samples} samples · ${of.id} · ${of.stage} by ${of.actor}`;
  at("slider").max = of.steps.length;
  drawChart(of);
  same = ofSameStart(state.episode);
  at("switch").hidden = at("beside").hidden = same.length < 2;
  at("way").hidden = same.length > 1;
  filled(at("switch"), same.map(otherWay));
  for (const button of at("switch").children) {
    button.setAttribute("aria-pressed", String(Number(button.value) === state.episode));
  }
  reveal();
};
const drawBeside = (position) => {
  filled(at("others"), (same.length < 2 ? [] : same).map((index) => {
    const of = trace.episodes[index], step = of.steps[stepAt(of, position)];
    const ended = position >= of.length ? ", where it ended" : "";
    return make("article", { className: "other" + (index === state.episode ? " here" : "") },
      make("h3", {}, of.way, " ", mark(of)),
      picture(step.frame, `Step ${step.position + 1} of ${of.length}${ended}`, ""), code(step.action));
  }));
};
const drawStep = () => {
  const of = episode(), step = of.steps[state.step], last = of.steps.length - 1;
  drawMoment(step);
  drawBeside(step.position);
  at("counter").textContent = place(step);
  const reward = step.reward ? `, reward ${number(step.reward)}` : "";
  at("progress").textContent =
    `${of.measure} ${number(of.progress[state.step])}${reward} (${number(of.final)} at the end)`;
  at("slider").value = state.step + 1;
  at("slider").setAttribute("aria-valuetext", place(step));
  at("cursor").style.left = (last ? (100 * state.step) / last : 0) + "%";
  at("back").disabled = state.step === 0;
  at("on").disabled = state.step === last;
  if (!state.timer) at("live").textContent = `${place(step)}, action ${step.action}`;
  rememberSoon();
};

const go = (index, step) => {
  const next = Math.min(Math.max(index, 0), trace.episodes.length - 1);
  const moved = next !== state.episode || !same.length;
  state.episode = next;
  state.step = Math.min(Math.max(step, 0), episode().steps.length - 1);
  if (moved) drawEpisode();
  drawStep();
};
const neighbour = (direction) => {
  const listed = visible.filter((index) => (index - state.episode) * direction > 0);
  if (listed.length) { pause(); go(direction > 0 ? listed[0] : listed.at(-1), 0); }
};
const switchTo = (index) => go(index, stepAt(trace.episodes[index], episode().steps[state.step].position));
const nextWay = () => {
  if (same.length > 1) switchTo(same[(same.indexOf(state.episode) + 1) % same.length]);
};
const nextChanged = () => {
  const found = episode().steps.findIndex((step, index) => index > state.step && isTurn(step));
  if (found >= 0) go(state.episode, found);
};

const showPlaying = () => { at("play").textContent = state.timer ? "Pause" : "Play"; };
const pause = () => { clearTimeout(state.timer); state.timer = 0; showPlaying(); };
const tick = () => {
  go(state.episode, state.step + 1);
  if (state.step >= episode().steps.length - 1) { pause(); drawStep(); } else later();
};
const later = () => { state.timer = setTimeout(tick, 1000 / Number(at("speed").value)); };
const play = () => {
  if (state.timer) { pause(); drawStep(); return; }
  if (state.step >= episode().steps.length - 1) go(state.episode, 0);
  later();
  showPlaying();
};
const toggleDifference = () => {
  const focused = document.activeElement === at("difference");
  state.difference = !state.difference;
  drawStep();
  if (focused) at("difference")?.focus();
};

/* Browsers limit how often a page may change its address: it is written when the scrubbing rests. */
let resting = 0;
const rememberSoon = () => {
  clearTimeout(resting);
  resting = setTimeout(() => history.replaceState(null, "", `#${state.episode + 1}/${state.step + 1}`), 200);
};
const recall = () => {
  const found = /^#(\d+)\/(\d+)$/.exec(location.hash);
  go(...(found ? [Number(found[1]) - 1, Number(found[2]) - 1] : trace.first));
};

const KEYS = {
  ArrowLeft: () => { pause(); go(state.episode, state.step - 1); },
  ArrowRight: () => { pause(); go(state.episode, state.step + 1); },
  Home: () => { pause(); go(state.episode, 0); },
  End: () => { pause(); go(state.episode, episode().steps.length - 1); },
  " ": play,
  "[": () => neighbour(-1),
  "]": () => neighbour(1),
  w: nextWay,
  r: nextChanged,
  d: toggleDifference,
  "?": () => at("help").showModal(),
};
const onKey = (event) => {
  const target = event.target, altGraph = event.getModifierState("AltGraph");
  if (at("help").open || event.metaKey || ((event.ctrlKey || event.altKey) && !altGraph)) return;
  if (target.matches("select, input:not([type=range])")) return;
  if (event.key === " " && target.matches("button, summary")) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
};
/* A button clicked with the mouse lets go of the focus, so that Space plays instead of clicking it again. */
const onClick = (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (event.detail) button.blur();
  if (button.id === "difference") toggleDifference();
  if (button.dataset.episode) { pause(); go(Number(button.dataset.episode), 0); }
  if (button.parentNode === at("switch")) switchTo(Number(button.value));
};
const onSlide = () => { pause(); go(state.episode, Number(at("slider").value) - 1); };
const onChart = (event) => {
  const box = at("chart").getBoundingClientRect();
  pause();
  go(state.episode, Math.round(((event.clientX - box.left) / box.width) * (episode().steps.length - 1)));
};

at("title").textContent = trace.title;
at("about").hidden = !trace.meta.length;
filled(at("meta"), trace.meta.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, ...flat(value))]));
drawResults(trace.results);
drawFilters();
filter();
const wide = matchMedia("(min-width: 62.01rem)");
const unfold = () => { at("episodes").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();
document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
addEventListener("hashchange", recall);
at("search").addEventListener("input", filter);
for (const id of ["by-way", "by-cell", "outcome"]) at(id).addEventListener("change", filter);
at("slider").addEventListener("input", onSlide);
at("chart").addEventListener("click", onChart);
for (const [id, act] of [["back", KEYS.ArrowLeft], ["on", KEYS.ArrowRight], ["play", play], ["help-open", KEYS["?"]]]) {
  at(id).addEventListener("click", act);
}
recall();
