// The page: it follows the node, keeps the lists up to date, and shows the scan that the reader has chosen.

import * as node from "/node.js";
import { showRunning, showScans, title } from "/scan_list.js";
import { Viewer } from "/viewer.js";
import { announce, byId } from "/words.js";

let scans = [];
let known = null; // the state of the history when the list was fetched
const viewer = new Viewer(() => {
  const choice = { scan: viewer.scan.id, map: viewer.map, slice: viewer.slice, other: viewer.other?.id ?? "" };
  history.replaceState(null, "", `#${new URLSearchParams(choice)}`);
  list();
});

function list() {
  showScans(scans, viewer.scan?.id, (id) => show(id));
  viewer.offer(scans);
}

async function show(id, choice) {
  try {
    await viewer.show(id, choice);
  } catch (error) {
    byId("hint").hidden = false;
    byId("hint").textContent = `The scan cannot be shown: ${error.message}`;
  }
}

async function refresh() {
  const before = new Set(scans.map((scan) => scan.id));
  const first = known === null;
  scans = await node.scans();
  const ended = scans.filter((scan) => !before.has(scan.id));
  list();
  if (first) {
    const choice = new URLSearchParams(location.hash.slice(1));
    const chosen = scans.find((scan) => scan.id === choice.get("scan")) ?? scans.find((scan) => scan.maps.length);
    if (chosen) {
      const [map, slice, other] = ["map", "slice", "other"].map((key) => choice.get(key) ?? undefined);
      await show(chosen.id, { map, slice: slice && Number(slice), other });
    }
  } else if (ended.length) {
    announce(ended.map((scan) => `${title(scan)}: ${scan.outcome}`).join(", "));
    const newest = ended.find((scan) => scan.maps.length);
    if (newest && byId("follow").checked) await show(newest.id);
  }
}

async function told(state) {
  byId("connection").textContent = "Connected to the node";
  byId("version").textContent = state.version;
  byId("trouble").textContent = state.trouble;
  byId("trouble").hidden = !state.trouble;
  showRunning(state.running);
  if (state.history === known) return;
  const refreshed = refresh();
  known = state.history;
  await refreshed.catch(() => (known = null));
}

node.follow(told, () => {
  byId("connection").textContent = "The node does not answer; what you see may be old. Trying again …";
});
