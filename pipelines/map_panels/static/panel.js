// One picture: a slice of one map of one scan, with colour bar, edges of the patient, cursor and region.

import { statistics, valuesIn } from "/region.js";
import { element, number, quantity, withSpread } from "/words.js";

const SVG = "http://www.w3.org/2000/svg";

function shape(name, parent, dark) {
  const made = document.createElementNS(SVG, name);
  if (dark) made.setAttribute("class", "dark");
  parent.append(made);
  return made;
}

export class Panel {
  /**
   * shown: what is known of the maps of a scan; about: an entry of its `maps`; slice: the index; values: Float32Array;
   * heard: an object with the functions point(x, y), drag(region), key(event), which get voxels and mm.
   */
  constructor(shown, about, slice, values, heard) {
    this.about = about;
    this.values = values;
    const [, ny, nx] = shown.shape;
    const [dx, dy] = shown.pixel_mm;
    this.grid = { nx, ny, dx, dy };
    const where = shown.slices[slice];
    this.canvas = element("canvas", { width: nx, height: ny });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${nx} ${ny}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.marks = [true, false].map((dark) => ({
      cross: shape("path", this.svg, dark),
      circle: shape("ellipse", this.svg, dark),
    }));
    this.map = element("div", {
      class: "map", tabindex: "0", role: "application", "aria-roledescription": "map",
      "aria-label": `${about.title}, slice ${where.slice + 1}. Arrow keys move the cursor, R sets a region.`,
    });
    this.map.style.aspectRatio = `${nx * dx} / ${ny * dy}`;
    const edges = ["left", "right", "top", "bottom"];
    this.map.append(
      this.canvas, this.svg, ...edges.map((edge) => element("span", { class: `edge ${edge}` }, where[edge])),
    );
    this.bar = element("canvas", { width: 1, height: 256 });
    this.ticks = element("div", { class: "ticks" });
    this.legend = element("ul", { class: "legend" });
    this.legend.hidden = !about.codes;
    this.value = element("output", { class: "values value", "aria-live": "off" });
    this.summary = element("output", { class: "values summary", "aria-live": "off" });
    this.scanName = element("span", { class: "scan-name quiet" });
    const title = about.title + (about.unit === "1" ? "" : ` (${about.unit})`);
    const valid = element("span", { class: "quiet" }, about.valid === "tissue" ? "" : ` where ${about.valid}`);
    this.figure = element(
      "figure", { "data-map": about.name },
      element("figcaption", {}, title, valid, this.scanName),
      element("div", { class: "picture" }, this.map, element("div", { class: "bar", hidden: Boolean(about.codes) && "" }, this.bar, this.ticks)),
      this.legend, this.value, this.summary,
    );
    this.listen(heard);
  }

