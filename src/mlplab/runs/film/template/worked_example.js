"use strict";

// One row in numbers.

const heading = (text) => element("h3", {}, text);
const paragraph = (text) => element("p", {}, text);
const formula = (text) => element("p", { class: "formula" }, text);

// A table of numbers in a box that scrolls; `marked` is the number of a column, or none.
function table(caption, head, rows, marked = -1) {
  const cell = (value, place) => element("td", { class: place === marked ? "number now" : "number" }, typeof value === "number" ? number(value) : value);
  const made = element("table", { "aria-label": caption },
    element("thead", {}, element("tr", {}, ...head.map((text, place) => element("th", { scope: "col", ...(place ? { class: "number" } : {}) }, text)))),
    element("tbody", {}, ...rows.map(([name, ...values]) => element("tr", {}, element("th", { scope: "row" }, name), ...values.map(cell)))));
  const box = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
  return element("div", {}, element("p", { class: "small quiet" }, caption), box);
}

// l and δ of an output z with the target y; of the mean over n targets, each with a part of it.
const LOSSES = {
  mse: (z) => [`(${z} − y)²`, `2(${z} − y)`],
  mae: (z) => [`|${z} − y|`, `the sign of ${z} − y`],
  huber: (z) => [`½(${z} − y)², and a straight line where they are far apart`, `${z} − y, within limits`],
  quantile: () => ["the pinball loss, of the mean over the levels", ""],
  cross_entropy: () => ["−Σ q log p", "p − q"],
};

// What is true of a layer: its inputs, their symbol, and the names of its units.
function layerOf(network, frame, index) {
  const { layers } = network, layer = layers[index], isLast = index === layers.length - 1;
  const inputs = index ? part(layers[index - 1].a, frame, state.row) : part(network.x, frame, state.row);
  const units = isLast ? outputs(network) : Array.from({ length: layer.z.shape[2] }, (_, unit) => String(unit + 1));
  return { layer, isLast, inputs: [...inputs], input: index ? "a" : "x", units, marked: state.layer === index ? state.unit : -1 };
}

const column = (values, units, unit) => Array.from({ length: values.length / units }, (_, input) => values[input * units + unit]);

// The output on the scale of the loss, ẑ = z + the linear model's output if there is one, and its symbol.
function outputAt(network, frame) {
  const z = [...part(network.layers.at(-1).z, frame, state.row)];
  if (!network.linear) return { symbol: "z", values: z };
  const linear = part(network.linear, frame, state.row);
  return { symbol: "ẑ", values: z.map((value, place) => value + linear[place]) };
}

function drawInput(network, frame) {
  const { row } = state, { scene } = network, { inputs } = layerOf(network, frame, 0);
  const cells = scene.cells[row].map((text) => text.replace(/^-/, "−"));
  if (network.inputs.length === cells.length && network.inputs.every((name, place) => name === scene.columns[place])) {
    return [table("The row, and its inputs x to the network", ["column", "value", "x"], cells.map((text, place) => [scene.columns[place], text, inputs[place]]))];
  }
  return [
    table("The row", ["column", "value"], cells.map((text, place) => [scene.columns[place], text])),
    table("Its inputs x to the network", ["", ...network.inputs], [["x", ...inputs]]),
  ];
}

function drawForward(network, frame) {
  const made = network.layers.flatMap((_, index) => {
    const { layer, isLast, inputs, input, units, marked } = layerOf(network, frame, index);
    const z = part(layer.z, frame, state.row), a = part(layer.a, frame, state.row);
    const passed = isLast ? "" : `, a = ${layer.formula} with f = ${layer.activation}`;
    const caption = `${isLast ? "Output" : `Layer ${index + 1}`}: z = ${input}W + b${passed}`;
    const shown = [table(caption, ["unit", ...units], isLast ? [["z", ...z]] : [["z", ...z], ["a", ...a]], marked)];
    if (marked >= 0 && inputs.length <= 8) {
      const weights = column(part(layer.weight.before, frame), units.length, marked), bias = part(layer.bias.before, frame)[marked];
      const products = inputs.map((value, place) => `${signed(value)} · ${signed(weights[place])}`);
      shown.push(formula(`${unitName(network, index, marked)}: z = ${[...products, signed(bias)].join(" + ")} = ${number(z[marked])}`));
    }
    return shown;
  });
  return [...made, ...(network.scene.classes.length ? drawProbabilities(network, frame) : drawPrediction(network, frame))];
}

