// The values of maps, from the text in which the page holds them.

/** One slice of a map as Float32Array, row by row, NaN where the map has no meaning; see `EncodedMap`. */
export async function decode({ slope, offset, lowest, slices }, slice) {
  const bytes = Uint8Array.from(atob(slices[slice]), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const n = planes.length / 2;
  return Float32Array.from({ length: n }, (_, i) => {
    const level = planes[i] + 256 * planes[n + i];
    return level === 0 ? NaN : offset + slope * (lowest + level - 1);
  });
}
