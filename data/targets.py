"""What is forecast: each target's value, what is known of it at the time of issue, and what counts as a spike.

Decided here: the names of the targets and the feature columns behind them.
"""

from collections.abc import Sequence

from data.contract import Panel, Target
from data.errors import UsageError
from data.features import congestion, demand, volatility
from data.ticks_bars import main_role

TARGETS = ("volatility", "congestion", "utilisation", "demand")


def describe_targets(names: Sequence[str], panel: Panel) -> tuple[Target, ...]:
    """The targets of these names for a panel. Raises UsageError for an unknown name or a volatility without a market."""
    return tuple(target(name, panel) for name in names)


def target(name: str, panel: Panel) -> Target:
    """One target for a panel."""
    if name == "volatility":
        return volatility_target(panel)
    if name == "congestion":
        return Target(
            name, congestion.UNIT, "log_base_fee", "log_next_base_fee", "congestion_threshold", "congestion_calm"
        )
    if name == "utilisation":
        return Target(name, "1", "utilisation", "utilisation_mean_12")
    if name == "demand":
        return Target(name, demand.UNIT, "log_demand", "log_demand", "demand_threshold", "demand_calm")
    raise UsageError("targets", expected=f"names among {', '.join(TARGETS)}", found=name, remedy="correct the name")


def volatility_target(panel: Panel) -> Target:
    """Volatility of the panel's main market; its onset may be alarmed up to the threshold itself."""
    role = main_role(panel)
    if role is None:
        raise UsageError(
            "targets", expected="a role for volatility", found="no roles", remedy="name one in panel.roles"
        )
    value, threshold = f"{role}_log_volatility", f"{role}_volatility_threshold"
    return Target("volatility", volatility.UNIT, value, f"{value}_mean_12", threshold, threshold)
