// Points that mouse, finger and arrow keys move, laid over the view through its scales.

class Handles {
  constructor(layer, onMove) {
    this.layer = layer;
    this.onMove = onMove;
    this.points = [];
    this.dragging = null;
  }

  // `points` are [x, y] in data coordinates, or [x] for a handle that slides along the x axis.
  set(points, label) {
    this.label = label;
    this.points = points.map((p) => [...p]);
    while (this.layer.children.length > points.length) this.layer.lastChild.remove();
    while (this.layer.children.length < points.length) this.create(this.layer.children.length);
  }

  create(index) {
    const handle = node("div", "em-handle", { tabindex: "0", role: "slider" });
    handle.append(node("span", "em-dot"));
    handle.firstChild.textContent = index; // numbered from 0, as components are
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true });
      const [x, y] = this.pixels(index);
      this.dragging = { dx: x - event.clientX, dy: y - event.clientY };
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (this.dragging) this.move(index, event.clientX + this.dragging.dx, event.clientY + this.dragging.dy);
    });
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => { this.dragging = null; });
    handle.addEventListener("keydown", (event) => this.key(index, event));
    this.layer.append(handle);
  }

  key(index, event) {
    const [right, down] =
      { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!right && !down) return;
    event.preventDefault();
    const part = event.shiftKey ? 0.1 : 0.01; // of the axis
    const [x, y] = this.pixels(index);
    this.move(index, x + right * part * this.view.width(), y + down * part * this.view.height());
  }

  axes(index) { return this.points[index].length === 1 ? ["x"] : ["x", "y"]; }

  pixels(index) {
    const [x, y] = this.points[index];
    return [this.view.scale("x")(x), y === undefined ? this.view.height() : this.view.scale("y")(y)];
  }

  move(index, ...pixels) {
    this.points[index] = this.axes(index).map((axis, i) => {
      const scale = this.view.scale(axis), [lo, hi] = extent(scale.domain());
      const value = clamp(scale.invert(pixels[i]), lo, hi);
      return clamp(Number(value.toFixed(decimals(hi - lo, 1e4))), lo, hi);
    });
    this.place();
    this.onMove();
  }

  place(view = this.view) {
    this.view = view;
    if (!view || !this.points.length) return;
    const [left, top] = view.origin(), padding = view.padding();
    this.layer.style.transform = `translate(${left + padding.left}px, ${top + padding.top}px)`;
    this.points.forEach((point, index) => {
      const handle = this.layer.children[index], [x, y] = this.pixels(index);
      const at = this.axes(index).map((axis, i) => {
        const [lo, hi] = extent(view.scale(axis).domain());
        return point[i].toFixed(decimals(hi - lo, 100));
      });
      const place = at.length > 1 ? `(${at.join(", ")})` : at[0];
      const [lo, hi] = extent(view.scale("x").domain());
      handle.style.transform = `translate(${x}px, ${y}px)`;
      handle.setAttribute("aria-label", `${this.label} ${index} at ${place}`);
      handle.setAttribute("aria-valuetext", place);
      for (const [key, v] of Object.entries({ min: lo, max: hi, now: point[0] })) handle.setAttribute(`aria-value${key}`, v);
    });
  }
}
