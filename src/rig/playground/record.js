/* Record: keys and mouse as they are held go to the server, where time runs. */
const recording = { state: null, tapped: [], turn: [0, 0], sent: "" };

on("playing", (scene) => drawScene(scene, "record-frame"));
on("recording", (state) => {
  recording.state = state;
  at("record").classList.toggle("on", state.runs);
  at("go").textContent = state.runs ? "Pause" : state.begun ? "Go on" : "Record";
  at("keep").disabled = at("drop").disabled = !state.begun;
  at("record-told").textContent = state.runs ? `Recording, ${number(state.hertz)} steps a second.`
    : state.begun ? "Time stands still." : "Nothing is recorded yet.";
  at("folder").textContent = state.folder;
  at("kept").replaceChildren(...state.kept.map((one) => make("li", {},
    make("span", { className: one.success ? "good" : "soft" }, one.success ? "✓ " : ""), one.id, `, ${one.steps} steps`)));
  at("how").textContent = state.count ? `${state.count} kept. rig inspect ${state.folder} --verify checks them.`
    : "Each episode is kept when it ends, when you end it, and when this page is closed.";
  if (!state.runs && document.pointerLockElement) document.exitPointerLock();
});

/* Held keys in the order in which they were pressed: where one alone can be pressed, the last counts. */
const sendKeys = () => {
  if (link.view !== "record" || !recording.state?.runs) return;
  const keys = [...held], now = JSON.stringify(keys);
  const [pitch, yaw] = recording.turn;
  if (now === recording.sent && !recording.tapped.length && !pitch && !yaw) return;
  say("keys", { keys, tapped: recording.tapped, turn: recording.turn });
  recording.sent = now;
  recording.tapped = [];
  recording.turn = [0, 0];
};
setInterval(sendKeys, 25);
const hold = (key) => {
  if (LOOKS[key] && !(key in link.about.keys)) {
    recording.turn = recording.turn.map((angle, axis) => angle + LOOKS[key][axis]);
    return;
  }
  held.add(key);
  if (!recording.tapped.includes(key)) recording.tapped.push(key);
};
views.record = {
  set_up: () => drawPad(at("record-pad"), hold, (key) => held.delete(key)),
  down: (key, isNew) => {
    if (key in link.about.keys ? isNew : true) hold(key);
    if (LOOKS[key]) held.delete(key);
    return true;
  },
  up: () => {},
};
at("go").addEventListener("click", () => {
  recording.sent = "";
  say("record", { on: !recording.state?.runs, waits: at("waits").checked });
});
at("waits").addEventListener("change", () => {
  if (recording.state?.runs) say("record", { on: true, waits: at("waits").checked });
});
at("keep").addEventListener("click", () => say("keep"));
at("drop").addEventListener("click", () => say("drop"));

/* The mouse looks around, once it is caught by a click into the frame. */
at("record-frame").addEventListener("click", () => {
  if (link.about?.camera && recording.state?.runs) at("record-frame").requestPointerLock();
});
const isCaught = () => document.pointerLockElement === at("record-frame");
document.addEventListener("mousemove", (event) => {
  if (!isCaught()) return;
  recording.turn[0] += event.movementY * DEGREES_PER_PIXEL;
  recording.turn[1] += event.movementX * DEGREES_PER_PIXEL;
});
document.addEventListener("mousedown", (event) => {
  const key = isCaught() ? keyOf(`Mouse${event.button}`) : undefined;
  if (key !== undefined) hold(key);
});
document.addEventListener("mouseup", (event) => {
  const key = link.about ? keyOf(`Mouse${event.button}`) : undefined;
  if (key !== undefined) held.delete(key);
});
document.addEventListener("contextmenu", (event) => { if (isCaught()) event.preventDefault(); });
