// The choice of precomputed settings: each is a page of its own.
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-em-switch]") && target.value) location.href = target.value;
  if (!target.matches("[data-em-choice]")) return;
  const fields = [...document.querySelectorAll("[data-em-choice]")];
  const first = (field) => [...field.options].find((option) => option.value).value;
  const wanted = fields.map((field) => field.value || first(field)).join("|");
  const page = [...document.querySelectorAll("[data-em-page]")].find((link) => link.dataset.emPage === wanted);
  if (page) location.href = page.getAttribute("href");
});
