// The console works without this: it copies what is marked, shows where one is, and closes menus.
"use strict";

const { copy, copied } = document.body.dataset;

for (const source of document.querySelectorAll("[data-copy]:not(body)")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = copy;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.dataset.copy || source.textContent);
      button.textContent = copied;
      setTimeout(() => (button.textContent = copy), 2000);
    } catch {
      getSelection().selectAllChildren(source); // forbidden by the browser: ready for the keys at least
    }
  });
  source.after(button);
}

// A one-time link has its code behind the #. Signing in takes a click on the page that says with which key: whoever opens
// somebody else's link should know whose it is.
const codeField = document.querySelector('input[name="link"]');
const [, code, keyName] = /^#(once\.([a-z0-9_-]+)\..+)$/.exec(codeField ? location.hash : "") || [];
if (code) {
  codeField.value = code;
  codeField.closest(".field").hidden = true;
  const lead = document.getElementById("link-lead");
  lead.querySelector("strong").textContent = keyName;
  lead.hidden = false;
  codeField.form.querySelector("button").focus();
  for (const language of document.querySelectorAll(".languages a")) language.hash = location.hash;
}

const current = document.querySelector(".sections [aria-current]");
const sections = current?.closest(".sections");
if (sections && sections.scrollWidth > sections.clientWidth) {
  sections.addEventListener("scroll", () => sections.classList.toggle("scrolled", sections.scrollLeft > 0));
  sections.scrollLeft = current.offsetLeft - sections.clientWidth / 2;
}

for (const menu of document.querySelectorAll("details.account, details.menu, details.sure, .custom details")) {
  document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
