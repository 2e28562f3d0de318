// Two sliders that choose the window of a map.

import { element, quantity } from "/words.js";

const STEPS = 400;

export class WindowSliders {
  /** about: an entry of the page's `maps`; changed(low, high): called with the new window. */
  constructor(about, changed) {
    this.about = about;
    this.changed = () => {};
    const [first, last] = about.reach.map((value) => this.scaled(value));
    this.valueAt = (step) => this.unscaled(first + ((last - first) * step) / STEPS);
    this.stepAt = (value) => Math.round(((this.scaled(value) - first) / (last - first)) * STEPS);
    this.ends = ["from", "to"].map((word) => ({
      slider: element("input", { type: "range", min: 0, max: STEPS, "aria-label": `${about.title}: window ${word}` }),
      shown: element("output", { "aria-live": "off" }),
      word,
    }));
    this.box = element(
      "div", { class: "window", role: "group", "aria-label": `Window of ${about.title}` },
      ...this.ends.map(({ slider, shown, word }) => element("label", {}, element("span", {}, word), slider, shown)),
    );
    this.ends.forEach(({ slider }, end) => slider.addEventListener("input", () => this.moved(end)));
    this.reset();
    this.changed = changed;
  }

  scaled(value) {
    return this.about.logarithmic ? Math.log(value) : value;
  }

  unscaled(value) {
    return this.about.logarithmic ? Math.exp(value) : value;
  }

  /** Move the other end away if both meet. */
  moved(end) {
    const steps = this.ends.map(({ slider }) => slider.valueAsNumber);
    steps[end] = end === 0 ? Math.min(steps[0], STEPS - 1) : Math.max(steps[1], 1);
    steps[1 - end] = end === 0 ? Math.max(steps[1], steps[0] + 1) : Math.min(steps[0], steps[1] - 1);
    this.set(steps.map(this.valueAt), steps);
  }

  /** The window in which the quantity is shown at first. */
  reset() {
    const { low, high } = this.about;
    this.set([low, high], [low, high].map(this.stepAt));
  }

  set(values, steps) {
    [this.low, this.high] = values;
    this.ends.forEach(({ slider, shown }, end) => {
      slider.value = steps[end];
      shown.textContent = quantity(values[end], this.about.unit);
      slider.setAttribute("aria-valuetext", shown.textContent);
    });
    this.changed(this.low, this.high);
  }
}
