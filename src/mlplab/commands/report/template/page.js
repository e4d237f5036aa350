"use strict";

// Charts: vega-embed draws each specification that stands beside a .chart. Its text takes the page's colour.

const config = JSON.parse(document.getElementById("chart-config").textContent);

// A single view follows the width of its box; the views of a larger figure keep theirs, and the box scrolls.
function fitted(specification, box) {
  const single = specification.mark || specification.layer;
  const { facet, row, column } = specification.encoding ?? {};
  if (!single || facet || row || column || typeof specification.width !== "number") {
    box.tabIndex = 0;
    return specification;
  }
  box.classList.add("fits");
  box.style.maxWidth = `${specification.width + 140}px`;
  return { ...specification, width: "container", autosize: { type: "fit-x", contains: "padding" } };
}

async function draw(box) {
  try {
    const specification = fitted(JSON.parse(box.nextElementSibling.textContent), box);
    await window.vegaEmbed(box, specification, {
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

// Tables of runs: the page holds the first rows, and the rest as data.

const PAGE = 200;

function value(text) {
  const number = text === "" ? NaN : Number(text);
  return Number.isNaN(number) ? text : number;
}

// Numbers before text, and a dash, which stands for a missing value, last in both directions.
function compare(one, other, direction) {
  if (one === "–" || other === "–") return (one === "–") - (other === "–");
  if (typeof one === typeof other) {
    const order = typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
    return direction * order;
  }
  return direction * (typeof one === "number" ? -1 : 1);
}

function sortable(table) {
  const section = table.closest("section");
  const [body] = table.tBodies;
  const [header] = table.tHead.rows;
  const text = new Set(JSON.parse(table.dataset.text));
  const best = new Set(JSON.parse(table.dataset.best));
  const more = section.querySelector("script.more");
  const cells = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  const runs = cells
    .concat(more ? JSON.parse(more.textContent) : [])
    .map((texts, index) => ({ texts, values: texts.map(value), best: best.has(index) }));
  let shown = PAGE;

  function row(run) {
    const element = document.createElement("tr");
    element.classList.toggle("best", run.best);
    run.texts.forEach((each, index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      cell.classList.toggle("number", !text.has(index));
      cell.textContent = each;
      element.append(cell);
    });
    return element;
  }

  function render() {
    body.replaceChildren(...runs.slice(0, shown).map(row));
    const line = section.querySelector("p.more");
    if (!line) return;
    const [some, all] = [Math.min(shown, runs.length), runs.length].map((each) => each.toLocaleString("en"));
    line.querySelector("span").textContent = `${some} of ${all} runs are shown.`;
    line.querySelector("button").hidden = shown >= runs.length;
  }

  for (const button of header.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const column = button.parentElement;
      const descending = column.getAttribute("aria-sort") === "ascending";
      for (const each of header.cells) each.removeAttribute("aria-sort");
      column.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const index = column.cellIndex;
      runs.sort((one, other) => compare(one.values[index], other.values[index], descending ? -1 : 1));
      render();
    });
  }
  section.querySelector("p.more button")?.addEventListener("click", () => {
    shown += PAGE;
    render();
  });
}

// On paper, everything is open.

function openForPrint(media) {
  for (const details of document.querySelectorAll("details")) {
    if (media.matches) {
      details.dataset.open = details.open;
      details.open = true;
    } else if ("open" in details.dataset) {
      details.open = details.dataset.open === "true";
    }
  }
}

matchMedia("print").addEventListener("change", openForPrint);
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".chart").forEach(draw);
