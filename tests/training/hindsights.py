"""Made-up forecasts beside made-up truths, some better than others, for whatever compares or draws them."""

import numpy as np

from training.alarms import Onsets
from training.evaluation import Hindsight
from training.metrics import Issued, persistence, residual_quantiles

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
START_S, TICK_S, REACH = 1_704_067_200, 900, 4


def issued(days: int = 8, spread: float = 1.0, bias: float = 0.0, seed: int = 0) -> Issued:
    """Forecasts of a mean-reverting path; `bias` moves every quantile, `spread` 1 is about calibrated."""
    generator = np.random.default_rng(seed)
    count = days * 86400 // TICK_S
    path = np.zeros(count + REACH)
    for place in range(1, len(path)):
        path[place] = 0.9 * path[place - 1] + generator.normal(0, 0.3)
    value = path[:count]
    truth = np.stack([path[h : count + h] for h in range(1, REACH + 1)], axis=1)
    decay = 0.9 ** np.arange(1, REACH + 1)
    deviation = 0.3 * np.sqrt(np.cumsum(0.81 ** np.arange(REACH)))
    normal = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
    quantiles = (value[:, None] * decay)[..., None] + spread * deviation[:, None] * normal + bias
    reference = persistence(value, residual_quantiles(value, truth, LEVELS))
    ticks = START_S + TICK_S * np.arange(count, dtype=np.int64)
    return Issued(ticks, value, truth, quantiles, reference)


def onsets(days: int = 8, skill: float = 2.0, seed: int = 0) -> Onsets:
    """One onset in about forty issue times, and probabilities that tell of them by `skill`."""
    generator = np.random.default_rng(seed)
    count = days * 86400 // TICK_S
    steps = np.where(generator.random(count) < 0.025, generator.integers(1, REACH + 1, count), 0)
    raised = skill * (steps > 0) + generator.normal(0, 1, count)
    tick = START_S // TICK_S + np.arange(count, dtype=np.int64)
    return Onsets(tick, steps, np.ones(count, bool), 1 / (1 + np.exp(-raised)), TICK_S, REACH)


def hindsight(**changes: float) -> Hindsight:
    """Quantiles and alarms together; `skill` is that of the alarms."""
    skill = changes.pop("skill", 2.0)
    return Hindsight(issued(**changes), onsets(skill=skill))  # type: ignore[arg-type]
