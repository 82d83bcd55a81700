/* Keeps what is typed into a form in this browser until it is saved, so that a reload or a closed page loses nothing.
   The name of what is kept holds the draft's revision: what was typed into an older state is never put over a newer one. */

function fieldsOf(form) {
  return [...form.elements].filter((each) => each.name && !["hidden", "file", "submit", "button"].includes(each.type));
}

function keep(form, name) {
  const typed = fieldsOf(form).map((each) => [each.name, each.type, each.value, each.checked]);
  localStorage.setItem(name, JSON.stringify(typed));
}

/* Rows that were added come back before what was typed into them. */
function addRows(form, typed) {
  const names = new Set(typed.map(([name]) => name));
  for (const button of form.querySelectorAll("[data-add-form]")) {
    const prefix = button.dataset.addForm;
    const total = document.getElementById(`id_${prefix}-TOTAL_FORMS`);
    while ([...names].some((name) => name.startsWith(`${prefix}-${total.value}-`))) button.click();
  }
}

function bringBack(form, typed) {
  addRows(form, typed);
  for (const [name, type, value, checked] of typed) {
    const boxes = type === "checkbox" || type === "radio";
    const field = fieldsOf(form).find((each) => each.name === name && (!boxes || each.value === value));
    if (!field) continue;
    if (boxes) field.checked = checked;
    else field.value = value;
  }
}

/* What was kept of older revisions is of no use any more. */
function forgetOthers(name) {
  const draft = name.slice(0, name.lastIndexOf(":") + 1);
  for (const other of Object.keys(localStorage)) if (other.startsWith(draft) && other !== name) localStorage.removeItem(other);
}

document.querySelectorAll("form[data-keep]").forEach((form) => {
  const name = form.dataset.keep;
  const said = form.querySelector("[data-kept]");
  const kept = localStorage.getItem(name);
  forgetOthers(name);
  if (kept) {
    bringBack(form, JSON.parse(kept));
    said.textContent = gettext("What you typed last time is back. It is not saved yet.");
  }
  form.addEventListener("input", () => {
    keep(form, name);
    said.textContent = gettext("Kept in this browser until you save.");
  });
  form.addEventListener("submit", () => localStorage.removeItem(name));
});
