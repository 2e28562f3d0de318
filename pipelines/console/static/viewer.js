// The maps of a scan, beside those of another one if the reader compares: choice of map, slice, window and region.

import { section } from "/details.js";
import * as node from "/node.js";
import { Panel } from "/panel.js";
import { FIRST_RADIUS_MM, Pointing } from "/pointing.js";
import { title } from "/scan_list.js";
import { byId, element, number, time } from "/words.js";

const nameOf = (scan) => `${title(scan)}, ${time(scan.started)}, ${scan.pipeline}`;

export class Viewer {
  /** changed: called when the reader has chosen another scan, map or slice. */
  constructor(changed) {
    this.changed = changed;
    this.scan = this.other = null;
    this.map = "";
    this.wanted = ""; // the map that the reader has chosen, which provisional maps may lack
    this.slice = 0;
    this.windows = new Map();
    this.panels = [];
    this.pointing = new Pointing(() => this.panels, (step) => this.turn(step), (region) => this.showRegion(region));
    this.drawing = 0;
    const hear = (id, event, act) => byId(id).addEventListener(event, act);
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    hear("map", "change", () => this.choose({ map: byId("map").value, wanted: byId("map").value }));
    hear("slice", "input", () => this.choose({ slice: Number(byId("slice").value) }));
    hear("beside", "change", () => this.draw());
    hear("other", "change", () => this.compare(byId("other").value));
    for (const id of ["low", "high"]) hear(id, "change", () => this.setWindow());
    hear("reset-window", "click", () => this.resetWindow());
    for (const id of ["region-x", "region-y", "region-radius"]) hear(id, "change", () => this.readRegion());
    hear("no-region", "click", () => this.pointing.setRegion(null));
  }

  /** Show a scan; `other`, `map` and `slice` as they were, if the scan has them. */
  async show(id, { map = this.wanted || this.map, slice = this.slice, other = this.other?.id ?? "" } = {}) {
    const found = await node.details(id);
    this.scan = found;
    this.wanted = map;
    byId("hint").hidden = Boolean(found.shown);
    byId("hint").textContent = "This scan has no maps.";
    byId("controls").hidden = byId("keys").hidden = !found.shown;
    byId("viewer-title").textContent = nameOf(found);
    if (found.shown) {
      const maps = found.shown.maps;
      this.map = maps.some((one) => one.name === map) ? map : maps[0].name;
      this.slice = Math.min(slice, found.shown.shape[0] - 1);
      const group = (label, ofThem) =>
        element("optgroup", { label }, ...ofThem.map((one) => element("option", { value: one.name }, one.title)));
      byId("map").replaceChildren(
        group("Maps", maps.filter((one) => !one.is_check)), group("Checks", maps.filter((one) => one.is_check)),
      );
      byId("slice").max = found.shown.shape[0] - 1;
      byId("region-x").max = found.shown.shape[2] - 1;
      byId("region-y").max = found.shown.shape[1] - 1;
    }
    this.other = other && other !== id ? await node.details(other).catch(() => null) : null;
    await this.draw();
    this.changed();
  }

  /** Offer these scans for comparison. */
  offer(scans) {
    const comparable = scans.filter((one) => one.maps.length && one.id !== this.scan?.id);
    const options = comparable.map((one) => element("option", { value: one.id }, nameOf(one)));
    byId("other").replaceChildren(element("option", { value: "" }, "no other scan"), ...options);
    byId("other").value = this.other?.id ?? "";
  }

  async compare(id) {
    this.other = id ? await node.details(id) : null;
    await this.draw();
    this.changed();
  }

  async choose(choice) {
    Object.assign(this, choice);
    await this.draw();
    this.changed();
  }

  about(name, scan = this.scan) {
    return scan?.shown?.maps.find((one) => one.name === name);
  }

