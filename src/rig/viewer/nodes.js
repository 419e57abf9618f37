/* Nodes are made from strings only through append and textContent: no text of a trace is ever parsed as HTML. */
const at = (id) => document.getElementById(id);
const trace = JSON.parse(at("payload").textContent);

const make = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const span = (className, ...children) => make("span", { className }, ...children);
const box = (className, ...children) => make("div", { className }, ...children);
const code = (text) => make("code", {}, text);
/* Lists can be longer than a call has room for arguments, so their nodes are appended one by one. */
const filled = (parent, nodes) => {
  const all = document.createDocumentFragment();
  for (const node of nodes) all.append(node);
  parent.replaceChildren(all);
  return parent;
};
const svg = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const image = (id, alt) => make("img", { src: "data:image/png;base64," + trace.frames[id], alt, decoding: "sync" });
const picture = (id, caption, without) =>
  make("figure", {}, make("figcaption", {}, caption), id === null ? box("empty soft", without) : image(id, caption));
const grouped = (list, key) => {
  const groups = new Map();
  for (const item of list) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
};
const counted = (count) => count.toLocaleString("en");
const number = (value) => String(Math.round(value * 100) / 100);

/* Text of any length: what is laid out at once is bounded, for a browser breaks one endless word in quadratic time. */
const CHARACTERS = { first: 1200, block: 2000, next: 20000, unit: "characters" };
const ITEMS = { first: 30, characters: 3600, next: 200 };
const unfolding = (holder, total, { first, next, unit }, draw) => {
  let shown = first;
  const button = make("button", { type: "button", className: "more" });
  const tell = () => { button.textContent = `… ${counted(total - shown)} ${unit} more`; };
  button.addEventListener("click", () => {
    const from = shown;
    shown = Math.min(total, from + next);
    for (const node of draw(from, shown)) holder(button).before(node);
    if (shown === total) holder(button).remove(); else tell();
  });
  tell();
  return button;
};
const whole = (text, index) => (/[\ud800-\udbff]/.test(text.charAt(index - 1)) ? index + 1 : index);
const blocks = function* (text, from, to) {
  for (let start = from; start < to; start += CHARACTERS.block) {
    const end = Math.min(to, start + CHARACTERS.block);
    yield span("block", text.slice(whole(text, start), whole(text, end)));
  }
};
const long = (text) => {
  if (text.length <= CHARACTERS.first) return [text];
  const more = unfolding((button) => button, text.length, CHARACTERS, (from, to) => blocks(text, from, to));
  return [text.slice(0, whole(text, CHARACTERS.first)), more];
};
const absent = (left, unit) => (left ? [span("soft", `… ${counted(left)} ${unit} more, not on this page`)] : []);
const opening = (list, textOf) => {
  let count = 0, characters = 0;
  while (count < Math.min(ITEMS.first, list.length) && characters < ITEMS.characters) {
    characters += Math.min(CHARACTERS.first, textOf(list[count]).length);
    count += 1;
  }
  return count;
};
const items = (list, unit, textOf, draw) => {
  const first = opening(list, textOf), lines = list.slice(0, first).map(draw);
  if (list.length > first) {
    const rest = (from, to) => list.slice(from, to).map((item, index) => draw(item, from + index));
    lines.push(make("li", {}, unfolding((button) => button.parentNode, list.length, { ...ITEMS, first, unit }, rest)));
  }
  return lines;
};
