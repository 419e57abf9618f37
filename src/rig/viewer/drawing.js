/* One step: what was seen, thought, dreamed, revised and done. */
const VERDICTS = new Map([
  [true, ["good", "✓ true"]], [false, ["bad", "✗ false"]], [null, ["warn", "? unchecked"]]]);
/* What a review says of its dream is held against two things: what the dream shows, and what really comes of it. */
const OF_DREAMS = { dreamed: ["✓ so dreamed", "✗ not so dreamed"], verdict: ["✓ so it comes", "✗ not what comes"] };
const verdictsOn = (claim) => {
  const found = claim.dreamed === undefined ? []
    : Object.entries(OF_DREAMS).filter(([name]) => claim[name] !== null)
      .map(([name, [yes, no]]) => (claim[name] ? ["good", yes] : ["bad", no]));
  return found.length ? found : [VERDICTS.get(claim.verdict)];
};
const judged = (claim) => {
  const verdicts = verdictsOn(claim);
  const kind = (verdicts.find(([each]) => each === "bad") ?? verdicts[0])[0];
  return [span("claim " + kind, claim.text), ...verdicts.map(([each, word]) => span("verdict " + each, word))];
};
const marked = (text, claims) => {
  const nodes = [];
  let from = 0;
  for (const claim of claims) {
    const start = text.indexOf(claim.text, from);
    nodes.push(text.slice(from, start), ...judged(claim));
    from = start + claim.text.length;
  }
  return [...nodes, ...long(text.slice(from))];
};
const NO_CLAIMS = { list: [], left: 0 };
const thought = ({ clauses, left }, claims = NO_CLAIMS) => {
  const of = grouped(claims.list, (claim) => claim.clause);
  const clause = (text, index) => make("li", {}, ...marked(text, of.get(index) ?? []));
  const lines = [
    ...items(clauses, "clauses", (text) => text, clause),
    ...absent(left, "characters").map((note) => make("li", {}, note)),
    ...items(of.get(null) ?? [], "claims", (claim) => claim.text, (claim) => make("li", {}, ...judged(claim))),
    ...absent(claims.left, "claims").map((note) => make("li", {}, note)),
  ];
  if (!lines.length) lines.push(make("li", { className: "soft" }, "no thought"));
  return make("ol", { className: "thought" }, ...lines);
};
const flat = ({ clauses, left }) => [...long(clauses.join(" ")), ...absent(left, "characters")];

const turned = (before) => [make("s", {}, code(before)), span("hidden", " changed to "), "→"];
const acting = (step, ...shown) => box("acting", make("h3", {}, `Action, chosen by ${step.actor}`),
  make("div", { className: "act", id: "action" }, ...shown));

/* Plans are weighed against each other; where there is one alone, all proposals agreed on it. */
const isWeighed = (step) => step.plans.length > 1;
const agreed = (step) => (step.plans.length === 1 && step.weighing.proposals > 1
  ? [span("badge soft", `all ${counted(step.weighing.proposals)} proposals agree`)] : []);
/* Whether a step did otherwise than what was proposed first, or most often. */
const isTurn = (step) => Boolean(step.review ? step.review.changed : step.weighing?.against);

const minding = (step) => {
  const fact = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];
  const facts = make("dl", { className: "facts" },
    ...fact("Task", ...flat(step.instruction)), ...fact("Before", code(step.previous)));
  if (!step.review) {
    return box("mind", facts, make("h3", {}, "Thought"), thought(step.thought, step.claims),
      ...(isWeighed(step) ? [] : [acting(step, code(step.action), ...agreed(step))]));
  }
  const first = step.dreams.length ? thought(step.dreams[0].thought) : null;
  return box("mind", facts, ...(first ? [make("h3", {}, "Thought, before the dream"), first] : []),
    box("act plan", make("h3", {}, "Plan"), code(step.review.proposal)));
};

const state = { episode: 0, step: 0, timer: 0, difference: false };
const difference = (dream) => make("figure", { className: "difference" }, make("figcaption", {}, "Difference ×3"),
  box("overlay", image(dream.real, "What really came"), image(dream.frame, "minus what was dreamed")));
const dreamed = (dream, caption = dream.played ? "Really came" : "Would have come") => {
  const beside = state.difference && comparable(dream)
    ? difference(dream) : picture(dream.real, caption, "not known: never played in the world");
  return box("pair", picture(dream.frame, "Dreamed", "nothing was dreamed"), beside);
};
const comparable = (dream) => dream.frame !== null && dream.real !== null;
const differenceButton = () => {
  const button = make("button", { type: "button", id: "difference" }, "Difference ", make("kbd", {}, "d"));
  button.setAttribute("aria-pressed", String(state.difference));
  return button;
};
const firstDream = (dream, caption) => {
  const foot = box("foot", span("match", dream.match), ...(comparable(dream) ? [differenceButton()] : []));
  const article = make("article", { className: "dream" }, dreamed(dream, caption), foot);
  article.setAttribute("aria-label", "Dream 1");
  return article;
};
const furtherDream = (dream, index) => make("article", { className: "card dream" },
  box("heading", make("h3", {}, `Dream ${index + 2}`), span("match", dream.match)),
  dreamed(dream), thought(dream.thought), box("act", code(dream.action)));

