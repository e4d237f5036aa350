"use strict";

// The film in the page: networks, each with frames. Arrays are packed as bytes.

const byId = (id) => document.getElementById(id);

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.data !== "string") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unpack(each)]));
  }
  const bytes = Uint8Array.from(atob(value.data), (character) => character.charCodeAt(0));
  return { shape: value.shape, values: value.type === "uint8" ? bytes : new Float32Array(bytes.buffer) };
}

// The part of an array at the first indices, as a flat array. An axis of length 1 has the same values at all indices.
function part({ shape, values }, ...indices) {
  const size = shape.slice(indices.length).reduce((a, b) => a * b, 1);
  const place = indices.reduce((sum, index, axis) => sum * shape[axis] + (shape[axis] === 1 ? 0 : index), 0);
  if (indices.some((index, axis) => index >= shape[axis] && shape[axis] > 1)) throw new RangeError(`${indices} of ${shape}`);
  return values.subarray(place * size, (place + 1) * size);
}

const at = (array, ...indices) => part(array, ...indices)[0];

const { networks: members, ...scene } = unpack(JSON.parse(byId("film").textContent));
const networks = members.map((network, number) => ({ ...network, scene, name: members.length > 1 ? `network ${number + 1}` : "" }));
const steps = [...new Set(networks.flatMap((network) => network.steps))].sort((a, b) => a - b);

const state = { network: 0, place: 0, row: 0, layer: 0, unit: 0, timer: 0 };

const shown = () => networks[state.network];

// The frame of a network at a step: its last one if its training had ended by then.
function frameOf(network, step = steps[state.place]) {
  return network.steps.findLastIndex((each) => each <= step);
}
