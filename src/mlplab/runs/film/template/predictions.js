"use strict";

// What a network has learned: a map of two columns, a curve over one, or points.

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
  const names = { x: scene.columns[0], y: scene.columns[1] };
  const scale = (kind === "small" ? bare : framed)(opening, ends(first), ends(second), names);
  const [left, right] = ends(first).map(scale.x), [bottom, top] = ends(second).map(scale.y);
  const box = [left, top, right - left, bottom - top], shape = [first.length, second.length];
  scale.clip();
  if (kind === "true" && scene.true) {
    drawSurface(opening, box, shape, targetColours(scene, scene.true.values));
  } else if (kind === "true") {
    dots(context, scene, (x, y) => [scale.x(x), scale.y(y)]);
  } else {
    drawSurface(opening, box, shape, surfaceColours(network, frame));
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
  byId("learned-title").textContent = scene.axes ? `What it has learned: ${scene.target} over ${over}` : scene.classes.length ? "Validation rows: probability of the actual class" : "Validation rows: predicted over actual";
  byId("learned-text").textContent = scene.axes
    ? (two ? "" : `Line: the network${scene.true ? "; dashed: the true function" : ""}; dots: training rows.`)
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
