"""The shape contract of `models`, read off a contract of `data`: the one place where the two leaves meet in numbers.

Decided here: how finely each clock of the calendar is read at the horizons (down to about an hour of the day, and a day of
the week).
"""

from data.contract import Contract
from data.features.calendar import PERIODS
from models.shape import Phase, Shape

OVERTONES = {"hour": 6, "day": 12, "week": 3}


def shape_of(contract: Contract) -> Shape:
    """Sizes and target columns of the model that a contract describes."""
    names = contract.feature_names
    places = {target.name: place for place, target in enumerate(contract.targets)}
    return Shape(
        context=contract.context,
        features=len(names),
        horizons=len(contract.horizons),
        targets=len(contract.targets),
        levels=contract.levels,
        value_columns=tuple(names.index(target.value) for target in contract.targets),
        anchor_columns=tuple(names.index(target.anchor) for target in contract.targets),
        threshold_columns=tuple(
            None if target.threshold is None else names.index(target.threshold) for target in contract.targets
        ),
        level_columns=tuple(
            (column, places[feature.level])
            for column, feature in enumerate(contract.features)
            if feature.level in places
        ),
        phases=phases(contract),
    )


def phases(contract: Contract) -> tuple[Phase, ...]:
    """The calendar's clocks among the features, where both of their columns are there."""
    names, tick_s = contract.feature_names, contract.panel.tick_s
    return tuple(
        Phase(
            sine=names.index(f"sin_of_{name}"),
            cosine=names.index(f"cos_of_{name}"),
            turns=tuple(horizon * tick_s / period_s for horizon in contract.horizons),
            overtones=OVERTONES[name],
        )
        for name, period_s in PERIODS.items()
        if {f"sin_of_{name}", f"cos_of_{name}"} <= set(names)
    )
