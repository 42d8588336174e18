// Bars are links. What is added: the space bar on a bar, and focus that follows.
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
