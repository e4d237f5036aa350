"use strict";

// A film: `film.runs`, each with networks, each with frames. Arrays are packed as bytes; `at` reads them.

const { runs } = JSON.parse(document.getElementById("film").textContent);
const byId = (id) => document.getElementById(id);

// Arrays ---------------------------------------------------------------------------------------------------

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.data !== "string") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unpack(each)]));
  }
  const bytes = Uint8Array.from(atob(value.data), (character) => character.charCodeAt(0));
  return { shape: value.shape, values: value.type === "uint8" ? bytes : new Float32Array(bytes.buffer) };
}

// The part of an array at the first indices, as a flat array.
function part(array, ...indices) {
  const size = array.shape.slice(indices.length).reduce((a, b) => a * b, 1);
  let place = 0;
  indices.forEach((index, axis) => { place = place * array.shape[axis] + Math.min(index, array.shape[axis] - 1); });
  return array.values.subarray(place * size, (place + 1) * size);
}

const at = (array, ...indices) => part(array, ...indices)[0];

const networks = runs.flatMap((run) => {
  const { networks: members, ...scene } = unpack(run);
  return members.map((network, number) => {
    const one = members.length > 1 ? `network ${number + 1}` : "";
    const name = [runs.length > 1 ? run.name : "", one].filter(Boolean).join(", ");
    return { ...network, scene, name };
  });
});
const steps = [...new Set(networks.flatMap((network) => network.steps))].sort((a, b) => a - b);

const state = { network: 0, place: 0, row: 0, layer: 0, unit: 0, timer: 0 };

const shown = () => networks[state.network];

// The frame of a network at a step: its last one if its training had ended by then.
function frameOf(network, step = steps[state.place]) {
  return network.steps.findLastIndex((each) => each <= step);
}

// Text -----------------------------------------------------------------------------------------------------

function number(value, digits = 4) {
  if (typeof value !== "number") throw new TypeError(`not a number: ${value}`);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6)
    ? value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

const signed = (value) => (value < 0 ? `(${number(value)})` : number(value));
const grouped = (value) => value.toLocaleString("en");

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawnIn(box, tag, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  box.append(made);
  return made;
}

const layerName = (network, layer) => (layer === network.layers.length - 1 ? "output" : `layer ${layer + 1}`);
const outputs = (network) => network.scene.outputs;
const unitName = (network, layer, unit) =>
  layer === network.layers.length - 1 ? `output ${outputs(network)[unit]}` : `layer ${layer + 1}, unit ${unit + 1}`;

// Colours --------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// Viridis (van der Walt & Smith 2015) and the first colours of Okabe & Ito 2008, for people who see few colours.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const CLASSES = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [150, 150, 60], [120, 120, 120]];

const NOT_A_NUMBER = 255; // the byte on a map for what is none; lower ones are shares of a range

