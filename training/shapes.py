"""The shape contract of `models`, read off a contract of `data`: the one place where the two leaves meet in numbers."""

from data.contract import Contract
from models.shape import Shape


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
    )
