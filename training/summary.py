"""What a finished run says in the terminal: its scores, and the commands that come next."""

from rich.console import Console
from rich.table import Table

from data.contract import Contract
from training.fitting import Fit
from training.settings import RunSettings
from training.tracking import Store

COLUMNS = ("skill", "skill_low", "skill_high", "coverage", "pr_auc", "base_rate")


def scores(contract: Contract, metrics: dict[str, float]) -> Table:
    """Scores by target in the test period, or in the validation period where there was no test."""
    part = "test" if any(name.startswith("test/") for name in metrics) else "validation"
    table = Table(title=f"{contract.name} in the {part} period", title_justify="left")
    for name in ("target", "skill", "90 % interval", "coverage 5-95 %", "PR-AUC", "base rate"):
        table.add_column(name, justify="left" if name == "target" else "right")
    for target in contract.targets:
        found = {key: metrics.get(f"{part}/{target.name}/{key}") for key in COLUMNS}
        interval = f"{shown(found['skill_low'])} .. {shown(found['skill_high'])}"
        rest = (shown(found[key]) for key in ("coverage", "pr_auc", "base_rate"))
        table.add_row(target.name, shown(found["skill"]), interval, *rest)
    return table


def shown(value: float | None) -> str:
    """Three decimals, or a dash for what is not defined."""
    return "-" if value is None else f"{value:.3f}"


def tell(fit: Fit, settings: RunSettings, console: Console | None = None) -> None:
    """Print the scores and what to do next."""
    to = console or Console()
    to.print(scores(fit.contract, fit.metrics))
    artefact = f"var/artefacts/{settings.name}"
    lines = [
        f"run folder      {fit.folder}",
        f"next            shaper export {fit.folder} --out {artefact}",
        f"                shaper forecast --model {artefact} --data HISTORY --out var/forecasts",
    ]
    if fit.run_id is not None:
        store = Store(settings.store)
        experiment = settings.experiment or fit.contract.task
        lines += [f"                shaper compare --experiment {experiment}", f"runs            {store.look}"]
    for line in lines:
        to.print(line, soft_wrap=True, highlight=False, markup=False)
