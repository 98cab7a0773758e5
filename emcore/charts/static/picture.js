// One Vega view, created once. A new table is a changeset; a new specification is built out of sight and
// swapped in when it has been drawn. `LIBRARY` (vega-embed, gzipped, base64) comes from live.py.

const loaded = Symbol.for("emcore.vega");

async function load() {
  const packed = Uint8Array.from(atob(LIBRARY), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(stream).text()], { type: "text/javascript" }));
  return (await import(url)).default;
}

const library = () => (globalThis[loaded] ??= load());

class Picture {
  constructor(stage) {
    this.stage = stage;
    this.tables = {}; // last packed table drawn, by name
    this.shell = null;
  }

  get view() { return this.embedded?.view; }

  async show(shell, tables, signals) {
    const text = JSON.stringify(shell);
    const sources = this.embedded?.vgSpec.data ?? [];
    if (text === this.shell && sources.every(byHand)) await this.patch(sources, tables, signals);
    else await this.rebuild(shell, tables, signals);
    this.shell = text;
    this.tables = tables;
  }

  async patch(sources, tables, signals) {
    for (const [name, value] of Object.entries(signals)) this.view.signal(name, value);
    for (const { name, format } of sources) {
      if (!tables[name] || tables[name] === this.tables[name]) continue;
      this.view.data(name, rowsOf(tables[name], format?.parse));
    }
    await this.layout();
  }

  async rebuild(shell, tables, signals) {
    const vegaEmbed = await library();
    const frame = node("div", "em-frame em-offstage");
    this.stage.append(frame); // laid out at its final width, but not seen
    const patch = (vg) => {
      for (const source of vg.data ?? []) if (tables[source.name]) source.values = rowsOf(tables[source.name]);
      for (const signal of vg.signals ?? []) if (signal.name in signals) signal.value = signals[signal.name];
      return vg;
    };
    let embedded;
    try {
      embedded = await vegaEmbed(frame, shell, { mode: "vega-lite", renderer: "svg", actions: false, patch });
      await embedded.view.runAsync();
    } catch (error) {
      frame.remove();
      throw error;
    }
    const [old, oldFrame] = [this.embedded, this.frame];
    this.embedded = embedded;
    this.frame = frame;
    this.width = frame.clientWidth;
    frame.classList.remove("em-offstage");
    oldFrame?.remove();
    old?.finalize();
  }

  // Labels may have become wider, and a fitted view forgets the width that it was fitted to.
  layout() {
    this.width = this.frame.clientWidth;
    if (JSON.parse(this.shell).width === "container" && this.width > 0) this.view.signal("width", this.width);
    return this.view.resize().runAsync();
  }

  // What a screen reader says of the picture; it changes with every run, so it is no part of the shell.
  describe(text) {
    const target = this.frame.querySelector('[role="graphics-document"]') ?? this.frame;
    if (text) target.setAttribute("aria-label", text);
  }

  async fit() {
    if (this.view && this.frame.clientWidth !== this.width) await this.layout();
  }

  destroy() { this.embedded?.finalize(); }
}
