// The plan, the tiers, the nodes and the timeline as text and tables.

import { byId, clock, figures, instant, make, number, percent, row, seconds, whole } from "./dom.js";

const TONES = { "forecast-led": "good", blended: "good", reactive: "warn", static: "bad" };
const EVENTS_SHOWN = 200;

export function showPlan(plan, recent) {
  const stage = byId("stage");
  stage.textContent = plan.stage;
  stage.className = `pill ${TONES[plan.stage] ?? ""}`;
  byId("reason").textContent = plan.reason;
  const [pool] = plan.capacity;
  const report = plan.report;
  figures(byId("figures"), [
    ["Capacity ordered", whole(pool.units), `units, ${number(pool.rate_per_s)}/s`],
    ["Demand", number(recent?.points.at(-1)?.demand_per_s), "orders/s"],
    ["Throughput", number(report?.throughput_per_s), "orders/s"],
    ["Latency on nodes", seconds(report?.latency_s)],
    ["Holds until", clock(plan.valid_until_s), "UTC"],
    ["Forecast", plan.forecast?.origin ?? "none", plan.forecast ? `issued ${clock(plan.forecast.issued_at_s)}` : ""],
  ]);
  byId("settings").tBodies[0].replaceChildren(...settings(plan));
}

function settings(plan) {
  const without = plan.without_forecast;
  const cell = (label, text, changed) =>
    make("td", { "data-label": label }, changed ? make("span", { className: "changed" }, text) : text);
  const line = (name, set, bare, reason) =>
    row(name, cell("Set to", set, bare !== null && set !== bare), cell("Without a forecast", bare ?? "–"), make("td", {}, reason));
  const units = (setting) => `${whole(setting.units)} units`;
  const quota = (setting) => `${number(setting.rate_per_s)}/s`;
  return [
    ...plan.capacity.map((s, i) => line(`Pool ${s.pool}`, units(s), units(without.capacity[i]), s.reason)),
    ...plan.quotas.map((s) => line(`Tier ${s.tier}`, quota(s), same(without.quotas, "tier", s, quota), s.reason)),
    ...plan.weights.map((s) => line(`Node ${s.node}`, percent(s.weight, 1), same(without.weights, "node", s, (w) => percent(w.weight, 1)), s.reason)),
    ...plan.warm.map((s) => line(`${s.kind} ${s.lever}`, `${whole(s.units)} warm`, null, s.reason)),
    ...plan.fees.map((s) => line(`Fee ${s.tier}`, `${number(s.max_fee_wei / 1e9)} gwei`, null, s.reason)),
  ];
}

function same(settings, key, setting, shown) {
  const found = settings.find((other) => other[key] === setting[key]);
  return found ? shown(found) : null;
}

function lined(queued, most) {
  return most == null ? whole(queued) : `${whole(queued)} of ${whole(most)}`;
}

export function showTiers(plan, recent) {
  const tallies = new Map(recent.tiers.map((tally) => [tally.tier, tally]));
  byId("tiers").tBodies[0].replaceChildren(
    ...plan.quotas.map((quota) => {
      const tally = tallies.get(quota.tier) ?? {};
      const cell = (text) => make("td", { className: "number" }, text);
      const bar = make("progress", { max: 1, value: quota.share, ariaLabel: `share of ${quota.tier}` });
      return row(quota.tier, cell(number(quota.rate_per_s)), make("td", {}, bar, ` ${percent(quota.share)}`), cell(lined(tally.queued, quota.most_waiting)), cell(whole(tally.admitted)), cell(whole(tally.refused)), cell(seconds(tally.p99_s)));
    }),
  );
}

export function showNodes(plan, recent) {
  const weights = new Map(plan.weights.map((setting) => [setting.node, setting]));
  const regions = [...new Set(recent.nodes.map((node) => node.region))];
  const operators = [...new Set(recent.nodes.map((node) => node.operator))];
  const table = byId("nodes");
  table.closest("section").hidden = recent.nodes.length === 0;
  table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, "Operator"), ...regions.map((region) => make("th", { scope: "col" }, region))));
  table.tBodies[0].replaceChildren(
    ...operators.map((operator) =>
      row(
        operator,
        ...regions.map((region) => {
          const here = recent.nodes.filter((node) => node.operator === operator && node.region === region);
          return make("td", {}, ...here.map((node) => chip(node, weights.get(node.name))));
        }),
      ),
    ),
  );
  const spread = (of) => (of ? [percent(of.max_share), `largest share; HHI ${number(of.hhi, 2)}, evenness ${percent(of.entropy)}`] : ["–", ""]);
  figures(byId("dispersion"), [
    ["Operators", ...spread(plan.report?.operators)],
    ["Regions", ...spread(plan.report?.regions)],
  ]);
}

function chip(node, setting) {
  const weight = setting?.weight ?? 0;
  const down = setting?.reason === "down";
  const disc = make("span", { className: "disc" });
  disc.style.setProperty("--size", `${Math.round(8 + 40 * Math.sqrt(weight))}px`);
  const text = make("span", {}, make("b", {}, `${node.name} ${percent(weight)}`), make("span", { className: "muted" }, down ? "down" : `${seconds(node.latency_s)}, ${whole(node.capacity_per_s)}/s`));
  return make("span", { className: `node${down ? " down" : weight === 0 ? " none" : ""}`, title: setting?.reason ?? "" }, disc, text);
}

export function showTrust(point) {
  byId("trust").value = point?.trust ?? 0;
  byId("trust-text").textContent = percent(point?.trust);
}

export function showClock(at_s) {
  const shown = byId("clock");
  shown.textContent = `${clock(at_s)} UTC`;
  shown.dateTime = instant(at_s);
}

export function showReadiness(readiness) {
  const banner = byId("degraded");
  const text = readiness.reasons.join(" · ");
  banner.hidden = text === "";
  if (banner.textContent !== text) banner.textContent = text;
}

export function addEvent(event) {
  const list = byId("events");
  list.prepend(make("li", {}, make("time", { dateTime: instant(event.at_s) }, clock(event.at_s)), make("b", {}, event.kind), make("span", {}, event.text)));
  while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
}

export function say(text) {
  byId("said").textContent = text;
}
