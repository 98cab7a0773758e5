// The choice of precomputed settings: each is a page of its own.

// The page that has a drop-down's new value, and as many as can be of the others' values.
function pageWith(field) {
  const fields = [...document.querySelectorAll("[data-em-choice]")];
  const place = fields.indexOf(field);
  let best, most = -1;
  for (const link of document.querySelectorAll("[data-em-page]")) {
    const values = JSON.parse(link.dataset.emPage);
    if (values[place] !== field.value) continue;
    const alike = values.filter((value, i) => value === fields[i].value).length;
    if (alike > most) [best, most] = [link, alike];
  }
  return best?.getAttribute("href");
}

document.addEventListener("change", ({ target }) => {
  const switched = target.matches("[data-em-switch]") ? target.value : null;
  const to = target.matches("[data-em-choice]") ? pageWith(target) : switched;
  if (to) location.href = to;
});

// Back on a page that the browser kept, its fields say again what it shows.
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".em-bar select")) {
    field.selectedIndex = [...field.options].findIndex((option) => option.defaultSelected);
  }
});
