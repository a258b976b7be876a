"""The `shaper` command: finds the command by name and loads only that one.

Decided here: which exceptions are the user's to mend (they carry `exit_code`) and what each costs as an exit status.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

GROUP = "shaper.commands"
DISTRIBUTION = "derivatives-traffic-shaper"
EXTRAS = {"training": "train", "serving": "serve"}
OWN_EXTRAS = {"envoy": "envoy", "grpc": "envoy", "redis": "leases"}  # packages that one adapter needs
PACKAGES = ("data", "models", "training", "shaper", "serving")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 when it succeeded, 1 when it failed, 2 when it was called wrongly, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(commands))
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in commands:
        print(
            f"shaper: expected one of {', '.join(sorted(commands))}; found {name!r}; see `shaper --help`",
            file=sys.stderr,
        )
        return 2
    return run(name, commands[name], rest)


def run(name: str, entry: EntryPoint, arguments: list[str]) -> int:
    """Load and call one command, turning failures that are the user's to mend into one message and a status."""
    try:
        command: Callable[[list[str]], int] = entry.load()
        return command(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in PACKAGES:
            raise
        extra = OWN_EXTRAS.get(missing) or EXTRAS.get(entry.module.partition(".")[0])
        target = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
        print(
            f"shaper {name}: expected the package {missing!r}; it is not installed; pip install '{target}'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"shaper {name}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        status = getattr(error, "exit_code", None)
        if status is None:
            raise
        print(f"shaper {name}: {error}", file=sys.stderr)
        return int(status)


def usage(commands: dict[str, EntryPoint]) -> str:
    """The list of commands, each with the first line of its module's docstring (read without importing it)."""
    lines = [f"  {name:10} {summary(entry.module)}" for name, entry in sorted(commands.items())]
    return (
        "usage: shaper COMMAND [OPTIONS]\n\n"
        + "\n".join(lines)
        + "\n\n`shaper COMMAND --help` shows its options and an example."
    )


def summary(module: str) -> str:
    """First line of a module's docstring."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
