// Overrides: what an operator pins, until when and why, and how it is lifted.

import { ask, send } from "./api.js";
import { byId, make, number, seconds } from "./dom.js";

const PATH = "/v1/overrides";
let state = { now_s: 0, names: {} };

export function know(plan, recent) {
  const names = {
    capacity: plan.capacity.map((setting) => setting.pool),
    quota: plan.quotas.map((setting) => setting.tier),
    weight: plan.weights.map((setting) => setting.node),
  };
  const changed = JSON.stringify(names) !== JSON.stringify(state.names);
  state = { now_s: recent.now_s, names };
  if (changed) offer();
}

function offer() {
  const names = state.names[byId("pin-lever").value] ?? [];
  byId("pin-name").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
}

export function begin(afterwards) {
  byId("pin-lever").addEventListener("change", offer);
  byId("pin").addEventListener("submit", (event) => {
    event.preventDefault();
    pin(event.submitter, byId("pin-lever").value, byId("pin-name").value, byId("pin-value").valueAsNumber, afterwards);
  });
  for (const name of ["reactive", "static"])
    byId(`go-${name}`).addEventListener("click", (event) => pin(event.currentTarget, "stage", name, 0, afterwards));
}

async function pin(button, lever, name, value, afterwards) {
  const for_s = Number(byId("pin-for").value);
  const reason = byId("pin-reason").value.trim() || "pinned on the dashboard";
  await attempt(button, () => send("PUT", PATH, { lever, name, value, for_s, reason }), `${lever} ${name} is pinned for ${seconds(for_s)}`);
  await afterwards();
}

async function attempt(button, job, done) {
  const answer = byId("pin-answer");
  button.disabled = true;
  try {
    await job();
    [answer.className, answer.textContent] = ["good", done];
  } catch (error) {
    [answer.className, answer.textContent] = ["bad", error.message];
  } finally {
    button.disabled = false;
  }
}

export async function showPins(afterwards) {
  const { overrides: pins } = await ask(PATH);
  const list = byId("pins");
  list.replaceChildren(
    ...pins.map((one) => {
      const lift = make("button", { type: "button" }, "Lift");
      lift.setAttribute("aria-label", `Lift ${one.lever} ${one.name}`);
      lift.addEventListener("click", async () => {
        await attempt(lift, () => send("DELETE", `${PATH}?${new URLSearchParams({ lever: one.lever, name: one.name })}`), `${one.lever} ${one.name} is lifted`);
        await afterwards();
      });
      const what = one.lever === "stage" ? one.name : `${one.lever} ${one.name} at ${number(one.value)}`;
      return make("li", {}, make("span", {}, make("b", {}, what), ` for ${seconds(Math.max(one.until_s - state.now_s, 0))} more: ${one.reason}`), lift);
    }),
  );
  if (pins.length === 0) list.append(make("li", { className: "muted" }, "Nothing: every setting is the plan's own."));
}
