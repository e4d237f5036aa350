"use strict";

// Charts: vega-embed draws the specification beside each .chart. Its text takes the page's colour.

const config = JSON.parse(document.getElementById("chart-config").textContent);

async function draw(box) {
  try {
    await window.vegaEmbed(box, JSON.parse(box.nextElementSibling.textContent), {
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

// Numbers before text, and a dash, which stands for a missing value, last in both directions.
function compare(one, other, direction) {
  if (one === "–" || other === "–") return (one === "–") - (other === "–");
  if (isNaN(one) !== isNaN(other)) return direction * (isNaN(one) - isNaN(other));
  return direction * (isNaN(one) ? one.localeCompare(other, "en", { numeric: true }) : one - other);
}

function sort(table, column) {
  const descending = column.getAttribute("aria-sort") === "ascending";
  for (const other of column.parentElement.cells) other.removeAttribute("aria-sort");
  column.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const text = (row) => row.cells[column.cellIndex].textContent;
  const [body] = table.tBodies;
  body.append(...[...body.rows].sort((one, other) => compare(text(one), text(other), descending ? -1 : 1)));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => sort(table, button.parentElement));
  }
}
document.querySelectorAll(".chart").forEach(draw);
