// The maps of a report: choice of slice and windows, cursor and region.

import { decode } from "/decoding.js";
import { Panel } from "/panel.js";
import { Pointing } from "/pointing.js";
import { WindowSliders } from "/window_sliders.js";
import { byId } from "/words.js";

const scan = JSON.parse(byId("scan").textContent);
const windows = new Map(scan.maps.map((about) => [about.name, new WindowSliders(about, () => repaint(about.name))]));
let panels = [];
let drawing = 0;
const pointing = new Pointing(() => panels, (step) => turn(step));

function repaint(name) {
  const { low, high } = windows.get(name);
  for (const panel of panels) {
    if (panel.about.name === name) panel.draw(low, high, scan.colours[panel.about.colours]);
  }
}

/** Show a later or earlier slice; returns whether there is one. */
function turn(step) {
  const slice = byId("slice").valueAsNumber + step;
  const exists = slice >= 0 && slice < scan.shape[0];
  if (exists) {
    byId("slice").value = slice;
    show();
  }
  return exists;
}

/** Decode what is shown now, and draw it; a later call takes the place of an earlier one. */
async function show() {
  const mine = ++drawing;
  const slice = byId("slice").valueAsNumber;
  const shown = scan.maps.filter((about) => byId("checks").checked || !about.is_check);
  const arrays = await Promise.all(shown.map((about) => decode(scan.encoded[about.name], slice)));
  if (mine !== drawing) return;
  const focused = panels.find((panel) => panel.map === document.activeElement)?.about.name;
  panels = shown.map((about, i) => new Panel(scan, about, slice, arrays[i], pointing.heard));
  for (const panel of panels) {
    if (!panel.about.codes) panel.figure.querySelector(".picture").after(windows.get(panel.about.name).box);
    repaint(panel.about.name);
  }
  byId("panels").replaceChildren(...panels.map((panel) => panel.figure));
  panels.find((panel) => panel.about.name === focused)?.map.focus();
  const where = scan.slices[slice];
  byId("slice-name").textContent = `Slice ${where.slice + 1}${where.position ? `, ${where.position}` : ""}`;
  pointing.mark();
}

byId("slice").max = scan.shape[0] - 1;
byId("slices").hidden = scan.shape[0] === 1;
byId("checks").checked = !scan.maps.some((about) => !about.is_check);
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("slice").addEventListener("input", show);
byId("checks").addEventListener("change", show);
byId("reset").addEventListener("click", () => windows.forEach((one) => one.reset()));
try {
  await show();
  byId("maps").hidden = false;
  byId("trouble").hidden = true;
} catch (error) {
  byId("trouble").textContent = `This browser cannot show the maps: ${error.message}`;
}
