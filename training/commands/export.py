"""Turn a finished run or a checkpoint into an artefact: model.onnx + contract.json + card.md."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  shaper export var/runs/panel-tcn --out var/artefacts/panel-tcn
"""


def main(argv: list[str]) -> int:
    """Run `shaper export`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from training.exporting import export_run

    parity = export_run(arguments.source, arguments.out)
    print(f"written to {arguments.out} (answers differ from the model's by {parity:.1e} at most)")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper export",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("source", type=Path, metavar="RUN_OR_CKPT", help="folder of a run, or a checkpoint file")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the artefact")
    return made
