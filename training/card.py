"""The page that travels with a model: what it forecasts, from which data, how well, and where not to trust it."""

from data.contract import Contract, Target

LIMITS = (
    "It knows the market and chain it was trained on; another venue, fork or fee rule is outside its experience.",
    "The levels are calibrated on past data. When the regime changes, coverage drifts until it is calibrated again.",
    "Where inputs are missing it falls back towards what usually happened; with nothing known at all it only says that.",
    "It says nothing beyond its longest horizon or outside its outermost levels.",
)


def card(contract: Contract, parity: float) -> str:
    """A model card in Markdown; `parity` is the distance measured between the ONNX graph and the model."""
    minutes = [f"{contract.panel.tick_s * horizon / 60:g}" for horizon in contract.horizons]
    facts = [
        ("task", contract.task),
        ("architecture", contract.architecture),
        ("forecasts", "; ".join(told(target) for target in contract.targets)),
        ("horizons", f"{len(minutes)}, from {minutes[0]} to {minutes[-1]} minutes"),
        ("levels", ", ".join(f"{level:g}" for level in contract.levels)),
        ("reads", f"{len(contract.features)} features over {contract.context} ticks of {contract.panel.tick_s} s"),
        ("chain and markets", f"{contract.panel.chain}; {markets(contract)}"),
        ("trained on", f"{contract.training.since} to {contract.training.until}"),
        ("calibration", calibrated(contract)),
        *online(contract),
        ("data digest", f"`{contract.data_digest}`"),
        ("contract digest", f"`{contract.digest}`"),
        ("code, seed", f"{contract.code_version}, {contract.seed}"),
        ("ONNX parity", f"{parity:.1e}"),
    ]
    lines = [f"# {contract.name}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)]
    return "\n".join([*lines, "", *metrics(contract), "## Known limits", "", *(f"- {limit}" for limit in LIMITS), ""])


def told(target: Target) -> str:
    """A target in a few words."""
    spikes = f", spikes above `{target.threshold}`" if target.threshold else ""
    return f"{target.name} in {target.unit}{spikes}"


def markets(contract: Contract) -> str:
    """Which symbols play which role."""
    roles = contract.panel.roles
    return "; ".join(f"{role}: {', '.join(symbols)}" for role, symbols in sorted(roles.items())) or "no markets"


def calibrated(contract: Contract) -> str:
    """The method of calibration and the issue times it saw."""
    window = contract.calibration.window
    return contract.calibration.method + (f" on {window.since} to {window.until}" if window else "")


def online(contract: Contract) -> list[tuple[str, str]]:
    """How calibration goes on in use; nothing where it ends with training."""
    if contract.online is None:
        return []
    found = zip(contract.targets, contract.online.rates, contract.online.half_life_ticks, strict=True)
    hours = contract.panel.tick_s / 3600
    told = (f"{target.name}: {rate:g} widths a miss, half-life {ticks * hours:.3g} h" for target, rate, ticks in found)
    return [("calibration in use", "; ".join(told))]


def metrics(contract: Contract) -> list[str]:
    """A table of the contract's metrics, measured on rows that were not trained on; empty without any."""
    if not contract.metrics:
        return []
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(contract.metrics.items())]
    return ["## Metrics", "", "| metric | value |", "|---|---|", *rows, ""]
