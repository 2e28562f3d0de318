// What is known of a scan beside its maps: error, warnings, counts of irregularities, provenance, files.

import { title } from "/scan_list.js";
import { element, time } from "/words.js";

/** The section of one scan; `map` is the name of the map whose counts are shown. */
export function section(scan, map) {
  const made = element("section", { "aria-label": `About ${title(scan)}` });
  made.append(element("h3", {}, `${title(scan)}, ${time(scan.started)}`));
  if (scan.sentence) made.append(element("p", { class: scan.outcome }, scan.sentence));
  made.append(element("h3", {}, "Warnings"));
  if (scan.n_warnings === 0) made.append(element("p", {}, "None."));
  else made.append(element("ul", {}, ...scan.warnings.map((text) => element("li", { class: "warned" }, text))));
  if (scan.n_warnings > scan.warnings.length) {
    made.append(element("p", {}, `${scan.n_warnings - scan.warnings.length} more are not kept.`));
  }
  if (!scan.shown) return made;
  const running = scan.outcome === "running";
  made.append(
    element("h3", {}, "Files"),
    element("p", {}, ...(running ? ["There are files when the scan has ended."] : files(scan))),
    element("h3", {}, "Counts by slice"), counts(scan, map),
    element("h3", {}, "How the maps were made"), provenance(scan),
  );
  return made;
}

function files(scan) {
  return [
    element("a", { href: `/api/scans/${scan.id}/maps.h5`, download: "" }, "ISMRMRD images (maps.h5)"), ", ",
    element("a", { href: `/api/scans/${scan.id}/nifti.zip`, download: "" }, "NIfTI with JSON (zip)"),
  ];
}

function counts(scan, map) {
  const rows = scan.shown.integrity.filter((one) => one.map === map);
  const kinds = [...new Set(rows.flatMap((one) => Object.keys(one)))].filter((kind) => !["map", "slice"].includes(kind));
  const words = kinds.map((kind) => kind.replaceAll("_", " "));
  const head = ["slice", ...words].map((word) => element("th", { scope: "col" }, word));
  const body = rows.map((one) =>
    element(
      "tr", {}, element("th", { scope: "row" }, String(one.slice + 1)),
      ...kinds.map((kind) => element("td", {}, String(one[kind] ?? 0))),
    ),
  );
  const table = element(
    "table", { class: "counts" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body),
  );
  return element("div", { class: "scroll" }, table);
}

function provenance(scan) {
  const entries = Object.entries(scan.shown.provenance);
  return element(
    "dl", {},
    ...entries.flatMap(([key, text]) => [element("dt", {}, key.replaceAll("_", " ")), element("dd", {}, text)]),
  );
}
