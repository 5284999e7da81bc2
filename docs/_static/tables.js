/* On a phone each row of a table is a block: every cell gets the heading of its column. */
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("article table.docutils")) {
    const headings = [...table.querySelectorAll("thead th")];
    if (!headings.length) continue;
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        cell.dataset.heading = headings[column]?.textContent ?? "";
      });
    }
    table.classList.add("blocks");
  }
});
