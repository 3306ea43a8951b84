// Sorting, filters and figures. It only reads what stands in the page, and writes no HTML.
"use strict";

(function () {
  function sortValue(row, index) {
    const cell = row.cells[index];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }

  // Missing values stay at the end in both directions; equal rows keep their order.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "string") return sign * a.localeCompare(b, "en");
    return sign * (a - b);
  }

  function sortBy(table, header) {
    const first = header.dataset.first === "descending" ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = header.getAttribute("aria-sort") === first ? other : first;
    for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [sortValue(row, header.cellIndex), row]);
    keyed.sort((one, two) => compare(one[0], two[0], sign));
    body.append(...keyed.map((pair) => pair[1]));
  }

  function fits(row, form) {
    for (const field of form.elements) {
      const wanted = field.value;
      if (!field.name || wanted === "") continue;
      if (field.name === "text") {
        if (!row.textContent.toLowerCase().includes(wanted.trim().toLowerCase())) return false;
      } else if (!(row.dataset[field.name] || "").split(" ").includes(wanted)) {
        return false;
      }
    }
    return true;
  }

  function filter(form) {
    const rows = Array.from(document.getElementById(form.dataset.table).tBodies[0].rows);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !fits(row, form);
      shown += row.hidden ? 0 : 1;
    }
    form.querySelector("output").textContent = shown + " of " + rows.length + " shown";
  }

  function draw(place) {
    const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: place.dataset.figure === "curves",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    };
    if (window.matchMedia("(max-width: 600px)").matches) {
      config.displayModeBar = false;
      figure.layout.dragmode = false; // a finger scrolls the page
      figure.layout.font.size = 11;
      const named = figure.data.filter((trace) => trace.name && trace.showlegend).length;
      figure.layout.height += 12 * named; // one name per line below the curves
      figure.layout.margin.b += 12 * named;
    }
    window.Plotly.newPlot(place, figure.data, figure.layout, config);
  }

  document.addEventListener("DOMContentLoaded", function () {
    for (const table of document.querySelectorAll("table.sortable")) {
      for (const header of table.tHead.rows[0].cells) {
        header.querySelector("button").addEventListener("click", () => sortBy(table, header));
      }
    }
    for (const form of document.querySelectorAll("form.filters")) {
      form.addEventListener("input", () => filter(form));
      form.addEventListener("submit", (event) => event.preventDefault());
      filter(form);
    }
    if (window.Plotly) document.querySelectorAll("[data-figure]").forEach(draw);
  });
})();
