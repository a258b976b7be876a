"""Where models come from: a folder, the bundled champions, or a registry, and whether there is a new one.

Decided here: what is looked at is what the settings name; a contract that was tried already is tried again only on request.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from data.errors import UsageError
from data.published import Server, fetch, is_reference
from serving.errors import RefusedError
from serving.inference import Forecaster, artefact_folder
from serving.settings import Model
from serving.swapping import misfit
from shaper.venue import Venue


def opened(model: Model, server: Callable[[], Server | None]) -> Forecaster:
    """The model that some settings name. Raises DataError or UsageError for one that cannot be used."""
    artefact = model.artefact
    if artefact is not None and is_reference(artefact):
        artefact = str(fetch(artefact, server()))
    return Forecaster.open(artefact_folder(artefact, model.task))


def require_targets(venue: Venue, forecaster: Forecaster) -> None:
    """Raise UsageError when the venue's demand is made of targets that the model does not forecast."""
    targets = [target.name for target in forecaster.contract.targets]
    unknown = [name for name, _ in venue.demand.coefficients if name not in targets]
    if unknown:
        raise UsageError(
            "venue.demand.coefficients",
            expected=f"targets of model {forecaster.contract.name}: {', '.join(targets)}",
            found=", ".join(unknown),
            remedy="correct them, or choose a model of another task",
        )


@dataclass
class Source:
    """What the settings name, where the registry is, and the contracts that were tried."""

    model: Model
    server: Callable[[], Server | None]
    tried: set[str] = field(default_factory=set)

    def look(self, present: Forecaster, venue: Venue, again: bool = False) -> Forecaster | None:
        """The model that is named now, if it is another than the one in use and was not tried before (or may be tried `again`).

        Raises DataError for one that cannot be used.
        """
        found = opened(self.model, self.server)
        digest = found.contract.digest
        if digest == present.contract.digest or (digest in self.tried and not again):
            return None
        self.tried.add(digest)
        fault = misfit(found, present, venue)
        if fault is not None:
            raise RefusedError(
                f"model {found.contract.name}", expected="one that may take over", found=fault, remedy="restart with it"
            )
        return found
