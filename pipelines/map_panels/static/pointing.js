// The cursor and the circular region that all maps of a page share, and the keys that move them.

import { announce } from "/words.js";

export const FIRST_RADIUS_MM = 10;
const GROWTH = 1.15;

export class Pointing {
  /**
   * panels: a function that gives the panels of the page; turn(step): shows a later or earlier slice, and returns
   * whether there is one; regionSet(region): called when the region has changed, with null when it is removed.
   */
  constructor(panels, turn, regionSet = () => {}) {
    Object.assign(this, { panels, turn, regionSet });
    this.cursor = this.region = null;
    this.heard = {
      point: (x, y) => this.setCursor({ x, y }),
      drag: (region) => this.setRegion(region),
      key: (event) => this.key(event),
    };
  }

  setCursor(cursor) {
    this.cursor = cursor;
    this.mark();
  }

  setRegion(region) {
    this.region = region;
    this.regionSet(region);
    this.mark();
  }

  mark() {
    for (const panel of this.panels()) panel.mark(this.cursor, this.region);
  }

  /** Tell a screen reader the values at the cursor and in the region. */
  say() {
    announce(this.panels().map((panel) => panel.words).join("; "));
  }

  key(event) {
    const { nx, ny } = this.panels()[0].grid;
    const { x, y } = this.cursor ?? { x: Math.floor(nx / 2), y: Math.floor(ny / 2) };
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const inside = (index, n) => Math.max(0, Math.min(n - 1, index));
    if (moves[event.key]) {
      this.setCursor({ x: inside(x + moves[event.key][0], nx), y: inside(y + moves[event.key][1], ny) });
    } else if (event.key === "r" || event.key === "R") {
      this.cursor = { x, y };
      this.setRegion({ x, y, radius: this.region?.radius ?? FIRST_RADIUS_MM });
    } else if ((event.key === "+" || event.key === "-") && this.region) {
      const factor = event.key === "+" ? GROWTH : 1 / GROWTH;
      this.setRegion({ ...this.region, radius: this.region.radius * factor });
    } else if (event.key === "Escape" && this.region) {
      this.setRegion(null);
    } else if (!(event.key === "PageDown" && this.turn(1)) && !(event.key === "PageUp" && this.turn(-1))) {
      return;
    }
    event.preventDefault();
    this.say();
  }
}
