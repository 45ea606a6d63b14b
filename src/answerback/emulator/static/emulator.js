// The page works without this: it refreshes itself while calls live, copies programs, and keeps number and ending in step.
"use strict";

const words = document.body.dataset;
const ending = document.getElementById("ending");
const number = document.getElementById("number");

if (ending && number) {
  ending.addEventListener("change", () => {
    if (ending.value) number.value = number.value.slice(0, -3) + ending.value;
  });
  number.addEventListener("input", () => {
    const last = number.value.replace(/\D/g, "").slice(-3);
    ending.value = [...ending.options].some((option) => option.value === last) ? last : "";
  });
}

for (const program of document.querySelectorAll("pre.program")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button copy";
  button.textContent = words.copy;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(program.textContent);
      button.textContent = words.copied;
      setTimeout(() => (button.textContent = words.copy), 2000);
    } catch {
      getSelection().selectAllChildren(program); // forbidden by the browser: ready for the keys at least
    }
  });
  program.before(button);
}

for (const link of document.querySelectorAll("[data-reload]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    location.reload();
  });
}

// Never under the hands of somebody who reads, types or chooses.
const isBusy = () => document.hidden || document.activeElement !== document.body || !getSelection().isCollapsed;

if ("live" in words) setInterval(() => isBusy() || location.reload(), 1500);