function viridis(share) {
  const place = Math.min(Math.max(Number.isFinite(share) ? share : 0, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[low].map((value, k) => value + (place - low) * (VIRIDIS[low + 1][k] - value));
}

const rgb = (values) => `rgb(${values.map(Math.round).join(" ")})`;

// The network ----------------------------------------------------------------------------------------------

const graph = { edges: [], nodes: [], network: null };

function buildGraph(network) {
  const box = byId("graph");
  box.replaceChildren();
  const width = 460, height = 380;
  const svg = drawnIn(box, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const counts = [network.inputs.length, ...network.layers.map((layer) => layer.z.shape[2])];
  const named = counts[0] <= 20;
  const left = named ? 112 : 24, right = width - 84;
  const x = (layer) => left + ((right - left) * layer) / (counts.length - 1);
  const y = (layer, unit) => ((unit + 0.5) * height) / counts[layer];
  const radius = (layer) => Math.max(2.5, Math.min(17, (0.4 * height) / counts[layer]));
  graph.edges = network.layers.map((_, layer) => {
    const lines = [];
    for (let input = 0; input < counts[layer]; input++) {
      for (let unit = 0; unit < counts[layer + 1]; unit++) {
        lines.push(drawnIn(svg, "line", { x1: x(layer), y1: y(layer, input), x2: x(layer + 1), y2: y(layer + 1, unit) }));
      }
    }
    return lines;
  });
  graph.nodes = counts.map((count, layer) => Array.from({ length: count }, (_, unit) => {
    const place = { cx: x(layer), cy: y(layer, unit), r: radius(layer) };
    drawnIn(svg, "circle", { ...place, fill: "var(--node)" });
    const circle = drawnIn(svg, "circle", place);
    const title = drawnIn(circle, "title");
    const text = radius(layer) >= 14
      ? drawnIn(svg, "text", { x: place.cx, y: place.cy + 4, "text-anchor": "middle", "pointer-events": "none", style: "font-size: 10px" })
      : null;
    if (layer === 0 && named) {
      const name = network.inputs[unit];
      drawnIn(svg, "text", { x: place.cx - place.r - 6, y: place.cy + 4, "text-anchor": "end" }).textContent = name.length > 12 ? `${name.slice(0, 11)}…` : name;
    }
    if (layer === counts.length - 1 && count <= 20) {
      const name = outputs(network)[unit];
      drawnIn(svg, "text", { x: place.cx + place.r + 6, y: place.cy + 4 }).textContent = name.length > 9 ? `${name.slice(0, 8)}…` : name;
    }
    if (layer > 0) circle.addEventListener("click", () => choose({ layer: layer - 1, unit }));
    return { circle, title, text };
  }));
  graph.network = network;
}

function drawGraph(network, frame) {
  if (graph.network !== network) buildGraph(network);
  const has = frame < network.steps.length - 1;
  const gradients = network.layers.map((layer) => (has ? part(layer.weight.gradients, frame) : null));
  const steepest = Math.max(...gradients.map((values) => (values ? largest(values) : 0))) || 1;
  network.layers.forEach((layer, index) => {
    const weights = part(layer.weight.before, frame), most = largest(weights) || 1;
    graph.edges[index].forEach((line, place) => {
      const weight = weights[place], slope = gradients[index] ? Math.abs(gradients[index][place]) / steepest : 0;
      line.setAttribute("class", weight < 0 ? "minus" : "plus");
      line.setAttribute("stroke-opacity", (0.12 + 0.88 * Math.abs(weight) / most).toFixed(3));
      line.setAttribute("stroke-width", (0.7 + 6 * Math.sqrt(slope)).toFixed(2));
    });
  });
  graph.nodes.forEach((units, index) => {
    const values = index ? part(network.layers[index - 1].a, frame, state.row) : part(network.x, frame, state.row);
    const most = largest(values) || 1;
    units.forEach(({ circle, title, text }, unit) => {
      const value = values[unit], strength = Number.isFinite(value) ? Math.abs(value) / most : 0;
      const chosen = index - 1 === state.layer && unit === state.unit;
      circle.setAttribute("fill", value < 0 ? "var(--minus)" : "var(--plus)");
      circle.setAttribute("fill-opacity", (0.75 * strength).toFixed(3));
      circle.setAttribute("class", chosen ? "chosen" : "");
      title.textContent = `${index ? unitName(network, index - 1, unit) : network.inputs[unit]}: ${number(value)}`;
      if (text) text.textContent = Number.isFinite(value) ? number(value, 2) : "–";
    });
  });
  const layer = network.layers[state.layer];
  byId("graph").setAttribute("aria-label",
    `Network with ${[network.inputs.length, ...network.layers.map((each) => each.z.shape[2])].join(", ")} units. ` +
    `${unitName(network, state.layer, state.unit)} has the activation ${number(part(layer.a, frame, state.row)[state.unit])}.`);
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Number.isFinite(value) ? Math.abs(value) : 0), 0);

// Canvases -------------------------------------------------------------------------------------------------

// Sizes a canvas to its box, and returns its context in units of CSS pixels.
function opened(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.lineJoin = "round";
  return { context, width, height };
}

// Axes around a box, with ticks or the ends of both; returns how values become pixels.
function framed({ context, width, height }, [x0, x1], [y0, y1], names, ticks = [x0, x1], ticksY = [y0, y1]) {
  const left = 46, right = width - 8, top = 8, bottom = height - 30;
  const x = (value) => left + ((right - left) * (value - x0)) / (x1 - x0 || 1);
  const y = (value) => bottom - ((bottom - top) * (value - y0)) / (y1 - y0 || 1);
  context.strokeStyle = colour("line");
  context.strokeRect(left, top, right - left, bottom - top);
  context.fillStyle = colour("quiet");
  const { label = number, labelY = (value) => number(value, 3) } = names;
  context.textAlign = "center";
  ticks.forEach((value) => {
    const text = label(value), half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(Math.max(x(value), left + half), right - half), bottom + 13);
  });
  context.fillText(names.x, (left + right) / 2, bottom + 26);
  context.textAlign = "right";
  ticksY.forEach((value) => context.fillText(labelY(value), left - 4, Math.min(Math.max(y(value) + 4, top + 9), bottom)));
  context.save();
  context.translate(12, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(names.y, 0, 0);
  context.restore();
  return { x, y, clip() { context.save(); context.beginPath(); context.rect(left, top, right - left, bottom - top); context.clip(); } };
}

// The same without axes.
function bare({ context, width, height }, [x0, x1], [y0, y1]) {
  return { x: (value) => (width * (value - x0)) / (x1 - x0 || 1), y: (value) => height * (1 - (value - y0) / (y1 - y0 || 1)), clip: () => context.save() };
}

function line(context, points) {
  context.beginPath();
  let down = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) { down = false; continue; }
    if (down) context.lineTo(x, y); else context.moveTo(x, y);
    down = true;
  }
  context.stroke();
}

