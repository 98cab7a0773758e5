// Tables: packed columns in, rows out (see `pack` in columns.py).

const ARRAYS = { f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array };

function column({ kind, values, levels, width, places }) {
  if (kind === "json") return JSON.parse(values);
  const bytes = values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength);
  const numbers = new ARRAYS[kind](bytes); // the slice is aligned, the message need not be
  if (width) {
    const list = (place) => Array.from(numbers.subarray(place * width, (place + 1) * width));
    const lists = Array.from({ length: numbers.length / width }, (_, place) => list(place));
    return places.map((place) => lists[place]);
  }
  if (levels) return Array.from(numbers, (code) => (code < 0 ? null : levels[code]));
  return Array.from(numbers, (v) => (Number.isFinite(v) ? v : null));
}

// Vega parses what it loads, not what is put in by hand, so dates are parsed here.
function rowsOf({ length, columns }, parse = {}) {
  const rows = Array.from({ length }, () => ({}));
  for (const [name, packed] of Object.entries(columns)) {
    const date = parse?.[name] === "date";
    column(packed).forEach((v, i) => { rows[i][name] = date && typeof v === "string" ? Date.parse(v) : v; });
  }
  return rows;
}

// Numbers, booleans and strings arrive as such; a date with a pattern needs Vega's own loader.
const byHand = (source) => Object.values(source.format?.parse ?? {}).every((kind) => !kind.includes(":"));
