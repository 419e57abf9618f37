/* Nodes are made from strings only through append and textContent: nothing that a model wrote is ever parsed as HTML. */
const at = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const box = (className, ...children) => make("div", { className }, ...children);
const png = (base64) => `data:image/png;base64,${base64}`;
const number = (value) => String(Math.round(10 * value) / 10);
const percent = (share) => `${Math.round(100 * share)} %`;

/* What is said to the server, and what it says; each view adds what it listens for. */
const link = { socket: null, about: null, view: "watch" };
const say = (what, fields = {}) => {
  if (link.socket?.readyState === WebSocket.OPEN) link.socket.send(JSON.stringify({ say: what, ...fields }));
};
const heard = new Map();
const on = (kind, act) => heard.set(kind, act);
const views = {};

const TURN = 15, DEGREES_PER_PIXEL = 0.15;
const LOOKS = { KeyJ: [0, -TURN], KeyL: [0, TURN], KeyI: [-TURN, 0], KeyK: [TURN, 0] };
const looks = () => (link.about.camera ? Object.keys(LOOKS) : []);
/* Which key of the world a key of the keyboard presses. */
const keyOf = (code) => Object.keys(link.about.keys).find((key) => link.about.keys[key].includes(code));
const named = (code) => code.replace(/^(Key|Digit|Arrow)/, "").replace("Mouse0", "left button")
  .replace("Mouse2", "right button").replace("Left", code.startsWith("Arrow") ? "←" : "")
  .replace("Right", "→").replace("Up", "↑").replace("Down", "↓").replace("Backquote", "`");
const words = (key) => key.replaceAll("_", " ").replace("hotbar.", "slot ");

/* Buttons for every key, for who has no keyboard; `down` and `up` are told which. */
const drawPad = (pad, down, up) => {
  const buttons = Object.entries(link.about.keys).map(([key, codes]) => [key, words(key), codes[0] ?? ""]);
  const turns = looks().map((code) => [code, `look ${{ KeyJ: "left", KeyL: "right", KeyI: "up", KeyK: "down" }[code]}`, code]);
  pad.replaceChildren(...[...buttons, ...turns].map(([key, text, code]) => {
    const button = make("button", { type: "button", title: named(code) }, text, " ", make("kbd", {}, named(code)));
    button.dataset.key = key;
    button.addEventListener("pointerdown", (event) => { event.preventDefault(); down(key); });
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(end, () => up(key));
    button.addEventListener("keydown", (event) => { if (event.key === "Enter") { down(key); up(key); } });
    return button;
  }));
};
const press = (key) => say("press", LOOKS[key] && !(key in link.about.keys) ? { turn: LOOKS[key] } : { keys: [key] });