// What has been learned ------------------------------------------------------------------------------------

// The segments along which a unit's z is 0, in places of the axes: z = Σ wₖsₖ + b, with the axes scaled to s.
function fold(network, frame, unit) {
  const { weight, bias } = network.layers[0], units = bias.before.shape[2];
  const weights = part(weight.before, frame), b = part(bias.before, frame)[unit];
  const scaled = [0, 1].slice(0, network.folds.shape[0]).map((axis) => part(network.folds, axis));
  const z = (i, k) => weights[unit] * scaled[0][i] + (scaled[1] ? weights[units + unit] * scaled[1][k] : 0) + b;
  const crossed = (p, q) => (p < 0) !== (q < 0) ? p / (p - q) : null;
  const segments = [];
  for (let i = 0; i + 1 < scaled[0].length; i++) {
    if (!scaled[1]) {
      const share = crossed(z(i), z(i + 1));
      if (share !== null) segments.push([[i + share, 0]]);
      continue;
    }
    for (let k = 0; k + 1 < scaled[1].length; k++) {
      const corners = [[i, k], [i + 1, k], [i + 1, k + 1], [i, k + 1]], points = [];
      corners.forEach(([p, q], side) => {
        const [r, s] = corners[(side + 1) % 4], share = crossed(z(p, q), z(r, s));
        if (share !== null) points.push([p + share * (r - p), q + share * (s - q)]);
      });
      if (points.length >= 2) segments.push(points.slice(0, 2));
    }
  }
  return segments;
}

function drawFolds(context, network, frame, toPixels, isSmall) {
  if (!network.folds) return;
  for (let unit = 0; unit < network.layers[0].z.shape[2]; unit++) {
    const chosen = !isSmall && state.layer === 0 && state.unit === unit;
    for (const [style, extra] of [["rgb(0 0 0 / 55%)", 2], ["white", 0]]) {
      context.strokeStyle = style;
      context.lineWidth = (chosen ? 3 : isSmall ? 0.7 : 1.3) + extra;
      context.beginPath();
      fold(network, frame, unit).forEach(([from, to]) => {
        context.moveTo(...toPixels(from));
        context.lineTo(...toPixels(to));
      });
      context.stroke();
    }
  }
}

const cells = document.createElement("canvas");

