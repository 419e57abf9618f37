/* Dream: each key gives the next dreamed frame; one that is held asks again as soon as a frame has come. */
const dreaming = { frames: [], real: new Map(), asked: 0, took: [] };
const SHOWN = 60, COUNTED = 10;

on("woken", (scene) => {
  drawScene(scene, "dream-frame");
  at("real-frame").src = png(scene.frame);
  if (!scene.frames) {
    dreaming.frames = [];
    dreaming.real.clear();
    dreaming.took = [];
    at("strip").replaceChildren();
  }
  drawDream();
});
on("dreamed", (dream) => {
  if (dreaming.asked) dreaming.took = [...dreaming.took, performance.now() - dreaming.asked].slice(-COUNTED);
  dreaming.asked = 0;
  dreaming.frames.push(dream);
  at("dream-frame").src = png(dream.frame);
  const item = make("li", {}, make("img", { src: png(dream.frame), alt: `Dream ${dream.number}` }),
    `${dream.number}. ${dream.action}`);
  item.dataset.number = dream.number;
  at("strip").append(item);
  if (at("strip").children.length > SHOWN) at("strip").firstChild.remove();
  at("strip").scrollLeft = at("strip").scrollWidth;
  drawDream();
  const [key] = [...held].slice(-1);
  if (key !== undefined && link.view === "dream") ask(key);
});
on("really", (real) => {
  dreaming.real.set(real.number, real);
  at("real-frame").src = png(real.frame);
  const item = [...at("strip").children].find((node) => node.dataset.number === String(real.number));
  item?.append(make("meter", { value: real.looks, title: told(real) }), `${real.cells.length} cells`);
  item?.classList.toggle("parts", real.number === parts());
  drawDream();
});
const told = (real) => `${real.cells.length} of ${real.grid ** 2} cells look otherwise; ${percent(real.codes)} of the `
  + `codes and ${percent(real.pixels)} of the pixels differ`;
/* The first dream that has parted from what really came. */
const parts = () => [...dreaming.real.values()].find((real) => real.apart)?.number;

const drawDream = () => {
  const last = dreaming.frames.at(-1), real = dreaming.real.get(last?.number), parted = parts();
  const seconds = dreaming.took.reduce((sum, each) => sum + each, 0) / 1000;
  at("rate").textContent = seconds ? `${number(dreaming.took.length / seconds)} frames/s` : "";
  at("dream-told").textContent = !last ? "Press a key: the next frame is dreamed."
    : parted ? `They part at step ${parted}.` : real ? "They have not parted yet." : "";
  at("parts").textContent = real ? told(real) : "";
  at("real").hidden = !at("reality").checked;
  drawMarks(at("reality").checked ? real : undefined);
};
/* The cells that look otherwise, outlined in the dream. */
const drawMarks = (real) => {
  const marks = at("marks"), cell = 32;
  marks.hidden = !real;
  if (!real) return;
  marks.width = marks.height = real.grid * cell;
  const paint = marks.getContext("2d");
  paint.strokeStyle = "#ff3b30";
  paint.lineWidth = 3;
  for (const place of real.cells) {
    paint.strokeRect((place % real.grid) * cell + 2, Math.floor(place / real.grid) * cell + 2, cell - 4, cell - 4);
  }
};
const ask = (key) => {
  if (dreaming.asked) return;
  dreaming.asked = performance.now();
  press(key);
};
views.dream = {
  set_up: () => {
    at("reality").disabled = !link.about.can_save;
    drawPad(at("dream-pad"), (key) => { held.add(key); ask(key); }, (key) => held.delete(key));
  },
  down: (key) => { ask(key); return true; },
  up: () => {},
};
at("wake").addEventListener("click", () => say("wake"));
at("reality").addEventListener("change", () => {
  say("reality", { on: at("reality").checked });
  drawDream();
});
