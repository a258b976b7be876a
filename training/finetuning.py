"""Fine-tuning: a fit that starts from the weights of an earlier run.

Decided here: the earlier model must have the same inputs, answers and options, so that every weight keeps its meaning; and its
centres, scales and residual quantiles come along, since the weights were learnt on them. Its calibration does not.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from data.contract import Contract
from data.errors import UsageError
from training import bundle
from training.exporting import model_file

MUST_AGREE = ("context", "features", "targets", "horizons", "levels")


def start_from(network: nn.Module, source: Path, contract: Contract, options: Mapping[str, int | float]) -> None:
    """Give a network the state of the run folder or checkpoint at `source`.

    Raises DataError when there is no model, UsageError when it is another architecture or was built for another contract.
    """
    earlier = bundle.load(model_file(source))
    if earlier.contract.architecture != contract.architecture or dict(earlier.options) != dict(options):
        raise fault(source, told(contract.architecture, options), told(earlier.contract.architecture, earlier.options))
    for name in MUST_AGREE:
        wanted, found = getattr(contract, name), getattr(earlier.contract, name)
        if wanted != found:
            raise fault(source, f"the same {name}, {brief(wanted)}", brief(found))
    network.load_state_dict(earlier.served.forecaster.state_dict())


def told(architecture: str, options: Mapping[str, int | float]) -> str:
    """An architecture and its options."""
    return f"{architecture} with {dict(options)}"


def brief(value: object) -> str:
    """A value in a message: a tuple of named things by their names."""
    if isinstance(value, tuple):
        return ", ".join(str(getattr(part, "name", part)) for part in value)
    return str(value)


def fault(source: Path, expected: str, found: str) -> UsageError:
    """The error for a model whose weights would mean something else here."""
    return UsageError(
        f"model.start_from ({source})",
        expected=expected,
        found=found,
        remedy="use the settings of that run (its config.yaml), or leave start_from out",
    )