// A map of two columns, as an image of one pixel a cell that is then enlarged.
function drawSurface(opening, box, shape, colours) {
  const [columns, rows] = shape, image = new ImageData(columns, rows);
  for (let i = 0; i < columns; i++) {
    for (let k = 0; k < rows; k++) {
      image.data.set([...colours(i * rows + k), 255], 4 * ((rows - 1 - k) * columns + i));
    }
  }
  cells.width = columns;
  cells.height = rows;
  cells.getContext("2d").putImageData(image, 0, 0);
  opening.context.imageSmoothingEnabled = false;
  opening.context.drawImage(cells, ...box);
}

function surfaceColours(network, frame) {
  const values = part(network.map.value, frame);
  const background = colour("page").match(/\w\w/g).map((hex) => parseInt(hex, 16));
  if (!network.map.class) return (place) => (values[place] === NOT_A_NUMBER ? background : viridis(values[place] / (NOT_A_NUMBER - 1)));
  const classes = part(network.map.class, frame);
  return (place) => CLASSES[classes[place] % CLASSES.length].map((value, k) => {
    const strength = values[place] === NOT_A_NUMBER ? 0 : 0.2 + 0.8 * values[place] / (NOT_A_NUMBER - 1);
    return strength * value + (1 - strength) * background[k];
  });
}

const targetColours = (scene, values) => (place) =>
  scene.classes.length
    ? CLASSES[values[place] % CLASSES.length]
    : viridis((values[place] - scene.range[0]) / (scene.range[1] - scene.range[0] || 1));

function dots(context, scene, toPixels, size = 3) {
  const [xs, ys] = [part(scene.points.columns, 0), part(scene.points.columns, 1)];
  const colours = targetColours(scene, scene.points.actual.values);
  context.lineWidth = 0.8;
  context.strokeStyle = "white";
  xs.forEach((x, place) => {
    context.fillStyle = rgb(colours(place));
    context.beginPath();
    context.arc(...toPixels(x, ys[place]), size, 0, 7);
    context.fill();
    context.stroke();
  });
}

const ends = (axis) => [axis[0], axis.at(-1)];

function drawMap(canvas, network, frame, kind) {
  const opening = opened(canvas), { context } = opening, { scene } = network, [first, second] = scene.axes;
  const small = kind === "small", names = { x: scene.columns[0], y: scene.columns[1] };
  const scale = (small ? bare : framed)(opening, ends(first), ends(second), names);
  const [left, right] = ends(first).map(scale.x), [bottom, top] = ends(second).map(scale.y);
  const box = [left, top, right - left, bottom - top], shape = [first.length, second.length];
  scale.clip();
  if (kind === "true" && scene.true) {
    drawSurface(opening, box, shape, targetColours(scene, scene.true.values));
  } else if (kind === "true") {
    dots(context, scene, (x, y) => [scale.x(x), scale.y(y)]);
  } else {
    drawSurface(opening, box, shape, surfaceColours(network, frame));
    const along = (axis, place) => axis[0] + (axis.at(-1) - axis[0]) * place / (axis.length - 1);
    drawFolds(context, network, frame, ([i, k]) => [scale.x(along(first, i)), scale.y(along(second, k))], small);
  }
  context.restore();
}

