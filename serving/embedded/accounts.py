"""Who an order is from, and how urgent it may be.

Decided here: an account is a key that the operator listed, never a name or an address that a client may choose freely (addresses
cost nothing, so fair turns among them would go to whoever makes most). Its entitlement is the most it may ask for; a tier for
resting orders is open only to what rests; what a client says of itself may only lower its tier.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from serving.gateway_settings import KeySettings


@dataclass(frozen=True, slots=True)
class Account:
    """An account: its name, the ranks it is entitled to (0: most urgent), ascending, and the header that upstreams see of it."""

    name: str
    ranks: tuple[int, ...]
    header: bytes


class Accounts:
    """The accounts by key. `tiers` are the venue's, most urgent first; `resting` those that only resting orders may have."""

    def __init__(self, keys: Iterable[KeySettings], tiers: tuple[str, ...], resting: Iterable[str] = ()) -> None:
        self.tiers = tiers
        self._resting = frozenset(tiers.index(name) for name in resting)
        self._ranks: Mapping[bytes, int] = {name.encode(): rank for rank, name in enumerate(tiers)}
        self._by_digest = {
            bytes.fromhex(key.sha256): Account(
                key.account,
                tuple(sorted(tiers.index(name) for name in key.tiers)),
                f"Shaper-Account: {key.account}\r\n".encode(),
            )
            for key in keys
        }

    def of(self, key: bytes) -> Account | None:
        """Whose key it is. What is compared is a digest, so that the time it takes tells nothing of any key."""
        return self._by_digest.get(sha256(key).digest())

    def tier(self, account: Account, rests: bool, label: bytes | None) -> str:
        """The tier of an order that is known to rest or not, and of which its client says a label.

        An order that fits no tier of its account is the least urgent.
        """
        earned = next((rank for rank in account.ranks if rests or rank not in self._resting), len(self.tiers) - 1)
        asked = self._ranks.get(label, earned) if label else earned
        return self.tiers[max(earned, asked)]
