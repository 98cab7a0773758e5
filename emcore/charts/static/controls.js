// Range inputs for bound parameters. They live outside the view, so place and focus outlive it.
// Charts of one page with the same `link` move together, without Python: what one is set to, all are.

const moves = (globalThis[Symbol.for("emcore.moves")] ??= new EventTarget());
const places = (globalThis[Symbol.for("emcore.places")] ??= new Map());

class Controls {
  constructor(element, link, onInput) {
    this.element = element;
    this.link = link;
    this.onInput = onInput;
    this.inputs = new Map();
    this.follow = ({ detail }) => { if (detail.link === this.link) this.set(detail.name, detail.value); };
    if (link) moves.addEventListener("move", this.follow);
  }

  key(name) { return `${this.link} ${name}`; }

  moved(name, value) {
    this.onInput(name, value);
    if (!this.link) return;
    places.set(this.key(name), value);
    moves.dispatchEvent(new CustomEvent("move", { detail: { link: this.link, name, value } }));
  }

  values() {
    return Object.fromEntries([...this.inputs].map(([name, { input }]) => [name, Number(input.value)]));
  }

  // An input keeps its position; the browser itself clamps it to the new minimum and maximum.
  show(controls) {
    for (const [name, { row }] of this.inputs) {
      if (!controls.some((c) => c.name === name)) { row.remove(); this.inputs.delete(name); }
    }
    for (const control of controls) {
      const known = this.inputs.get(control.name);
      const { input, text } = known ?? this.create(control.name);
      for (const key of ["min", "max", "step"]) input.setAttribute(key, control[key]);
      if (!known) input.value = places.get(this.key(control.name)) ?? control.value;
      text.textContent = control.label;
      this.describe(control.name);
    }
  }

  create(name) {
    const row = node("div", "em-control"), label = node("label", "em-label");
    const text = node("span", "em-text"), input = node("input", "em-range", { type: "range", name });
    const value = node("output", "em-value"), play = node("button", "em-play", { type: "button" });
    label.append(text, input);
    row.append(label, value, play);
    this.element.append(row);
    const parts = { row, input, text, value, play, timer: null };
    this.inputs.set(name, parts);
    input.addEventListener("input", () => { this.describe(name); this.moved(name, Number(input.value)); });
    play.addEventListener("click", () => (parts.timer ? this.stop(parts) : this.start(parts)));
    this.stop(parts);
    return parts;
  }

  describe(name) {
    const { input, value } = this.inputs.get(name);
    value.textContent = `${input.value} of ${input.max}`;
    input.setAttribute("aria-valuetext", value.textContent);
  }

  set(name, number) {
    const parts = this.inputs.get(name);
    if (!parts || Number(parts.input.value) === number) return;
    parts.input.value = number;
    parts.input.dispatchEvent(new Event("input"));
  }

  start(parts) {
    const { input, play } = parts;
    if (input.value === input.max) this.set(input.name, Number(input.min));
    parts.timer = setInterval(() => {
      input.stepUp();
      input.dispatchEvent(new Event("input"));
      if (input.value === input.max || !input.isConnected) this.stop(parts);
    }, 700);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
  }

  stop(parts) {
    clearInterval(parts.timer);
    parts.timer = null;
    parts.play.textContent = "▶";
    parts.play.setAttribute("aria-label", "Play");
  }

  destroy() {
    moves.removeEventListener("move", this.follow);
    for (const parts of this.inputs.values()) this.stop(parts);
  }
}