function drawCurve(canvas, network, frame, kind) {
  const opening = opened(canvas), { context } = opening, { scene } = network, [axis] = scene.axes;
  const [low, high] = scene.range, room = 0.1 * (high - low || 1), values = part(network.map.value, frame);
  const range = [low - room, high + room];
  const scale = (kind === "small" ? bare : framed)(opening, ends(axis), range, { x: scene.columns[0], y: scene.target });
  scale.clip();
  context.fillStyle = colour("quiet");
  context.globalAlpha = 0.45;
  part(scene.points.columns, 0).forEach((x, place) => {
    context.beginPath();
    context.arc(scale.x(x), scale.y(scene.points.actual.values[place]), kind === "small" ? 1.2 : 2.2, 0, 7);
    context.fill();
  });
  context.globalAlpha = 1;
  if (scene.true && kind !== "small") {
    context.strokeStyle = colour("quiet");
    context.setLineDash([5, 4]);
    line(context, axis.map((x, place) => [scale.x(x), scale.y(scene.true.values[place])]));
    context.setLineDash([]);
  }
  if (network.folds && kind !== "small") {
    for (let unit = 0; unit < network.layers[0].z.shape[2]; unit++) {
      context.strokeStyle = colour("ink");
      context.lineWidth = state.layer === 0 && state.unit === unit ? 2.5 : 0.8;
      fold(network, frame, unit).forEach(([[place]]) => {
        const x = scale.x(axis[0] + (axis.at(-1) - axis[0]) * place / (axis.length - 1));
        line(context, [[x, scale.y(range[0])], [x, scale.y(range[0]) - 14]]);
      });
    }
  }
  context.strokeStyle = colour("accent");
  context.lineWidth = 2.2;
  line(context, axis.map((x, place) => [scale.x(x), scale.y(values[place])]));
  context.restore();
}

function drawPoints(canvas, network, frame, kind) {
  const opening = opened(canvas), { context } = opening, { scene } = network;
  const predicted = part(network.points.predicted, frame), actual = network.points.actual.values, { classes } = scene;
  const [low, high] = scene.range, room = 0.05 * (high - low || 1), range = [low - room, high + room];
  const xs = classes.length ? [-0.6, classes.length - 0.4] : range, ys = classes.length ? [0, 1] : range;
  const names = classes.length
    ? { x: `actual ${scene.target}`, y: "probability of the actual class", label: (place) => classes[place] }
    : { x: `actual ${scene.target}`, y: `predicted ${scene.target}` };
  const scale = (kind === "small" ? bare : framed)(opening, xs, ys, names, classes.length ? [...classes.keys()] : range);
  scale.clip();
  context.strokeStyle = colour("quiet");
  if (!classes.length) line(context, range.map((value) => [scale.x(value), scale.y(value)]));
  context.globalAlpha = 0.6;
  actual.forEach((value, place) => {
    const spread = classes.length ? 0.5 * (((place * 0.618) % 1) - 0.5) : 0;
    context.fillStyle = classes.length ? rgb(CLASSES[value % CLASSES.length]) : colour("accent");
    context.beginPath();
    context.arc(scale.x(value + spread), scale.y(predicted[place]), kind === "small" ? 1.5 : 3, 0, 7);
    context.fill();
  });
  context.globalAlpha = 1;
  context.restore();
}

function drawLearned(canvas, network, frame, kind) {
  const draw = network.points ? drawPoints : network.scene.axes.length === 1 ? drawCurve : drawMap;
  draw(canvas, network, frame, kind);
}

function buildLearned(network) {
  const { scene } = network, over = scene.columns.join(" and ");
  const two = scene.axes?.length === 2;
  const folds = network.folds ? ` Lines: where a unit of layer 1 folds the ${two ? "surface" : "curve"} (z = 0); the chosen unit's is thicker.` : "";
  byId("learned-title").textContent = scene.axes ? `What it has learned: ${scene.target} over ${over}` : scene.classes.length ? "Validation rows: probability of the actual class" : "Validation rows: predicted over actual";
  byId("learned-text").textContent = scene.axes
    ? (two ? "" : `Line: the network${scene.true ? "; dashed: the true function" : ""}; dots: training rows.`) + folds
    : scene.classes.length ? "Dots higher up are predicted better." : "Dots on the line are predicted exactly.";
  const canvases = (two ? [["learned", "the network"], ["true", scene.true ? "the true function" : "training rows"]] : [["learned", ""]])
    .map(([kind, text]) => {
      const canvas = element("canvas", { role: "img", "data-kind": kind });
      const box = element("div", two ? {} : { class: "single" });
      if (text) box.append(element("p", { class: "quiet" }, text));
      box.append(canvas);
      return box;
    });
  const bar = element("div", { class: "bar" }, number(scene.range?.[0], 3), element("span"), number(scene.range?.[1], 3));
  const key = scene.classes.map((name, place) => element("span", { style: `--swatch: ${rgb(CLASSES[place % CLASSES.length])}` }, name));
  byId("maps").replaceChildren(...canvases, ...(two ? [scene.classes.length ? element("p", { class: "key" }, ...key) : bar] : []));
  byId("maps").querySelector(".bar span")?.style.setProperty("background", `linear-gradient(to right, ${VIRIDIS.map(rgb).join(", ")})`);
}

