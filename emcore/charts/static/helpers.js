// Small helpers, shared by the files that follow.

const clamp = (v, lo, hi) => Math.min(Math.max(v, lo), hi);

function node(tag, className, attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
const extent = (domain) => [Math.min(...domain), Math.max(...domain)];
const decimals = (width, parts) => clamp(Math.ceil(-Math.log10(width / parts)), 0, 20);

// Calls `send` at most once per `gap`; while an answer is awaited (see `answered`) it waits for it,
// at most a second, so that a slow kernel is never fed a queue of old positions.
function paced(send, gap = 100, patience = 1000) {
  let last = 0, timer = null, waiting = false;
  const fire = () => { timer = null; last = performance.now(); waiting = true; send(); };
  const schedule = () => {
    clearTimeout(timer);
    const delay = last + (waiting ? patience : gap) - performance.now();
    timer = setTimeout(fire, Math.max(delay, 0));
  };
  return {
    ask: () => { if (timer === null) schedule(); },
    answered: () => { waiting = false; if (timer !== null) schedule(); },
  };
}
