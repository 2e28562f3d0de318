// Numbers, times and elements as the page writes them.

export function number(value, unit) {
  if (!Number.isFinite(value)) return "–";
  if (unit === "1" || unit === "rad") return value.toFixed(3);
  if (unit === "a.u.") return Number(value.toPrecision(3)).toString();
  return value.toFixed(Math.abs(value) < 100 ? 1 : 0);
}

/** A mean and a standard deviation, both with the decimals of the standard deviation. */
export function withSpread(mean, deviation, unit) {
  const spread = number(deviation, unit);
  const decimals = (spread.split(".")[1] ?? "").length;
  return [spread === "–" || spread.includes("e") ? number(mean, unit) : mean.toFixed(decimals), spread];
}

/** A value with its unit; dimensionless numbers have none. */
export const quantity = (value, unit) => number(value, unit) + (unit === "1" ? "" : ` ${unit}`);

/** The local time as 2026-11-26 09:14:04, which Sweden writes so. */
export const time = (iso) => new Date(iso).toLocaleString("sv-SE");

export const plural = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;

/** A new element with attributes and children; texts are never read as HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.onclick = value;
    else if (value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Tell a screen reader. */
export function announce(text) {
  byId("announcement").textContent = text;
}