// Losses ---------------------------------------------------------------------------------------------------

const logged = (value) => Math.log10(value);
const ofSteps = (step) => Math.log10(step + 1);
const unlogged = (value) => number(10 ** value, 2);

function drawLosses(network, frame) {
  const opening = opened(byId("losses")), { context } = opening;
  const beside = networks.filter((each) => each.scene.table === network.scene.table && each.loss.name === network.loss.name);
  const all = beside.flatMap((each) => [...each.loss.train.values, ...each.loss.val.values]).filter((value) => value > 0 && Number.isFinite(value)).map(logged);
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
  beside.filter((each) => each !== network).forEach((each) => curves(each, 0.25));
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

// One row in numbers ---------------------------------------------------------------------------------------

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
    paragraph(`L = ${loss}${network.loss.unit === 1 ? "" : ` (${number(network.loss.train.values[frame])} in units of the target)`} is the mean of ${mean} ${over}${weights}, and ∂L/∂W is that of ${network.weighted ? "w " : ""}∂l/∂W. ${network.notes.join(" ")}`),
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
  byId("worked-title").textContent = `Row ${grouped(network.scene.rows[state.row])} of the table${heldOut}, at step ${grouped(network.steps[frame])}, in numbers`;
  const box = (title, content, width = "") => element("div", { class: width }, heading(title), ...content);
  const before = [...document.querySelectorAll("#worked .scroll")], focused = before.indexOf(document.activeElement);
  const places = before.map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  byId("worked").replaceChildren(
    box("1. Input", drawInput(network, frame)),
    box("2. Forward", drawForward(network, frame)),
    box("3. Backward", drawBackward(network, frame)),
    box(`4. Optimize: the weights of ${unitName(network, state.layer, state.unit)}`, drawOptimize(network, frame), "wide"),
  );
  document.querySelectorAll("#worked .scroll").forEach((table, place) => {
    [table.scrollLeft, table.scrollTop] = places[place] ?? [0, 0];
    if (place === focused) table.focus({ preventScroll: true });
  });
}

// Controls -------------------------------------------------------------------------------------------------

function draw() {
  const network = shown(), frame = frameOf(network), step = steps[state.place];
  const { train, val } = lossesAt(network, frame), ended = network.steps[frame] < step ? `, where this network ended` : "";
  byId("frame").value = state.place;
  byId("frame").setAttribute("aria-valuetext", `step ${grouped(step)}`);
  byId("step").textContent = `step ${grouped(step)} of ${grouped(steps.at(-1))}`;
  byId("summary").textContent = `Step ${grouped(network.steps[frame])}${ended}: ${train ? `training loss ${train}, ` : ""}validation loss ${val}.`;
  drawGraph(network, frame);
  document.querySelectorAll("#maps canvas").forEach((canvas) => {
    drawLearned(canvas, network, frame, canvas.dataset.kind);
    canvas.setAttribute("aria-label", canvas.dataset.kind === "true" ? "The true values, as a map" : `What the network predicts at step ${grouped(step)}; validation loss ${val}`);
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
  byId("side-text").textContent = new Set(networks.map((each) => each.scene.table)).size > 1 ? "The networks have learned from different tables." : "The networks have learned from the same table.";
  byId("cards").replaceChildren(...networks.map((_, place) => {
    const card = element("button", { type: "button" }, element("canvas", { "aria-hidden": "true" }), element("span"));
    card.addEventListener("click", () => choose({ network: place }));
    return card;
  }));
}
choose({});
document.body.dataset.drawn = "";
