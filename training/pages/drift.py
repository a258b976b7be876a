"""The page of a drift report: whether to worry, which inputs changed, and how the errors went day by day."""

from pathlib import Path

from training import gallery, plots
from training.drift import Drift, FeatureDrift, TargetDrift
from training.report.page import Figure, Page, Section, Table, picture, write_page
from training.summary import shown

SHOWN = 15  # inputs that are drawn
INPUTS = (
    "The stability index compares tenths of the training window: below 0.1 little has changed, above 0.25 much has. The distance "
    "is the largest difference of the two distribution functions. A price level moves on for good; what matters then is the loss."
)
ERRORS = (
    "Coverage and pinball loss of the live period, beside the nominal coverage and the loss that the contract recorded."
)


def write(found: Drift, folder: Path) -> Path:
    """Draw and write `report.html` into a folder; returns its path."""
    return write_page(page(found, folder / "plots"), folder / "report.html")


def page(found: Drift, folder: Path) -> Page:
    """The whole report."""
    verdict = found.reasons or ("Everything is within the limits.",)
    sections = (
        Section("Beyond the limits" if found.reasons else "Within the limits", points=verdict),
        Section("Inputs", (INPUTS,), (inputs_drawn(found, folder),), (inputs(found),)),
        *(errors(one, folder) for one in found.targets),
    )
    live, training = (f"{window.since} to {window.until}" for window in (found.live, found.training))
    subtitle = f"{live}, against the training window {training}."
    return Page(f"Drift of {found.model}", subtitle, (), sections)


def inputs_drawn(found: Drift, folder: Path) -> Figure:
    """The most changed inputs."""
    values = {one.name: one.psi for one in found.features[:SHOWN] if one.psi is not None}
    path = plots.bars(values, 0.25, "stability index of the most changed inputs", folder / "inputs.png")
    return picture(path, "Stability index by input; the line is where much has changed.")


def inputs(found: Drift) -> Table:
    """Every input."""
    header = ("input", "unit", "stability index", "distance", "missing in training", "missing now")
    return Table(header, tuple(input_row(one) for one in found.features))


def input_row(one: FeatureDrift) -> tuple[str, ...]:
    """One input."""
    missing = (f"{share:.1%}" for share in (one.missing_then, one.missing_now))
    return (one.name, one.unit, shown(one.psi), shown(one.ks), *missing)


def errors(one: TargetDrift, folder: Path) -> Section:
    """One target over time."""
    days = [day.day for day in one.days]
    path = plots.over_days(
        days,
        ([day.coverage for day in one.days], one.nominal),
        ([day.loss for day in one.days], one.promised_loss),
        gallery.file("errors", one.name, folder),
    )
    rows = tuple((day.day, str(day.issues), shown(day.coverage), f"{day.loss:.4g}") for day in one.days)
    total = ("all", str(one.issues), shown(one.coverage), f"{one.loss:.4g}")
    table = Table(("day", "issue times", "coverage", "loss"), (*rows, total), frozenset({len(rows)}))
    return Section(one.name, (ERRORS,), (picture(path, f"{one.name}: coverage and loss by day."),), (table,))
