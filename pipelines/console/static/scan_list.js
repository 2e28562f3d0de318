// The lists on the left: running scans with their progress, and the last scans with outcome and warnings.

import { byId, element, plural, time } from "/words.js";

const OUTCOMES = { finished: "✓ finished", failed: "✗ failed", refused: "✗ refused", stopped: "■ stopped" };

export const title = (scan) => scan.protocol || scan.pipeline || "scan";

/** Fill the list; `show` is called with the scan that the reader chooses, which is possible as soon as it has maps. */
export function showRunning(scans, shown, show) {
  byId("idle").hidden = scans.length > 0;
  const list = byId("running");
  const items = new Map([...list.children].map((item) => [item.dataset.scan, item]));
  for (const scan of scans) {
    const item = items.get(scan.id) ?? newItem(scan, show);
    items.delete(scan.id);
    const total = scan.expected_readouts;
    const [name, bar, text] = item.children;
    name.textContent = title(scan);
    name.disabled = scan.revision === 0;
    name.setAttribute("aria-pressed", String(scan.id === shown));
    if (total) {
      bar.max = total;
      bar.value = Math.min(scan.readouts, total);
    }
    text.textContent =
      `${scan.readouts}${total ? ` of ${total}` : ""} readouts` +
      (scan.images ? `, ${plural(scan.images, "final image")}` : "") +
      (scan.n_warnings ? `, ${plural(scan.n_warnings, "warning")}` : "");
    list.append(item);
  }
  for (const gone of items.values()) gone.remove();
}

function newItem(scan, show) {
  return element(
    "li", { "data-scan": scan.id },
    element("button", { type: "button", onclick: () => show(scan.id) }), element("progress", { "aria-label": "Readouts received" }), element("span", { class: "quiet" }),
  );
}

/** Fill the list; `show` is called with the scan that the reader chooses. */
export function showScans(scans, shown, show) {
  byId("none").hidden = scans.length > 0;
  const focused = document.activeElement?.closest("#scans li")?.dataset.scan;
  byId("scans").replaceChildren(...scans.map((scan) => entry(scan, scan.id === shown, show)));
  if (focused) document.querySelector(`#scans li[data-scan="${focused}"] button`)?.focus();
}

function entry(scan, isShown, show) {
  const made = element(
    "li", { "data-scan": scan.id, class: isShown ? "shown" : null },
    element("button", { type: "button", "aria-pressed": String(isShown), onclick: () => show(scan.id) }, title(scan)),
    element("span", { class: `outcome ${scan.outcome}` }, OUTCOMES[scan.outcome]),
  );
  const line = (text, kind = "") => made.append(element("span", { class: `quiet ${kind}` }, text));
  line(`${time(scan.started)}, ${scan.pipeline}`);
  if (scan.latency_s !== null) {
    line(`${plural(scan.images, "image")}, ${scan.latency_s.toFixed(1)} s after the last readout`);
  }
  if (scan.sentence) line(scan.sentence);
  if (scan.n_warnings) line(`⚠ ${plural(scan.n_warnings, "warning")}`, "warned");
  return made;
}
