// The node's answers: scans, maps, colours, and live news.

async function answer(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${await response.text()}`);
  return response;
}

export const scans = async () => (await answer("/api/scans")).json();

export const details = async (scan) => (await answer(`/api/scans/${scan}`)).json();

/** One slice of a map as Float32Array, row by row, NaN where the map has no meaning. */
export async function values(scan, map, slice) {
  return new Float32Array(await (await answer(`/api/scans/${scan}/maps/${map}/${slice}`)).arrayBuffer());
}

const tables = new Map();

/** The 256 colours of a colour map as [red, green, blue], and at last the colour of invalid voxels. */
export function colours(name) {
  if (!tables.has(name)) {
    tables.set(name, answer(`/api/colours/${name}`).then((response) => response.json()));
    tables.get(name).catch(() => tables.delete(name));
  }
  return tables.get(name);
}

const RETRY_MS = 5000;

/** Call `told` with the state of the node, now and after each change; call `lost` while the node does not answer. */
export function follow(told, lost) {
  const source = new EventSource("/api/live");
  source.onmessage = (message) => told(JSON.parse(message.data));
  source.onerror = () => {
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(told, lost), RETRY_MS);
  };
}
