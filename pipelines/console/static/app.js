// The page: it follows the node, keeps the lists up to date, and shows the scan that the reader has chosen.

import * as node from "/node.js";
import { showRunning, showScans, title } from "/scan_list.js";
import { Viewer } from "/viewer.js";
import { announce, byId } from "/words.js";

let scans = [];
let known = null; // the state of the history when the list was fetched
let growing = { id: "", revision: 0, loading: false }; // the running scan that was shown last, and its revision
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
    const replaced = ended.find((scan) => scan.id === viewer.scan?.id); // final maps instead of provisional ones
    if (newest && byId("follow").checked) await show(newest.id);
    else if (replaced) await show(replaced.id);
  }
}

/** Show the maps so far of the running scan that the reader looks at, or of the newest one if new scans are followed. */
async function grow(running) {
  const withMaps = running.filter((scan) => scan.revision > 0);
  const looked = withMaps.find((scan) => scan.id === viewer.scan?.id);
  const scan = looked ?? (byId("follow").checked ? withMaps.at(-1) : null);
  if (!scan || growing.loading || (scan.id === growing.id && scan.revision === growing.revision)) return;
  growing = { id: scan.id, revision: scan.revision, loading: true };
  try {
    await viewer.show(scan.id, looked && !viewer.atLastSlice() ? {} : { slice: Infinity });
    announce(viewer.words());
  } catch {
    // the scan has ended, and the history will have it
  } finally {
    growing.loading = false;
  }
}

async function told(state) {
  byId("connection").textContent = "Connected to the node";
  byId("version").textContent = state.version;
  byId("trouble").textContent = state.trouble;
  byId("trouble").hidden = !state.trouble;
  showRunning(state.running, viewer.scan?.id, (id) => show(id));
  await grow(state.running);
  if (state.history === known) return;
  const refreshed = refresh();
  known = state.history;
  await refreshed.catch(() => (known = null));
}

node.follow(told, () => {
  byId("connection").textContent = "The node does not answer; what you see may be old. Trying again …";
});
