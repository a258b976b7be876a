// Elements and numbers. Text goes in as text: nothing that the server says is ever read as markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function row(head, ...cells) {
  return make("tr", {}, make("th", { scope: "row" }, head), ...cells);
}

export function figures(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([name, value, unit]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, value, unit ? make("small", {}, ` ${unit}`) : null)),
    ),
  );
}

const absent = (value) => value === null || value === undefined || Number.isNaN(value);

export function number(value, digits = 3) {
  if (absent(value)) return "–";
  return new Intl.NumberFormat("en-GB", { maximumSignificantDigits: digits }).format(value);
}

export function whole(value) {
  return absent(value) ? "–" : new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 }).format(value);
}

export const percent = (share, digits = 0) => (absent(share) ? "–" : `${(100 * share).toFixed(digits)} %`);

export function seconds(value) {
  if (absent(value)) return "–";
  if (value < 1) return `${number(1e3 * value, 2)} ms`;
  if (value < 90) return `${number(value, 2)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${number(value / 3600, 2)} h`;
}

export const clock = (at_s) => new Date(1e3 * at_s).toISOString().slice(11, 19);
export const instant = (at_s) => new Date(1e3 * at_s).toISOString();
