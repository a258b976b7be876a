"""Report whether a live period still resembles what a model learnt from."""

import argparse
from dataclasses import asdict, fields
from pathlib import Path

EXAMPLE = """example:
  shaper drift --model models:/panel@champion --data history --since 2024-02-01 --until 2024-03-01 --out var/drift

Writes report.html and drift.json. Exit status 1 means that something is beyond the limits.
"""
HELP = {
    "psi": "largest stability index of an input",
    "ks": "largest distance of an input's distributions",
    "missing": "largest rise of an input's missing share",
    "coverage": "farthest that coverage may be from nominal",
    "loss": "largest loss, as a multiple of the promised one",
}


def main(argv: list[str]) -> int:
    """Run `shaper drift`; returns the exit status, 1 when something is beyond the limits."""
    from training.drift import Bounds

    names = {field.name: field.default for field in fields(Bounds)}
    arguments = parser(names).parse_args(argv)
    import msgspec

    from data.history import History
    from training.artefact import Artefact
    from training.drift import drift
    from training.fitting import write_json
    from training.pages.drift import write
    from training.resolving import model_folder
    from training.settings import instant

    artefact = Artefact.open(model_folder(arguments.model, arguments.store))
    now = History.open(arguments.data)
    then = now if arguments.training is None else History.open(arguments.training)
    bounds = Bounds(**{name: getattr(arguments, name) for name in names})
    found = drift(artefact, then, now, (instant(arguments.since), instant(arguments.until)), bounds)
    page = write(found, arguments.out)
    write_json(arguments.out / "drift.json", {**msgspec.to_builtins(found), "limits": asdict(bounds)})
    for reason in found.reasons:
        print(f"beyond  {reason}")
    print(f"{'beyond' if found.reasons else 'within'} the limits; written to {page}")
    return 1 if found.reasons else 0


def parser(limits: "dict[str, object]") -> argparse.ArgumentParser:
    """Describe the options; limits by name with their defaults."""
    made = argparse.ArgumentParser(
        prog="shaper drift", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--model", required=True, metavar="ART", help="folder of an exported artefact, or models:/NAME@ALIAS")
    add("--data", type=Path, required=True, metavar="DIR", help="folder of canonical tables with the live period")
    add("--training", type=Path, metavar="DIR", help="folder with the training window (default: the same)")
    add("--since", required=True, metavar="T", help="begin of the live period, ISO 8601 (UTC unless it says otherwise)")
    add("--until", required=True, metavar="T", help="its end")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for report.html and drift.json")
    for name, default in limits.items():
        add(f"--{name}", type=float, default=default, metavar="X", help=f"{HELP[name]} (default {default})")
    add(
        "--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store, without MLFLOW_TRACKING_URI"
    )
    return made
