/* Watch: what the agent sees, and what it thinks, as it thinks it. */
const watching = { state: null, thoughts: new Map() };

on("scene", (scene) => {
  drawScene(scene, "watch-frame");
  if (document.activeElement !== at("instruction")) at("instruction").value = scene.instruction;
});
on("state", (state) => {
  watching.state = state;
  at("run").textContent = state.runs ? "Pause" : "Run";
  at("take").textContent = state.by_keys ? "Hand back" : "Take over";
  at("watch-pad").hidden = !state.by_keys;
  at("planner").value = state.planner;
  at("who").textContent = state.by_keys ? "Your keys decide." : state.thinks ? "It thinks …"
    : state.decided ? "It has decided; Step does it." : state.runs ? "It plays." : "It waits.";
  offerEdits();
});
on("begun", () => {
  watching.thoughts.clear();
  at("mind").replaceChildren();
  at("edit").hidden = true;
  offerEdits();
});

/* A way is what one conversation says; those of forks stand beside each other. */
const wayOf = (way) => {
  const known = [...document.querySelectorAll(".way")].find((node) => node.dataset.way === way);
  if (known) return known;
  const node = box(way ? "way forked" : "way");
  node.dataset.way = way;
  if (!way) { at("mind").append(node); return node; }
  const fork = way.replace(/\.\d+$/, "");
  let ways = [...document.querySelectorAll(".ways")].find((each) => each.dataset.fork === fork);
  if (!ways) {
    ways = box("ways");
    ways.dataset.fork = fork;
    at("mind").append(ways);
  }
  ways.append(node);
  return node;
};
const blockOf = (told) => {
  const part = told.part === "dreaming" ? "dream" : told.part;
  const name = `${part} ${told.depth} ${told.review}`, way = wayOf(told.way);
  let block = [...way.children].find((node) => node.dataset.name === name);
  if (!block) {
    block = box(told.review ? "block review" : "block");
    block.dataset.name = name;
    block.dataset.part = part;
    way.append(block);
  }
  return block;
};
const TITLES = { thought: "Thought", action: "Action", judgement: "Judgement", plan: "Plan" };
on("heard", (told) => {
  const block = blockOf(told), title = told.review ? `${TITLES[told.part]}, after the review` : TITLES[told.part];
  if (told.part === "dreaming" || told.part === "dream") {
    const caption = make("figcaption", {}, `Dream ${told.depth + 1}, of `, make("code", {}, told.text));
    const shown = told.frame ? make("img", { src: png(told.frame), alt: `Dream ${told.depth + 1}` })
      : box("empty soft", told.part === "dreaming" ? "dreaming …" : "nothing was dreamed");
    block.replaceChildren(make("figure", {}, caption, shown));
    return;
  }
  const text = told.part === "action" || told.part === "plan" ? make("code", {}, told.text) : make("p", {}, told.text);
  text.classList.toggle("writing", !told.is_whole);
  block.replaceChildren(make("h3", {}, title), text);
  if (told.part === "thought" && told.is_whole && told.depth === 0) watching.thoughts.set("thought", told.text);
  if (told.part === "thought" && told.is_whole && told.review) watching.thoughts.set("review", told.text);
});
on("decision", (decision) => {
  const said = decision.review ? (decision.review.helped ? " · changed by its review" : " · kept by its review") : "";
  const node = box("act decided", make("h3", {}, "It will do"), make("code", { id: "decided" }, decision.action),
    make("span", { className: "soft" }, `${said} · ${decision.seconds.toFixed(1)} s`));
  if (decision.plans.length > 1) {
    const plans = decision.plans.map((plan, index) => make("li", { className: index === decision.chosen ? "good" : "" },
      make("code", {}, plan.action), ` ${plan.votes} of its proposals`,
      plan.score === null ? "" : `, score ${plan.score.toFixed(2)}`, plan.judgement ? `: ${plan.judgement}` : "",
      index === decision.chosen ? " ✓ taken" : ""));
    node.append(make("ul", {}, ...plans));
  }
  at("mind").append(node);
  offerEdits();
});

const offerEdits = () => {
  const decided = Boolean(watching.state?.decided);
  at("edit-thought").disabled = !decided || !watching.thoughts.has("thought");
  at("edit-review").disabled = !decided || !watching.thoughts.has("review");
};
const edit = (what) => {
  at("edit").dataset.what = what;
  at("edited").value = watching.thoughts.get(what);
  at("edit").hidden = false;
  at("edited").focus();
};
views.watch = {
  set_up: () => {
    at("planner").replaceChildren(...link.about.planners.map((name) => make("option", { value: name }, name)));
    drawPad(at("watch-pad"), press, () => {});
  },
  down: (key) => { if (watching.state?.by_keys) press(key); return Boolean(watching.state?.by_keys); },
  up: () => {},
};
at("run").addEventListener("click", () => say(watching.state?.runs ? "pause" : "run"));
at("step").addEventListener("click", () => say("step"));
at("take").addEventListener("click", () => say(watching.state?.by_keys ? "hand-back" : "take-over"));
at("planner").addEventListener("change", () => say("planner", { planner: at("planner").value }));
at("telling").addEventListener("submit", (event) => {
  event.preventDefault();
  const instruction = at("instruction").value;
  say("ask", instruction === link.scene?.instruction ? {} : { instruction });
});
at("edit-thought").addEventListener("click", () => edit("thought"));
at("edit-review").addEventListener("click", () => edit("review"));
at("edit-leave").addEventListener("click", () => { at("edit").hidden = true; });
at("edit-ask").addEventListener("click", () => say("ask", { [at("edit").dataset.what]: at("edited").value }));
