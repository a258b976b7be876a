"""Tell the whole story offline: history, training, comparison, export, replay, and a report."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  shaper demo
  SHAPER_HISTORY=history shaper demo      the same on recorded history

A step that is done is not done again; remove the folder to start over.
"""


def main(argv: list[str]) -> int:
    """Run `shaper demo`; returns the exit status."""
    arguments = parser().parse_args(argv)
    import time

    from rich.console import Console

    import data.commands
    import training.commands.compare
    import training.commands.export
    import training.commands.forecast
    import training.commands.replay
    import training.commands.train
    from data.environment import history_folder
    from data.history import History
    from training import story as stories
    from training.pages.demo import look_further, write_report

    began = time.monotonic()
    tell = Console(highlight=False, soft_wrap=True).print
    commands = {
        "data": data.commands.main,
        "train": training.commands.train.main,
        "compare": training.commands.compare.main,
        "export": training.commands.export.main,
        "forecast": training.commands.forecast.main,
        "replay": training.commands.replay.main,
    }
    recorded = arguments.data or history_folder()
    story = stories.Story(arguments.out, recorded or arguments.out / "history")
    if recorded is None:
        stories.play(story, [stories.world_step(story, arguments.days, arguments.seed)], commands, tell)
    periods = stories.periods(History.open(story.history))
    stories.play(story, stories.fit_steps(story, periods), commands, tell)
    stories.play(story, stories.serve_steps(story, periods), commands, tell)
    origin = (
        f"recorded history in {recorded}"
        if recorded
        else f"a simulated world of {arguments.days:g} days (seed {arguments.seed})"
    )
    report = write_report(story, periods, origin)
    tell(f"\n[bold]Report[/bold]  {report.resolve()}")
    tell("\n[bold]Look further[/bold]", *look_further(story), sep="\n  ")
    tell(f"[dim]{time.monotonic() - began:.0f} s[/dim]")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper demo", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--data", type=Path, metavar="DIR", help="recorded history (default: SHAPER_HISTORY, else a simulated world)"
    )
    made.add_argument(
        "--out", type=Path, default=Path("var/demo"), metavar="DIR", help="working folder (default: var/demo)"
    )
    made.add_argument("--days", type=float, default=21.0, help="length of the simulated world (default: 21)")
    made.add_argument("--seed", type=int, default=7, help="seed of the simulated world (default: 7)")
    return made
