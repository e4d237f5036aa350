"use strict";

// Charts: vega-embed draws the specification beside each .chart. Its text takes the page's colour.

const config = JSON.parse(document.getElementById("chart-config").textContent);

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