const SAID = { keep: "keep", change: "change" };
const word = (verdict, changed) => {
  if (!verdict) return [];
  if (verdict.consistent) return [span("verdict good", "✓ does what it says")];
  const says = SAID[verdict.says] ?? "something else";
  return [span("badge bad", `✗ says ${says}, yet ${changed ? "changed" : "kept"} its plan`)];
};
const reviewed = (step) => {
  const review = step.review;
  const result = review.changed
    ? [...turned(review.proposal), code(review.action), span("badge changed", "changed by the review")]
    : [code(review.action), span("badge soft", "kept by the review")];
  const own = review.thought ? [thought(review.thought), make("h3", {}, "Thought, after review")] : [];
  return make("article", { className: "review" + (review.changed ? " turned" : ""), id: "review" },
    box("heading", make("h3", {}, "Review"), make("p", { className: "phrase" }, trace.phrase)),
    ...own, thought(step.thought, step.claims),
    acting(step, ...result, ...word(review.verdict, review.changed)));
};

/* What became of several plans: told as a review, and each plan beside the others with its dreams. */
const MOST_PLANS = 16;
const taken = (step) => step.plans.findIndex((plan) => plan.chosen);
const weighed = (step) => make("article", { className: "review" + (isTurn(step) ? " turned" : ""), id: "review" },
  box("heading", make("h3", {}, "Review"), make("p", { className: "phrase" }, trace.phrase)),
  thought(step.weighing.text),
  acting(step, code(step.action), span("badge " + (isTurn(step) ? "changed" : "soft"),
    `plan ${taken(step) + 1} of ${step.plans.length}` + (isTurn(step) ? ", against the votes" : ""))));
const worth = (plan, proposals) => make("p", { className: "worth" },
  span("", `${counted(plan.votes)} of ${counted(proposals)} proposals`),
  ...(plan.score === null ? [] : [span("score", `score ${plan.score}`)]));
const ahead = (dream, index) => box("ahead",
  ...(index ? [thought(dream.thought), box("act", span("soft", `step ${index + 1}`), code(dream.action))] : []),
  dreamed(dream), span("match", dream.match));
const planned = (step, plan, index) => {
  const dreams = plan.chosen ? step.dreams : plan.dreams;
  const article = make("article", { className: "card plan" + (plan.chosen ? " chosen" : "") },
    box("heading", make("h3", {}, `Plan ${index + 1}`), ...(plan.chosen ? [span("badge good", "✓ taken")] : [])),
    box("act", code(plan.action)), worth(plan, step.weighing.proposals),
    ...(plan.judgement.clauses.length ? [make("p", { className: "judgement" }, ...flat(plan.judgement))] : []),
    ...dreams.slice(0, ITEMS.first).map(ahead),
    ...absent(Math.max(0, dreams.length - ITEMS.first), "dreams"), thought(plan.thought));
  article.setAttribute("aria-label", `Plan ${index + 1}`);
  return article;
};
const drawPlans = (step) => {
  const plans = step.plans, dreams = plans.flatMap((plan) => (plan.chosen ? step.dreams : plan.dreams));
  at("weighed").hidden = !isWeighed(step);
  at("weighing").textContent = dreams.length ? "what was dreamed of each, and what really comes of it" : "not dreamed";
  at("compare").replaceChildren(...(isWeighed(step) && dreams.some(comparable) ? [differenceButton()] : []));
  /* The one that was taken is shown wherever it stands. */
  const shown = plans.map((plan, index) => [plan, index]).filter(([plan, index]) => index < MOST_PLANS || plan.chosen);
  filled(at("plans"), isWeighed(step) ? shown.map(([plan, index]) => planned(step, plan, index)) : []);
  at("plans").append(...absent(plans.length - shown.length, "plans"));
};

const drawMoment = (step) => {
  const changed = Boolean(step.review && step.review.changed);
  const caption = changed ? "What came instead" : "What came next";
  const [dream, ...further] = isWeighed(step) ? [] : step.dreams;
  /* What was dreamed was done: what came of it is what came next, and is shown once. */
  const once = Boolean(dream && dream.played && dream.real !== null && dream.real === step.next);
  const came = once ? [] : [picture(step.next, caption, "the next frame is not known")];
  const seen = picture(step.frame, "Observed", "");
  for (const node of came) node.classList.add("came");
  seen.classList.add("seen");
  const kinds = { dreamed: dream, reviewed: step.review || isWeighed(step), once };
  at("moment").className = ["card film", ...Object.keys(kinds).filter((kind) => kinds[kind])].join(" ");
  at("moment").replaceChildren(seen, ...(dream ? [firstDream(dream, once ? caption : undefined)] : []), minding(step),
    ...(step.review ? [reviewed(step)] : isWeighed(step) ? [weighed(step)] : []), ...came);
  drawPlans(step);
  at("lookahead").hidden = !further.length;
  filled(at("dreams"), further.slice(0, ITEMS.first).map(furtherDream));
  at("dreams").append(...absent(Math.max(0, further.length - ITEMS.first), "dreams"));
};
