"use strict";
// A page works without any script: what is folded is <details>. What is added: all of it at once, and on paper. Details
// that a page marks with data-paper="closed" stay folded there.
const all = (selector) => document.querySelectorAll(selector);

const buttons = document.getElementById("open-all");
buttons.hidden = !all("details").length;
buttons.addEventListener("click", (event) => {
  if (!(event.target instanceof HTMLButtonElement)) return;
  for (const details of all("details")) details.open = event.target.dataset.open === "1";
});

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...all('details:not([open], [data-paper="closed"])')];
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
