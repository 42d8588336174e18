"use strict";
// The page works without any of this: bars are links, stages are <details>. What is added: the space bar on a bar,
// focus that follows, all stages at once, and everything open on paper.
const all = (selector) => document.querySelectorAll(selector);

function openStage(id) {
  const stage = document.getElementById(id);
  const details = stage && stage.closest("details");
  if (!details) return;
  details.open = true;
  const summary = details.querySelector("summary");
  summary.focus({ preventScroll: true });
  details.scrollIntoView({ block: "center" });
}

for (const opener of all("a.opener")) {
  const open = (event) => {
    event.preventDefault();
    openStage(opener.getAttribute("href").slice(1));
  };
  opener.addEventListener("click", open);
  opener.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") open(event);
  });
}

const buttons = document.getElementById("open-all");
buttons.hidden = false;
buttons.addEventListener("click", (event) => {
  if (!(event.target instanceof HTMLButtonElement)) return;
  for (const details of all("details")) details.open = event.target.dataset.open === "1";
});

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...all("details:not([open], .between)")];
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
