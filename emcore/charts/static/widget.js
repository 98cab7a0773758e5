// The widget: its state (see `LiveChart.get_state`) in, the moves of controls and handles out.

function render({ model, el }) {
  const alone = "__MARIMO_STATIC__" in globalThis; // an exported page: nobody answers a handle
  const root = node("div", alone ? "em-live em-alone" : "em-live"), stage = node("div", "em-stage");
  const layer = node("div", "em-layer"), panel = node("div", "em-controls");
  stage.style.minHeight = `${model.get("height")}px`;
  const picture = new Picture(stage);
  stage.append(layer);
  root.append(stage, saveButtons(picture), panel);
  el.append(root);

  const pace = paced(() => model.save_changes());
  const handles = new Handles(layer, () => { model.set("handles", handles.points.map((p) => [...p])); pace.ask(); });
  panel.hidden = model.get("quiet");
  const controls = new Controls(panel, model.get("link"), (name, value) => {
    picture.view?.signal(name, value).runAsync();
    const shared = model.get("params");
    if (name in shared) { model.set("params", { ...shared, [name]: value }); pace.ask(); }
  });

  let busy = false, again = false, alive = true;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      do { again = false; await draw(); } while (again && alive);
    } catch (error) {
      root.dataset.error = String(error);
      console.error("live chart:", error);
    } finally { busy = false; }
  }

  async function draw() {
    const shell = model.get("shell");
    if (!Object.keys(shell).length) return; // no chart yet
    controls.show(model.get("controls"));
    const tables = Object.fromEntries(model.get("tables").map((name) => [name, model.get(`table:${name}`)]));
    await picture.show(shell, tables, controls.values());
    for (const [name, value] of Object.entries(controls.values())) { // moved while the picture was in the making
      if (picture.view.signal(name) !== value) await picture.view.signal(name, value).runAsync();
    }
    picture.describe(model.get("description"));
    handles.place(picture.view);
    stage.style.minHeight = ""; // a picture stands; its own height holds the place from now on
    delete root.dataset.error;
    root.dataset.revision = model.get("revision");
    pace.answered();
  }

  layer.inert = alone;
  const onHandles = () => {
    if (handles.dragging) return;
    handles.set(model.get("handles"), model.get("handle_label"));
    handles.place(picture.view);
  };
  const onParams = () => { for (const [name, v] of Object.entries(model.get("params"))) controls.set(name, v); };
  const watched = { "change:revision": refresh, "change:handles": onHandles, "change:params": onParams };
  for (const [event, callback] of Object.entries(watched)) model.on(event, callback);
  const observer = new ResizeObserver(() => { picture.fit().then(() => handles.place(picture.view)); });
  observer.observe(stage);
  onHandles();
  refresh();

  return () => {
    alive = false;
    observer.disconnect();
    for (const [event, callback] of Object.entries(watched)) model.off(event, callback);
    controls.destroy();
    picture.destroy();
  };
}

export default { render };
