"use strict";
const filter = document.getElementById("filter");
const articles = [...document.querySelectorAll("article")];

function fits(article, clause, outcome) {
  const { clause: its, outcome: had, move } = article.dataset;
  return (!clause || clause === its) && (!outcome || outcome === had || outcome === move);
}

function show() {
  const { clause, outcome } = Object.fromEntries(new FormData(filter));
  let shown = 0;
  for (const article of articles) {
    article.hidden = !fits(article, clause, outcome);
    shown += !article.hidden;
  }
  for (const group of document.querySelectorAll("section.clause, details.more")) {
    const left = group.querySelectorAll("article:not([hidden])").length;
    group.hidden = !left && Boolean(clause || outcome);
    if (group.tagName === "DETAILS" && outcome) group.open = left > 0;
  }
  filter.querySelector("output").textContent = `${shown} on this page`;
}

function open(selector) {
  for (const details of document.querySelectorAll(selector)) details.open = true;
}

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    target.scrollIntoView();
  }
}

if (filter) {
  filter.hidden = false;
  filter.addEventListener("change", show);
  filter.addEventListener("submit", (event) => event.preventDefault());
}
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => open("details.failing"));
openTarget();