function softmax(z) {
  const most = Math.max(...z), powers = z.map((value) => Math.exp(value - most)), total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

function drawProbabilities(network, frame) {
  const { symbol, values } = outputAt(network, frame), { classes } = network.scene, [y] = part(network.y, state.row);
  const p = softmax(values), smoothing = network.loss.label_smoothing, share = smoothing / p.length;
  const q = p.map((_, place) => (place === y ? 1 - smoothing + share : share)), loss = number(at(network.losses, frame, state.row));
  const wanted = smoothing ? ` With label smoothing ${number(smoothing)}, it is a little less, and more than 0 for the others.` : "";
  return [
    table(`Probabilities p = softmax(${symbol}), and what they should be`, ["class", ...classes], [["p", ...p], ["q", ...q]], y),
    paragraph(`The row is ${classes[y]}, so q is 1 there.${wanted}`),
    formula(`l = −Σ q log p = ${smoothing ? "" : `−log ${number(p[y])} = `}${loss}`),
  ];
}

function drawPrediction(network, frame) {
  const { row } = state, { scene } = network, { symbol, values } = outputAt(network, frame);
  const y = [...part(network.y, row)], loss = number(at(network.losses, frame, row)), [text] = LOSSES[network.loss.name](symbol);
  const made = [];
  if (network.linear) made.push(table("ẑ = z + the output of the linear model", ["", ...outputs(network)], [["ẑ", ...values]]));
  if (y.length > 1) made.push(table("The targets y", ["", ...outputs(network)], [["y", ...y]]));
  else made.push(formula(`y = ${number(y[0])}`));
  const single = network.loss.name === "mse" && values.length === 1;
  const mean = y.length > 1 ? `the mean of ${text} over the targets` : text;
  made.push(formula(`l = ${mean}${single ? ` = (${number(values[0])} − ${signed(y[0])})²` : ""} = ${loss}`));
  if (network.scaled) {
    const list = (array) => [...array].map((value) => number(value)).join(", ");
    made.push(paragraph(`z and y are on the scale of the loss. In units of the target, the prediction is ${list(part(network.predicted, frame, row))}; the row has ${list(part(scene.targets, row))}.`));
  }
  return made;
}

function drawBackward(network, frame) {
  const { symbol } = outputAt(network, frame), [, slope] = LOSSES[network.loss.name](symbol), targets = network.y.shape[1];
  const ofMean = targets > 1 && !network.scene.classes.length ? `, divided by the number of targets, ${targets}` : "";
  return [...network.layers.keys()].reverse().flatMap((index) => {
    const { layer, isLast, units, marked } = layerOf(network, frame, index);
    const rule = isLast ? `δ = ∂l/∂z${slope ? ` = ${slope}` : ""}${ofMean}` : network.plain ? "δ = f′(z) · δWᵀ, with δ and W of the layer after it" : "δ = ∂l/∂z, by the chain rule";
    const made = [table(`${isLast ? "Output" : `Layer ${index + 1}`}: ${rule}`, ["unit", ...units], [["δ", ...part(layer.delta, frame, state.row)]], marked)];
    return marked >= 0 && !isLast && network.plain ? [...made, chain(network, frame, index, marked)] : made;
  });
}

// δ of a unit, as a product of f′(z) and the sum of what comes back through its weights.
function chain(network, frame, index, unit) {
  const after = network.layers[index + 1], units = after.z.shape[2];
  const weights = [...part(after.weight.before, frame)].slice(unit * units, (unit + 1) * units);
  const deltas = [...part(after.delta, frame, state.row)], delta = part(network.layers[index].delta, frame, state.row)[unit];
  const back = deltas.reduce((total, each, place) => total + each * weights[place], 0);
  const z = part(network.layers[index].z, frame, state.row)[unit];
  const slope = network.layers[index].activation === "relu" ? number(z > 0 ? 1 : 0) : back ? number(delta / back) : "f′(z)";
  const products = units <= 8 ? deltas.map((each, place) => `${signed(each)} · ${signed(weights[place])}`).join(" + ") : number(back);
  return formula(`${unitName(network, index, unit)}: δ = ${slope} · ${units > 1 ? `(${products})` : products} = ${number(delta)}`);
}

const TITLES = { before: "W", gradients: "∂L/∂W", mean: "m", square: "v", momentum: "m", after: "new W" };

// The table of a unit's weights, and how the step changes them.
function drawOptimize(network, frame) {
  const { layer, inputs, input, units } = layerOf(network, frame, state.layer), { unit } = state, { optimizer } = network;
  const delta = part(layer.delta, frame, state.row)[unit], has = frame < network.steps.length - 1;
  const moments = optimizer.name === "sgd" ? (optimizer.momentum ? ["momentum"] : []) : ["mean", "square"];
  const keys = ["before", ...(has ? ["gradients", ...moments, "after"] : [])];
  const of = (name, key) => column(part(layer[name][key], frame), units.length, unit);
  const values = keys.map((key) => [...of("weight", key), ...of("bias", key)]);
  const names = [...(state.layer ? inputs.map((_, place) => `unit ${place + 1}`) : network.inputs), "bias b"];
  const rows = names.map((name, place) => {
    const value = inputs[place] ?? 1, shown = values.map((each) => each[place]);
    return [name, value, value * delta, ...shown, ...(has ? [shown.at(-1) - shown[0]] : [])];
  });
  const head = ["from", input, "∂l/∂W", ...keys.map((key) => TITLES[key]), ...(has ? ["change"] : [])];
  const made = [table(`∂l/∂W = ${input}δ with δ = ${number(delta)}: what this row alone says`, head, rows)];
  if (!has) {
    const average = network.averaged ? " These weights are an average over all steps, in which late ones count most." : "";
    return [...made, paragraph(`Training ended here: no further step was made.${average}`)];
  }
  const step = network.steps[frame] + 1, loss = number(network.loss.train.values[frame] / network.loss.unit);
  const mean = network.weighted ? "wl" : "l", weights = network.weighted ? ", with weights w of the rows whose mean in training is 1" : "";
  const over = `over the ${grouped(network.batch[frame])} rows of step ${grouped(step)}`;
  return [...made,
    paragraph(`L = ${loss}${network.loss.unit === 1 ? "" : ` (${number(network.loss.train.values[frame])} in units of the target)`} is the mean of ${mean} ${over}${weights}, and ∂L/∂W is that of ${network.weighted ? "w " : ""}∂l/∂W.`),
    formula(rule(optimizer, at(network.lr, frame), step)),
  ];
}

function rule(optimizer, rate, step) {
  const lr = number(rate), decay = optimizer.weight_decay, decoupled = optimizer.name === "adamw";
  const g = decay && !decoupled ? `g = ∂L/∂W + ${number(decay)}W; ` : "", slope = g ? "g" : "∂L/∂W";
  if (optimizer.name === "sgd") {
    const { momentum, nesterov } = optimizer;
    const along = nesterov ? `(${slope} + ${momentum}m)` : momentum ? "m" : slope;
    return `SGD: ${g}${momentum ? `m = ${momentum}m + ${slope}; ` : ""}new W = W − ${lr} · ${along}`;
  }
  const [first, second] = optimizer.betas;
  const shrunk = decoupled && decay ? ` − ${lr} · ${number(decay)} · W` : "";
  return `${decoupled ? "AdamW" : "Adam"}: ${g}m = ${first}m + ${number(1 - first)} ${slope}; v = ${second}v + ${number(1 - second)} (${slope})²; ` +
    `new W = W − ${lr} · m̂/(√v̂ + ${number(optimizer.eps)})${shrunk}, with m̂ = m/(1 − ${first}^${step}) and v̂ = v/(1 − ${second}^${step})`;
}

// New tables replace the old ones, but a reader who has scrolled one of them, or is in it, stays there.
function drawWorked(network, frame) {
  const heldOut = network.held_out[state.row] ? ", which this network holds out" : "";
  byId("worked-title").textContent = `Row ${grouped(network.scene.rows[state.row])} of the table${heldOut}, after ${stepCount(network.steps[frame])}, in numbers`;
  const box = (title, content, width = "") => element("div", { class: width }, heading(title), ...content);
  const before = [...document.querySelectorAll("#worked .scroll")], focused = before.indexOf(document.activeElement);
  const places = before.map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  byId("worked").replaceChildren(
    box("1. Input", drawInput(network, frame)),
    box("2. Forward", drawForward(network, frame)),
    box("3. Backward", drawBackward(network, frame)),
    box(`4. Optimize${frame < network.steps.length - 1 ? `, step ${grouped(network.steps[frame] + 1)}` : ""}: the weights of ${unitName(network, state.layer, state.unit)}`, drawOptimize(network, frame), "wide"),
  );
  document.querySelectorAll("#worked .scroll").forEach((table, place) => {
    [table.scrollLeft, table.scrollTop] = places[place] ?? [0, 0];
    if (place === focused) table.focus({ preventScroll: true });
  });
}
