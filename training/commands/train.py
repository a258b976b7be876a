"""Fit, validate or test a model on recorded history: `boost` fits trees, `regress` lines, `combine` several models."""

from collections.abc import Callable

DESCRIPTION = (
    "Fit, validate or test a model on recorded history; `boost` fits gradient boosting, `regress` quantile regression,"
    " `combine` several models as one, `features` reports on features."
)
EXAMPLE = (
    "example: shaper train fit --config training/configs/panel-tcn.yaml --data.history history --data.split.until 2024-02-01;"
    " continue with --ckpt_path last; show all settings with --print_config;"
    " gradient boosting: shaper train boost --config training/configs/panel-boosting.yaml --data.history history"
)


def main(argv: list[str]) -> int:
    """Run `shaper train`; returns the exit status."""
    others: dict[str, Callable[[list[str]], int]] = {
        "boost": boosted,
        "regress": regressed,
        "combine": combined,
        "features": explained,
    }
    if argv and argv[0] in others:
        return others[argv[0]](argv[1:])
    from training.cli import ForecastCLI

    cli = ForecastCLI(argv, {"description": DESCRIPTION, "epilog": EXAMPLE})
    if cli.result is not None:
        from training.summary import tell

        tell(cli.result, cli.run_settings)
    return 0


def boosted(argv: list[str]) -> int:
    """Fit gradient boosting."""
    from training.boost import boost
    from training.summary import tell

    tell(*boost(argv))
    return 0


def regressed(argv: list[str]) -> int:
    """Fit quantile regression."""
    from training.regress import regress
    from training.summary import tell

    tell(*regress(argv))
    return 0


def combined(argv: list[str]) -> int:
    """Fit several models as one."""
    from training.combine import combine
    from training.summary import tell

    tell(*combine(argv))
    return 0


def explained(argv: list[str]) -> int:
    """Report on features."""
    from training.commands import features

    return features.main(argv)
