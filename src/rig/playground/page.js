/* The page: its tabs, its keys, and the websocket. */
const OUTCOMES = { success: "✓ success", end: "✗ it has ended", time: "✗ its time is up" };
const drawScene = (scene, frame) => {
  link.scene = scene;
  at(frame).src = png(scene.frame);
  at("told").textContent = `${scene.instruction} · seed ${scene.seed} · step ${scene.step} · `
    + `${scene.samples} of ${scene.target}${scene.outcome ? ` · ${OUTCOMES[scene.outcome]}` : ""}`;
  at("told").dataset.step = scene.step;
};
const complain = (message) => {
  at("error").textContent = message;
  at("error").hidden = !message;
};
const turnTo = (view) => {
  link.view = view;
  for (const tab of document.querySelectorAll("nav button")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    at(tab.dataset.view).hidden = tab.dataset.view !== view;
  }
  complain("");
};
on("about", (about) => {
  link.about = about;
  at("task").replaceChildren(...about.tasks.map((task) => make("option", { value: task }, task.replaceAll("_", " "))));
  for (const tab of document.querySelectorAll("nav button")) tab.hidden = !about.views.includes(tab.dataset.view);
  for (const view of about.views) views[view].set_up();
  turnTo(about.views[0]);
});
on("error", (error) => {
  dreaming.asked = 0;
  complain(error.message);
});

for (const tab of document.querySelectorAll("nav button")) {
  tab.addEventListener("click", () => {
    if (tab.dataset.view === link.view) return;
    turnTo(tab.dataset.view);
    say("view", { view: link.view });
  });
}
at("begin").addEventListener("click", () => {
  complain("");
  say("begin", { task: at("task").value, number: Number(at("number").value) || 0 });
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button, input[type=checkbox]");
  if (!button) return;
  complain("");
  if (event.detail) button.blur(); /* of a mouse: else the space bar would press it again */
});

/* Keys play where nothing is being typed. */
const isTyping = (target) => target.closest("input:not([type=checkbox]), textarea, select") !== null;
const held = new Set();
document.addEventListener("keydown", (event) => {
  if (!link.about || isTyping(event.target) || event.metaKey || event.altKey) return;
  const key = keyOf(event.code) ?? (looks().includes(event.code) ? event.code : undefined);
  if (key === undefined) return;
  const isNew = !held.has(key);
  held.add(key);
  if (views[link.view].down(key, isNew)) event.preventDefault();
});
const release = (key) => { if (held.delete(key)) views[link.view].up(key); };
document.addEventListener("keyup", (event) => {
  if (!link.about) return;
  release(keyOf(event.code) ?? event.code);
});
window.addEventListener("blur", () => { for (const key of [...held]) release(key); });

const connect = () => {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
  link.socket = socket;
  socket.addEventListener("open", () => { at("link").textContent = ""; at("link").className = "soft"; });
  socket.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    heard.get(told.kind)?.(told);
  });
  socket.addEventListener("close", () => {
    at("link").textContent = "not connected; trying again …";
    at("link").className = "bad";
    setTimeout(connect, 1000);
  });
};
connect();
