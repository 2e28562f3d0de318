// A circular region of a map, and what is computed of its voxels.

/**
 * The values of the voxels whose centres lie in a circle; invalid ones are left out.
 * grid: {nx, ny, dx, dy}, the numbers of voxels and their size in mm; circle: {x, y, radius}, centre voxel and mm.
 */
export function valuesIn(values, grid, circle) {
  const found = [];
  for (let y = 0; y < grid.ny; y++) {
    for (let x = 0; x < grid.nx; x++) {
      const distance = Math.hypot((x - circle.x) * grid.dx, (y - circle.y) * grid.dy);
      const value = values[y * grid.nx + x];
      if (distance <= circle.radius && !Number.isNaN(value)) found.push(value);
    }
  }
  return found;
}

/** Number, mean and standard deviation (n - 1 in the denominator); NaN where there are too few values. */
export function statistics(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n, mean, deviation: Math.sqrt(squares / (n - 1)) };
}
