"""How a whole is shared among equals that want different parts of it.

Decided here: max-min fairness (Bertsekas and Gallager, Data Networks, 6.5.2): nobody gets more than it wants while another wants
more than it gets; what nobody wants is shared equally, so that each has room for a surge of its own.
"""

from collections.abc import Sequence


def fair_shares(total: float, wants: Sequence[float]) -> list[float]:
    """The share of each, in the order of `wants`; shares sum to `total`. Empty for nobody."""
    if not wants:
        return []
    shares, left = [0.0] * len(wants), total
    order = sorted(range(len(wants)), key=lambda place: wants[place])
    for taken, place in enumerate(order):
        shares[place] = min(max(wants[place], 0.0), left / (len(order) - taken))
        left -= shares[place]
    return [share + left / len(wants) for share in shares]
