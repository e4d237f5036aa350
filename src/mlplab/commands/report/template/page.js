"use strict";

// Charts: vega-embed draws the specification beside each .chart. Text and lines take the page's colour, dark or light.

const ink = "currentColor"; // which SVG takes from the page around it
const given = JSON.parse(document.getElementById("chart-config").textContent);
const config = {
  ...given,
  background: null,
  axis: { ...given.axis, domainColor: ink, tickColor: ink, gridColor: ink, gridOpacity: 0.12, domainOpacity: 0.4, tickOpacity: 0.4 },
  style: Object.fromEntries(["guide-label", "guide-title", "group-title", "group-subtitle"].map((name) => [name, { fill: ink }])),
  text: { color: ink },
  rule: { color: ink },
  tick: { ...given.tick, color: ink },
};

async function draw(box) {
  const { title, usermeta, ...chart } = JSON.parse(box.nextElementSibling.textContent);
  if (box.classList.contains("fits")) {
    Object.assign(chart, { width: "container", autosize: { type: "fit-x", contains: "padding" } });
  }
  try {
    await window.vegaEmbed(box, chart, {
      actions: false,
      ast: true, // expressions are interpreted: the page's policy forbids compiling them
      config,
      mode: "vega-lite",
      renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
  } catch (error) {
    box.textContent = `This figure cannot be drawn: ${error.message}`;
  }
  box.dataset.drawn = "";
}

document.querySelectorAll(".chart").forEach(draw);
