/* “Add another” for repeated forms. */
document.querySelectorAll("[data-add-form]").forEach((button) => {
  const prefix = button.dataset.addForm;
  const total = document.getElementById(`id_${prefix}-TOTAL_FORMS`);
  const template = document.getElementById(`${prefix}-more`);
  button.addEventListener("click", () => {
    const holder = document.createElement("div");
    holder.innerHTML = template.innerHTML.replaceAll("__prefix__", total.value);
    document.getElementById(`${prefix}-add`).before(...holder.children);
    total.value = Number(total.value) + 1;
  });
});
