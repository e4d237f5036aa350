"use strict";

// Losses and learning rates by step.

const logged = (value) => Math.log10(value);
const ofSteps = (step) => Math.log10(step + 1);
const unlogged = (value) => number(10 ** value, 2);

function drawLosses(network, frame) {
  const opening = opened(byId("losses")), { context } = opening;
  const all = networks.flatMap((each) => [...each.loss.train.values, ...each.loss.val.values]).filter((value) => value > 0 && Number.isFinite(value)).map(logged);
  const range = all.length ? [Math.min(...all), Math.max(...all)] : [-1, 0], last = ofSteps(steps.at(-1));
  const ticks = [0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((step) => step <= steps.at(-1)).map(ofSteps);
  const names = { x: "step", y: "loss", label: (value) => grouped(Math.round(10 ** value - 1)), labelY: unlogged };
  const every = Math.max(1, Math.ceil((range[1] - range[0]) / 6)), multiples = range[1] - range[0] > 2.5 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: Math.ceil(80 / every) }, (_, place) => (place - Math.ceil(40 / every)) * every);
  const ticksY = powers.flatMap((power) => multiples.map((each) => power + Math.log10(each))).filter((value) => value >= range[0] && value <= range[1]);
  const scale = framed(opening, [0, last], range, names, ticks, ticksY.length > 1 ? ticksY : range);
  scale.clip();
  const curves = (each, strength) => {
    for (const [kind, name] of [["train", "train"], ["val", "val"]]) {
      context.strokeStyle = colour(name);
      context.globalAlpha = strength;
      context.lineWidth = strength === 1 ? 2 : 1;
      line(context, [...each.loss[kind].values].map((value, place) => [scale.x(ofSteps(each.steps[place])), scale.y(logged(value))]));
    }
    context.globalAlpha = 1;
  };
  networks.filter((each) => each !== network).forEach((each) => curves(each, 0.25));
  curves(network, 1);
  const x = scale.x(ofSteps(steps[state.place]));
  context.strokeStyle = colour("ink");
  context.lineWidth = 1;
  line(context, [[x, scale.y(range[0])], [x, scale.y(range[1])]]);
  context.restore();
  const { train, val } = lossesAt(network, frame);
  byId("losses").setAttribute("aria-label", `Losses by step. Here, training ${train}, validation ${val}.`);
  drawRates(network, frame, last);
}

function drawRates(network, frame, last) {
  const opening = opened(byId("rates")), { context } = opening, rates = [...network.lr.values];
  const scale = framed(opening, [0, last], [0, Math.max(...rates) || 1], { x: "learning rate", y: "", label: () => "" }, []);
  context.strokeStyle = colour("quiet");
  context.lineWidth = 1.5;
  line(context, rates.map((value, place) => [scale.x(ofSteps(network.steps[place])), scale.y(value)]));
  context.strokeStyle = colour("ink");
  context.lineWidth = 1;
  const x = scale.x(ofSteps(steps[state.place]));
  line(context, [[x, scale.y(0)], [x, scale.y(Math.max(...rates) || 1)]]);
  byId("rates").setAttribute("aria-label", `Learning rate by step. Here, ${rates.length > frame ? number(rates[frame]) : "training has ended"}.`);
}

function lossesAt(network, frame) {
  const { train, val } = network.loss;
  return { train: frame < train.values.length ? number(train.values[frame]) : "", val: number(val.values[frame]) };
}
