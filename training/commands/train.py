"""Fit, validate or test a model on recorded history; `boost` fits gradient boosting, `combine` several models as one."""

DESCRIPTION = "Fit, validate or test a model on recorded history; `boost` fits gradient boosting, `combine` several models as one."
EXAMPLE = (
    "example: shaper train fit --config training/configs/panel-tcn.yaml --data.history history --data.split.until 2024-02-01;"
    " continue with --ckpt_path last; show all settings with --print_config;"
    " gradient boosting: shaper train boost --config training/configs/panel-boosting.yaml --data.history history"
)


def main(argv: list[str]) -> int:
    """Run `shaper train`; returns the exit status."""
    if argv[:1] == ["boost"]:
        from training.boost import boost
        from training.summary import tell

        tell(*boost(argv[1:]))
        return 0
    if argv[:1] == ["combine"]:
        from training.combine import combine
        from training.summary import tell

        tell(*combine(argv[1:]))
        return 0
    from training.cli import ForecastCLI

    cli = ForecastCLI(argv, {"description": DESCRIPTION, "epilog": EXAMPLE})
    if cli.result is not None:
        from training.summary import tell

        tell(cli.result, cli.run_settings)
    return 0
