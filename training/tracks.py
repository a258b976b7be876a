"""Event replays in MLflow: one run a policy and delay below one for the scenario, so that policies compare by decision cost."""

from pathlib import Path

from training.contesting import Contest, Held
from training.tracking import Store, closing, environment

EXPERIMENT = "replay"


def track(contest: Contest, store: Store, folder: Path) -> None:
    """Record a contest, with its results and report from `folder`."""
    file = contest.file
    parent = store.start(EXPERIMENT, file.name, {"scenario": file.name, **environment()})
    with closing(parent):
        parent.params({"seeds": len(file.reported), "first_seed": file.reported[0], "delays_s": file.all_delays_s})
        for name in ("results.json", "report.html"):
            parent.file(folder / name)
        for held in contest.held:
            for policy in held.manners:
                record(held, policy, file.name, store, parent.run_id)


def record(held: Held, policy: str, scenario: str, store: Store, parent: str) -> None:
    """Record one policy at one delay: its cost by cause, regret and punctuality, means over the seeds."""
    tags = {"scenario": scenario, "policy": policy, "delay_s": f"{held.delay_s:g}"}
    run = store.start(EXPERIMENT, f"{scenario} {held.delay_s:g} s: {policy}", tags, parent)
    regret, entries = held.regret(policy), [dict(one.entries)[policy] for one in held.rounds]
    top = entries[0].on_time[0][0]
    with closing(run):
        run.params({"delay_s": held.delay_s, "policy": policy, "scenario": scenario})
        run.metrics(
            {
                "cost_usd": float(held.costs(policy).mean()),
                "regret": regret.value,
                "regret_low": regret.low,
                "regret_high": regret.high,
                f"{top}_on_time": sum(dict(entry.on_time)[top] for entry in entries) / len(entries),
                **{
                    f"{cause}_usd": sum(dict(entry.by_cause)[cause] for entry in entries) / len(entries)
                    for cause, _ in entries[0].by_cause
                },
            }
        )
