// The page: what is asked when, and what is drawn of it.

import { ask, follow } from "./api.js";
import { byId, make } from "./dom.js";
import { drawCapacity, drawFan, drawSpike } from "./draw.js";
import { begin, know, showPins } from "./takeover.js";
import { addEvent, say, showClock, showNodes, showPlan, showReadiness, showTiers, showTrust } from "./views.js";

const KEPT = 1440;
const PAUSE_MS = 200; // messages that come together are one change
const SLOW_MS = 15_000; // without any message the clock and the readiness are asked for anyway
let plan = null;
let forecast = null;
let recent = null;
let points = [];
let promises = [];
let stage = null;
let waiting = null;

async function refresh() {
  const [series, readiness, newest, made] = await Promise.all([
    ask(`/v1/series?after_s=${points.at(-1)?.at_s ?? 0}`),
    fetchReadiness(),
    ask("/v1/forecast").catch(() => null),
    ask("/v1/plan").catch(() => null),
  ]);
  if (points.length && series.now_s < points.at(-1).at_s) [points, promises] = [[], []];
  points = [...points, ...series.points].slice(-KEPT);
  const issued = promises.at(-1)?.issued_at_s ?? 0;
  promises = [...promises, ...series.promises.filter((promise) => promise.issued_at_s > issued)].slice(-KEPT);
  recent = { ...series, points };
  [forecast, plan] = [newest ?? forecast, made ?? plan];
  showReadiness(readiness);
  draw();
  await showPins(soon).catch(() => null);
}

// Not ready is an answer too, with reasons.
async function fetchReadiness() {
  const answer = await fetch("/readyz");
  return answer.status === 401 ? { ready: false, reasons: [] } : answer.json();
}

function draw() {
  byId("model").textContent = recent.model;
  showClock(recent.now_s);
  showTrust(points.at(-1));
  offerTargets();
  const target = byId("target").value || recent.targets[0].name;
  drawFan(target, forecast, recent, promises);
  drawSpike(target, forecast, recent);
  drawCapacity(points, recent);
  if (plan === null) return;
  if (stage !== null && stage !== plan.stage) say(`The plan is now ${plan.stage}: ${plan.reason}`);
  stage = plan.stage;
  showPlan(plan, recent);
  showTiers(plan, recent);
  showNodes(plan, recent);
  know(plan, recent);
}

function offerTargets() {
  const select = byId("target");
  const names = recent.targets.map((target) => target.name);
  byId("target-label").hidden = names.length < 2;
  if ([...select.options].map((option) => option.value).join() !== names.join())
    select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
}

function soon() {
  waiting ??= setTimeout(async () => {
    await refresh().catch(() => null);
    waiting = null;
  }, PAUSE_MS);
}

function connected(yes) {
  const pill = byId("connection");
  const text = yes ? "live" : "lost, trying again";
  if (pill.textContent !== text) say(yes ? "Connected." : "The connection is lost; what is shown is the last that came.");
  pill.textContent = text;
  pill.className = `pill ${yes ? "good" : "bad"}`;
}

if (matchMedia("(max-width: 560px)").matches) byId("settings-box").open = false;
byId("target").addEventListener("change", () => recent && draw());
begin(refresh);
setInterval(soon, SLOW_MS);
soon();
follow(
  "/v1/events",
  (message) => {
    if (message.event === "event") addEvent(JSON.parse(message.data));
    soon();
  },
  connected,
);
