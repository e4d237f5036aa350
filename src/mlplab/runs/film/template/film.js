"use strict";

// The controls, and what is drawn when they move.

function draw() {
  const network = shown(), frame = frameOf(network), step = steps[state.place];
  const { train, val } = lossesAt(network, frame), ended = network.steps[frame] < step ? `, where this network ended` : "";
  byId("frame").value = state.place;
  byId("frame").setAttribute("aria-valuetext", `step ${grouped(step)}`);
  byId("step").textContent = `step ${grouped(step)} of ${grouped(steps.at(-1))}`;
  byId("summary").textContent = `After ${stepCount(network.steps[frame])}${ended}: ${train ? `training loss ${train}, ` : ""}validation loss ${val}.`;
  drawGraph(network, frame);
  document.querySelectorAll("#maps canvas").forEach((canvas) => {
    drawLearned(canvas, network, frame, canvas.dataset.kind);
    canvas.setAttribute("aria-label", canvas.dataset.kind === "true" ? "The true values, as a map" : `What the network predicts after ${stepCount(step)}; validation loss ${val}`);
  });
  drawLosses(network, frame);
  document.querySelectorAll("#cards button").forEach((card, place) => {
    const each = networks[place], at = frameOf(each);
    card.setAttribute("aria-pressed", place === state.network);
    card.lastChild.textContent = `${each.name}: ${lossesAt(each, at).val}`;
    drawLearned(card.firstChild, each, at, "small");
  });
  drawWorked(network, frame);
}

function options(select, texts, chosen) {
  select.replaceChildren(...texts.map((text, value) => element("option", { value }, text)));
  select.value = chosen;
}

function choose(change) {
  const before = shown();
  Object.assign(state, change);
  const network = shown(), units = network.layers.flatMap((layer, index) => Array.from({ length: layer.z.shape[2] }, (_, unit) => [index, unit]));
  if (network !== before || !byId("maps").childElementCount) {
    state.row = Math.min(state.row, network.scene.rows.length - 1);
    if (!units.some(([layer, unit]) => layer === state.layer && unit === state.unit)) Object.assign(state, { layer: 0, unit: 0 });
    buildLearned(network);
    const { scene } = network, target = (row) => scene.classes[part(scene.targets, row)[0]] ?? number(part(scene.targets, row)[0]);
    options(byId("row"), scene.rows.map((row, place) => `${grouped(row)} (${scene.target} ${target(place)})`), state.row);
    options(byId("unit"), units.map(([layer, unit]) => unitName(network, layer, unit)), 0);
  }
  byId("row").value = state.row;
  byId("network").value = state.network;
  byId("unit").value = units.findIndex(([layer, unit]) => layer === state.layer && unit === state.unit);
  byId("unit").onchange = ({ target }) => { const [layer, unit] = units[target.value]; choose({ layer, unit }); };
  draw();
}

function go(place) {
  state.place = Math.min(Math.max(place, 0), steps.length - 1);
  draw();
}

function play(on) {
  clearInterval(state.timer);
  state.timer = 0;
  if (on) {
    if (state.place === steps.length - 1) go(0);
    state.timer = setInterval(() => (state.place < steps.length - 1 ? go(state.place + 1) : play(false)), 220);
  }
  byId("play").textContent = on ? "Pause" : "Play";
  byId("summary").setAttribute("aria-live", on ? "off" : "polite");
}

byId("frame").max = steps.length - 1;
byId("frame").addEventListener("input", ({ target }) => { play(false); go(Number(target.value)); });
byId("play").addEventListener("click", () => play(!state.timer));
byId("back").addEventListener("click", () => { play(false); go(state.place - 1); });
byId("forward").addEventListener("click", () => { play(false); go(state.place + 1); });
byId("row").addEventListener("change", ({ target }) => choose({ row: Number(target.value) }));
byId("network").addEventListener("change", ({ target }) => choose({ network: Number(target.value) }));
document.addEventListener("keydown", (event) => {
  if (event.target.closest("button, select, input, a, summary, [tabindex]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { " ": () => play(!state.timer), ArrowLeft: () => go(state.place - 1), ArrowRight: () => go(state.place + 1), Home: () => go(0), End: () => go(steps.length - 1) };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
window.addEventListener("resize", draw);
["(prefers-color-scheme: dark)", "print"].forEach((media) => matchMedia(media).addEventListener("change", draw));

if (networks.length > 1) {
  byId("choose-network").hidden = byId("side").hidden = false;
  options(byId("network"), networks.map((network) => network.name), 0);
  byId("cards").replaceChildren(...networks.map((_, place) => {
    const card = element("button", { type: "button" }, element("canvas", { "aria-hidden": "true" }), element("span"));
    card.addEventListener("click", () => choose({ network: place }));
    return card;
  }));
}
choose({});
document.body.dataset.drawn = "";
