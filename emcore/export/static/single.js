// A page that holds every setting: words and charts of each are unpacked when it is chosen.

globalThis.__MARIMO_STATIC__ ??= true; // nobody answers: handles hold still

const FIRST = document.querySelector("main").innerHTML;
let cleanups = [];

async function unpack(packed) {
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

async function show() {
  const place = Number(location.hash.slice(1)) || 0;
  const packed = document.querySelectorAll("script.em-page")[place];
  if (!packed) return;
  const { bar, words, charts } = await unpack(packed.textContent);
  if (place !== (Number(location.hash.slice(1)) || 0)) return; // another one was asked for meanwhile
  const main = document.querySelector("main");
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  if (place > 0 || main.innerHTML !== FIRST) {
    const field = document.activeElement?.getAttribute("aria-label");
    document.querySelector(".em-bar").outerHTML = bar;
    main.innerHTML = words;
    if (field) document.querySelector(`.em-bar [aria-label="${CSS.escape(field)}"]`)?.focus();
    scrollTo(0, 0);
  }
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

addEventListener("hashchange", show);
show();