  /** Load what is shown now, and draw it; a later call takes the place of an earlier one. */
  async draw() {
    const turn = ++this.drawing;
    const scans = [this.scan, this.other].filter(Boolean);
    const deviation = scans.map((scan) => this.about(this.map, scan)?.standard_deviation).find(Boolean);
    const names = byId("beside").checked && deviation ? [this.map, deviation] : [this.map];
    const wanted = names
      .flatMap((name) => scans.map((scan) => [scan, this.about(name, scan)]))
      .filter(([scan, about]) => about && this.slice < scan.shown.shape[0]);
    const arrays = await Promise.all(wanted.map(([scan, about]) => node.values(scan.id, about.name, this.slice)));
    if (turn !== this.drawing) return;
    const focused = this.panels.findIndex((panel) => panel.map === document.activeElement);
    this.panels = wanted.map(([scan, about], i) => {
      const panel = new Panel(scan.shown, about, this.slice, arrays[i], this.pointing.heard);
      panel.figure.dataset.scan = scan.id;
      this.markProvisional(panel, scan.shown.slices[this.slice].provisional);
      panel.scanName.textContent = this.other ? nameOf(scan) : "";
      return panel;
    });
    byId("panels").replaceChildren(...this.panels.map((panel) => panel.figure));
    if (this.other && !this.about(this.map, this.other)) {
      byId("panels").append(element("p", {}, `${title(this.other)} has no such map.`));
    }
    this.panels[focused]?.map.focus();
    byId("details").replaceChildren(...scans.map((scan) => section(scan, this.map)));
    this.showControls();
    await this.paint();
    this.pointing.mark();
  }

  markProvisional(panel, spokes) {
    if (!spokes) return;
    panel.figure.classList.add("provisional");
    const note = element("span", { class: "provisional-note" }, ` Provisional, ${spokes}`);
    panel.figure.querySelector("figcaption").append(note);
    panel.map.setAttribute("aria-label", `${panel.map.getAttribute("aria-label")} Provisional, ${spokes}.`);
  }

  /** Whether the last slice is shown, which grows if the scan is running. */
  atLastSlice() {
    return this.slice >= (this.scan.shown?.shape[0] ?? 0) - 1;
  }

  /** What a screen reader says when the maps of a running scan have changed. */
  words() {
    const where = this.scan.shown?.slices[this.slice];
    return where ? `${title(this.scan)}, slice ${where.slice + 1}: ${where.provisional ? `provisional, ${where.provisional}` : "final"}` : "";
  }

  showControls() {
    const about = this.about(this.map);
    if (!about) return;
    byId("map").value = this.map;
    byId("slice").value = this.slice;
    const where = this.scan.shown.slices[this.slice];
    byId("slice-name").textContent = `${where.slice + 1}${where.position ? `, ${where.position}` : ""}`;
    byId("unit").textContent = about.unit === "1" ? "" : about.unit;
    const [low, high] = this.windowOf(about);
    byId("low").value = Number(low.toPrecision(4));
    byId("high").value = Number(high.toPrecision(4));
  }

  /** The window of a map: that of the reader, else that of the first scan, so that two scans have the same colours. */
  windowOf(about) {
    const first = this.about(about.name) ?? about;
    return this.windows.get(about.name) ?? [first.low, first.high];
  }

  setWindow() {
    const [low, high] = [byId("low").valueAsNumber, byId("high").valueAsNumber];
    const about = this.about(this.map);
    byId("high").setCustomValidity(high > low ? "" : "The window must end above its start.");
    byId("low").setCustomValidity(about.logarithmic && !(low > 0) ? "Colours follow the logarithm: above 0." : "");
    if (!byId("controls").reportValidity()) return;
    this.windows.set(this.map, [low, high]);
    this.paint();
  }

  resetWindow() {
    this.windows.delete(this.map);
    for (const id of ["low", "high"]) byId(id).setCustomValidity("");
    this.showControls();
    this.paint();
  }

  paint() {
    return Promise.all(
      this.panels.map(async (panel) => panel.draw(...this.windowOf(panel.about), await node.colours(panel.about.colours))),
    );
  }

  showRegion(region) {
    for (const part of ["x", "y"]) byId(`region-${part}`).value = region ? region[part] : "";
    byId("region-radius").value = region ? number(region.radius, "mm") : "";
  }

  /** Show a later or earlier slice; returns whether there is one. */
  turn(step) {
    const slice = this.slice + step;
    const exists = slice >= 0 && slice < this.scan.shown.shape[0];
    if (exists) this.choose({ slice });
    return exists;
  }

  readRegion() {
    const [x, y, radius] = ["x", "y", "radius"].map((part) => byId(`region-${part}`).valueAsNumber);
    if ([x, y].some(Number.isNaN) || !byId("controls").reportValidity()) return;
    this.pointing.setRegion({ x, y, radius: Number.isNaN(radius) ? FIRST_RADIUS_MM : radius });
    this.pointing.say();
  }
}
