// A page that holds every setting: words and charts of each are unpacked when it is chosen.

globalThis.__MARIMO_STATIC__ ??= true; // nobody answers: handles hold still

const FIRST = document.querySelector("main").innerHTML;
let cleanups = [];

async function unpack(place) {
  const packed = document.querySelectorAll("script.em-page")[place].textContent;
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function unpackColumns(chart) {
  for (const name of chart.tables) {
    for (const column of Object.values(chart[`table:${name}`].columns)) {
      if (column.kind === "json") continue;
      column.values = new DataView(Uint8Array.from(atob(column.values), (c) => c.charCodeAt(0)).buffer);
    }
  }
  return chart;
}

function mount(place, chart) {
  const state = unpackColumns(chart);
  const model = {
    get: (key) => state[key], set: (key, value) => { state[key] = value; }, save_changes() {}, on() {}, off() {},
  };
  cleanups.push(render({ model, el: place }));
}

async function show(place) {
  const { words, charts } = await unpack(place);
  const main = document.querySelector("main");
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  if (place > 0 || main.innerHTML !== FIRST) main.innerHTML = words;
  document.documentElement.dataset.setting = place;
  const closed = new Map(); // a chart under a closed title is drawn when that is opened
  for (const slot of main.querySelectorAll(".em-chart")) {
    const fold = slot.closest("details:not([open])");
    const draw = () => mount(slot, charts[slot.dataset.model]);
    if (fold) closed.set(fold, [...(closed.get(fold) ?? []), draw]);
    else draw();
  }
  for (const [fold, draws] of closed) {
    fold.addEventListener("toggle", () => { for (const draw of draws.splice(0)) draw(); });
  }
}

function choose(place) {
  if (!document.querySelectorAll("script.em-page")[place]) return;
  const fields = [...document.querySelectorAll("[data-em-choice]")];
  const pages = [...document.querySelectorAll("[data-em-page]")];
  const values = pages.find((link) => link.hash === `#${place}`)?.dataset.emPage.split("|");
  fields.forEach((field, i) => { field.value = values ? values[i] : ""; });
  const list = document.querySelector("[data-em-switch]");
  list.value = [...list.options].some((option) => option.value === `#${place}`) ? `#${place}` : "";
  show(place);
}

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-em-switch]") && target.value) choose(Number(target.value.slice(1)));
  if (!target.matches("[data-em-choice]")) return;
  const fields = [...document.querySelectorAll("[data-em-choice]")];
  const first = (field) => [...field.options].find((option) => option.value).value;
  const wanted = fields.map((field) => field.value || first(field)).join("|");
  const page = [...document.querySelectorAll("[data-em-page]")].find((link) => link.dataset.emPage === wanted);
  if (page) choose(Number(page.hash.slice(1)));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-em-switch]");
  if (!link) return;
  event.preventDefault();
  choose(Number(link.dataset.emSwitch));
  scrollTo(0, 0);
});
choose(Number(location.hash.slice(1)) || 0);
