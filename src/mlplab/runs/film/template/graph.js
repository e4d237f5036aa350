"use strict";

// The network as a graph.

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
