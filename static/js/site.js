/* What every page has: light or dark, copy buttons, times in words, and the search box that takes a dropped file.
   gettext, ngettext and interpolate are Django's; they come with the catalog of the page's language (words.js). */

import { drawParcel, bytesOfHex } from "./parcel.js";

/* A cookie, so that the server already writes the choice into the page and nothing flashes. */
function switchTheme(button) {
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });
}

function copyButton(name, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = gettext("Copy");
  button.setAttribute("aria-label", interpolate(gettext("Copy %(name)s"), { name }, true));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = gettext("Copied");
    setTimeout(() => { button.textContent = gettext("Copy"); }, 2000);
  });
  return button;
}

function offerCopy(element) {
  element.after(" ", copyButton(element.dataset.name || element.dataset.copy, element.dataset.copy));
}

/* Above the text, so that it covers no letter and comes before it by keyboard. */
function offerBlockCopy(element) {
  const holder = document.createElement("div");
  holder.className = "block";
  element.before(holder);
  holder.append(copyButton(element.dataset.copyBlock, element.textContent), element);
}

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];

function relative(time) {
  let amount = (new Date(time.dateTime) - Date.now()) / 1000;
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) {
      return new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" }).format(Math.round(amount), unit);
    }
    amount /= size;
  }
  return "";
}

/* In place of the moment, beside it, or, where the moment is enough, for whoever points at it. */
function sayRelative(time) {
  if (time.dataset.ago !== undefined) time.textContent = relative(time);
  else if (time.dataset.relative !== undefined) time.textContent += ` · ${relative(time)}`;
  else time.title = relative(time);
}

/* A dropped file is hashed here; only its SHA-256 leaves the browser. */
async function lookUpFile(input, file) {
  const limit = 2 ** 30;
  if (file.size > limit) {
    input.value = "";
    const words = gettext("%(name)s has %(size)s bytes; the browser looks up files of at most %(limit)s. Use: cadastre lookup");
    input.placeholder = interpolate(words, { name: file.name, size: file.size, limit }, true);
    return;
  }
  input.value = "";
  input.placeholder = interpolate(gettext("Hashing %(name)s …"), { name: file.name }, true);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  location.assign(`${input.dataset.lookUp}?sha256=${hex}&name=${encodeURIComponent(file.name)}`);
}

function takeDrops(input) {
  for (const type of ["dragenter", "dragover"]) {
    input.addEventListener(type, (event) => { event.preventDefault(); input.classList.add("over"); });
  }
  input.addEventListener("dragleave", () => input.classList.remove("over"));
  input.addEventListener("drop", (event) => {
    event.preventDefault();
    input.classList.remove("over");
    if (event.dataTransfer.files.length) lookUpFile(input, event.dataTransfer.files[0]);
  });
}

function dress(part) {
  part.querySelectorAll("[data-copy]").forEach(offerCopy);
  part.querySelectorAll("[data-copy-block]").forEach(offerBlockCopy);
  part.querySelectorAll("time[datetime]").forEach(sayRelative);
  part.querySelectorAll("[data-parcel]").forEach((element) => {
    element.innerHTML = drawParcel(bytesOfHex(element.dataset.parcel), Number(element.dataset.size || 96), gettext("parcel mark"));
  });
}

document.querySelectorAll("[data-theme-switch]").forEach(switchTheme);
document.querySelectorAll("[data-look-up]").forEach(takeDrops);
dress(document);
document.addEventListener("htmx:afterSwap", (event) => dress(event.target));