  listen(heard) {
    let centre = null;
    this.map.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.map.setPointerCapture(event.pointerId);
      centre = this.voxel(event);
    });
    this.map.addEventListener("pointermove", (event) => {
      const [x, y] = this.voxel(event);
      if (centre) heard.drag(this.circle(centre, [x, y]));
      else heard.point(x, y);
    });
    this.map.addEventListener("pointerup", (event) => {
      if (!centre) return;
      const [x, y] = this.voxel(event);
      heard.point(...centre);
      if (x !== centre[0] || y !== centre[1]) heard.drag(this.circle(centre, [x, y]));
      centre = null;
    });
    this.map.addEventListener("pointercancel", () => (centre = null));
    this.map.addEventListener("keydown", (event) => heard.key(event));
  }

  /** The voxel under a pointer; the nearest one if the pointer has left the map. */
  voxel(event) {
    const box = this.canvas.getBoundingClientRect();
    const inside = (index, n) => Math.max(0, Math.min(n - 1, Math.floor(index)));
    return [
      inside(((event.clientX - box.left) / box.width) * this.grid.nx, this.grid.nx),
      inside(((event.clientY - box.top) / box.height) * this.grid.ny, this.grid.ny),
    ];
  }

  circle([x, y], [toX, toY]) {
    return { x, y, radius: Math.hypot((toX - x) * this.grid.dx, (toY - y) * this.grid.dy) };
  }

  /** Draw the values in the window [low, high]; table: the colours as [red, green, blue], the last for invalid voxels. */
  draw(low, high, table) {
    const scale = this.about.logarithmic && low > 0 ? Math.log : (value) => value;
    const [first, last] = [scale(low), scale(high)];
    const n = table.length - 1;
    const colour = (value) => {
      if (Number.isNaN(value)) return table[n];
      const part = (scale(value) - first) / (last - first);
      return table[Math.max(0, Math.min(n - 1, Math.floor(part * n)))];
    };
    paint(this.canvas, this.values, colour);
    paint(this.bar, Array.from({ length: n }, (_, i) => n - 1 - i), (i) => table[i]);
    if (this.about.codes) this.explain(colour);
    const middle = scale === Math.log ? Math.sqrt(low * high) : (low + high) / 2;
    this.ticks.replaceChildren(
      ...[high, middle, low].map((value) => element("span", {}, number(value, this.about.unit))),
    );
  }

  /** List the codes of the slice, the most frequent one first; colour: a function of a code. */
  explain(colour) {
    const tally = this.tally(this.values);
    const total = tally.reduce((sum, [, n]) => sum + n, 0);
    this.legend.replaceChildren(...tally.map(([code, n]) => {
      const sample = element("span", { class: "sample" });
      sample.style.background = `rgb(${colour(code).join(" ")})`;
      return element("li", {}, sample, `${this.meaning(code)}: ${((100 * n) / total).toFixed(1)} %`);
    }));
  }

  /** Pairs [code, number of voxels], the most frequent one first. */
  tally(values) {
    const found = new Map();
    for (const code of values) if (!Number.isNaN(code)) found.set(code, (found.get(code) ?? 0) + 1);
    return [...found].sort(([, n], [, m]) => m - n);
  }

  meaning(code) {
    return this.about.codes[code] ?? `code ${code}`;
  }

  /** A value in words. */
  wordsOf(value) {
    if (Number.isNaN(value)) return "not valid";
    return this.about.codes ? this.meaning(value) : quantity(value, this.about.unit);
  }

  /** Show the cursor {x, y} and the region {x, y, radius}; null removes one. */
  mark(cursor, region) {
    const { nx, ny, dx, dy } = this.grid;
    const inside = cursor && cursor.x < nx && cursor.y < ny;
    for (const { cross, circle } of this.marks) {
      const [x, y] = inside ? [cursor.x + 0.5, cursor.y + 0.5] : [0, 0];
      const [w, h] = [nx / 40, ny / 40];
      cross.setAttribute("d", inside ? `M${x - w} ${y}H${x + w}M${x} ${y - h}V${y + h}` : "");
      circle.setAttribute("cx", region ? region.x + 0.5 : 0);
      circle.setAttribute("cy", region ? region.y + 0.5 : 0);
      circle.setAttribute("rx", region ? region.radius / dx : 0);
      circle.setAttribute("ry", region ? region.radius / dy : 0);
    }
    const value = inside ? this.values[cursor.y * nx + cursor.x] : NaN;
    this.value.dataset.value = value;
    this.value.textContent = inside ? `(${cursor.x}, ${cursor.y}): ${this.wordsOf(value)}` : "";
    this.summary.textContent = region ? this.summaryOf(region) : "";
  }

  summaryOf(region) {
    const found = valuesIn(this.values, this.grid, region);
    const { n, mean, deviation } = statistics(found);
    Object.assign(this.summary.dataset, { n, mean, deviation });
    if (n === 0) return "Region: no valid voxels";
    if (this.about.codes) return `Region: ${this.tally(found).map(([code, k]) => `${k} ${this.meaning(code)}`).join(", ")}`;
    const [middle, spread] = withSpread(mean, deviation, this.about.unit);
    const unit = this.about.unit === "1" ? "" : ` ${this.about.unit}`;
    return `Region: ${middle} ± ${spread}${unit} (mean ± SD, n = ${n})`;
  }

  /** Value and region in words, for a screen reader. */
  get words() {
    return [this.about.title, this.value.textContent, this.summary.textContent].filter(Boolean).join(", ");
  }
}

function paint(canvas, values, colour) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < values.length; i++) {
    const [red, green, blue] = colour(values[i]);
    image.data.set([red, green, blue, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
