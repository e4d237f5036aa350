"use strict";

// Numbers, names, elements and colours.

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
const stepCount = (count) => `${grouped(count)} ${count === 1 ? "step" : "steps"}`;

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
