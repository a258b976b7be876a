// What each chart shows: the promised band over what came, the chance of a spike by lead, capacity.

import { Chart } from "./charts.js";
import { byId, clock, number, percent, seconds } from "./dom.js";

const PAST_S = 3600; // of the fan; capacity shows all that is kept
const time = { time: true, label: "UTC", format: clock, incrs: [60, 300, 600, 1800, 3600, 7200, 21600, 86400], values: (_, ticks) => ticks.map((tick) => clock(tick).slice(0, 5)) };
const lead = (s) => (s >= 120 || s === 60 ? `${number(s / 60)} min` : `${number(s)} s`);
let newest = { forecast: null, recent: null };

// A logarithm is shown as what it is the logarithm of.
const shownUnit = (unit) => /^ln\((.*)\)$/.exec(unit)?.[1] ?? unit;
const shown = (unit, value) => (value === null ? null : unit.startsWith("ln(") ? Math.exp(value) : value);
const named = (unit) => (unit === "1/s" ? "orders/s" : unit === "1" ? "ratio" : unit);

const fan = new Chart("fan", {
  x: time,
  series: [
    { label: "upper", colour: "--accent", width: 0.6, format: number },
    { label: "lower", colour: "--accent", width: 0.6, format: number },
    { label: "median", colour: "--accent", dash: [6, 4], format: number },
    { label: "came", colour: "--came", width: 2.2, format: number, spanGaps: true },
  ],
  bands: [[1, 2, "--accent-soft"]],
  marks: () => (newest.forecast ? [{ at: newest.forecast.issued_at_s, text: "now" }] : []),
});
const spike = new Chart("spike", {
  x: { time: false, label: "lead", format: lead, incrs: [15, 30, 60, 120, 300, 600, 1800, 3600], values: (_, ticks) => ticks.map(lead) },
  series: [
    { label: "chance", colour: "--second", fill: "--accent-faint", points: true, format: percent },
  ],
  range: [0, 1],
  marks: () => (newest.recent ? [{ at: newest.recent.lead_s, text: `capacity is ordered ${seconds(newest.recent.lead_s)} ahead` }] : []),
});
const capacity = new Chart("capacity", {
  x: time,
  series: [
    { label: "in use", colour: "--second", fill: "--accent-faint", width: 1.5, format: number },
    { label: "arrived", colour: "--accent", step: true, format: number },
    { label: "ordered", colour: "--came", step: true, dash: [6, 4], width: 1.5, format: number },
  ],
  range: (_, __, most) => [0, Math.max(1, most * 1.1)],
});

export function drawFan(target, forecast, recent, promises) {
  newest = { forecast, recent };
  const unit = recent.targets.find((known) => known.name === target)?.unit ?? "";
  const mine = promises.filter((promise) => promise.target === target);
  const until = forecast?.issued_at_s ?? recent.now_s;
  const lines = new Map(); // time -> [upper, lower, median, came]
  const at = (when) => lines.get(when) ?? lines.set(when, [null, null, null, null]).get(when);
  for (const promise of mine) {
    if (promise.issued_at_s >= until - PAST_S) at(promise.issued_at_s)[3] = shown(unit, promise.value_at_issue);
    if (promise.for_s <= until && promise.for_s >= until - PAST_S) put(at(promise.for_s), unit, promise.quantiles);
  }
  const place = forecast?.targets.indexOf(target) ?? -1;
  if (place >= 0)
    forecast.horizons.forEach((horizon, h) => put(at(until + horizon * forecast.tick_s), unit, forecast.quantiles[place][h]));
  const times = [...lines.keys()].sort((a, b) => a - b);
  fan.show([times, ...[0, 1, 2, 3].map((which) => times.map((when) => lines.get(when)[which]))]);
  const levels = forecast?.levels ?? mine.at(-1)?.levels ?? [0, 1];
  const kept = mine.filter((promise) => promise.for_s <= until);
  byId("fan-text").textContent =
    `${target}, ${named(shownUnit(unit))}. Band: ${percent(levels[0])} to ${percent(levels.at(-1))}; before now as promised ` +
    `${seconds(recent.lead_s)} ahead (${kept.length} kept), after it the newest forecast.`;
}

function put(line, unit, quantiles) {
  line[0] = shown(unit, quantiles.at(-1));
  line[1] = shown(unit, quantiles[0]);
  line[2] = shown(unit, quantiles[(quantiles.length - 1) >> 1]);
}

export function drawSpike(target, forecast, recent) {
  newest = { forecast, recent };
  const place = forecast?.targets.indexOf(target) ?? -1;
  if (place < 0) return;
  spike.show([forecast.horizons.map((horizon) => horizon * forecast.tick_s), forecast.spike[place]]);
  const leads = forecast.horizons.map((horizon) => horizon * forecast.tick_s);
  const near = leads.reduce((best, lead, h) => (Math.abs(lead - recent.lead_s) < Math.abs(leads[best] - recent.lead_s) ? h : best), 0);
  byId("spike-text").textContent =
    `${target}: ${percent(forecast.spike[place][near])} within ${seconds(leads[near])}, ${percent(forecast.spike[place].at(-1))} within ${seconds(leads.at(-1))}.`;
}

export function drawCapacity(points, recent) {
  capacity.show([
    points.map((point) => point.at_s),
    points.map((point) => point.units_used),
    points.map((point) => point.units_ready),
    points.map((point) => point.units_ordered),
  ]);
  const last = points.at(-1);
  byId("capacity-text").textContent = last
    ? `Pool ${recent.pool}, units of ${number(recent.unit_rate_per_s)} orders/s: ${last.units_ordered} ordered, ${last.units_ready} arrived, ${number(last.units_used, 2)} in use.`
    : "Nothing has been ordered yet.";
}
