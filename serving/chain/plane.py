"""The state of a chain from `eth_feeHistory`: the next base fee, how full recent blocks were, what a place in them cost.

Decided here: what a place cost is the tip of the 10th percentile of a block's gas, and nothing in a block that had room left; the
quantiles are those of the recent blocks. (Ethereum execution APIs, `eth_feeHistory`; EIP-1559.)
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from serving.chain.settings import Chain
from serving.dataplane import DataPlaneError
from serving.gateway import Report
from shaper.fees import ChainState
from shaper.plan import Plan

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PERCENTILE = 10.0
FULL = 0.98  # share of the gas limit from which a block had no room for another order
LIMIT_S = 2.0


@dataclass
class ChainWatch:
    """A data plane that only tells: bids are made by the clients, who read them in the plan."""

    own: Chain
    name: str = "chain"
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=LIMIT_S))

    async def open(self) -> None:
        """Nothing yet: a node that is away now may be back for the next plan."""

    async def apply(self, plan: Plan) -> None:
        """A chain takes no orders from us."""

    async def report(self) -> Report | None:
        """The state of the dearest chain. Raises DataPlaneError when no node tells one."""
        told = await asyncio.gather(*(self.state(address) for address in self.own.rpc), return_exceptions=True)
        states = [state for state in told if isinstance(state, ChainState)]
        if not states:
            raise next(error for error in told if isinstance(error, BaseException))
        return Report(chain=max(states, key=lambda state: state.next_base_fee_wei))

    async def state(self, address: str) -> ChainState:
        """The state that one node tells. Raises DataPlaneError."""
        call = {
            "jsonrpc": "2.0", "id": 1, "method": "eth_feeHistory", "params": [hex(self.own.blocks), "latest", [PERCENTILE]],
        }  # fmt: skip
        try:
            answer = (await self.client.post(address, json=call)).raise_for_status().json()
            return state_of(answer["result"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataPlaneError(
                f"chain: expected eth_feeHistory of {httpx.URL(address).host}; found {type(error).__name__}: {error}; "
                "is it an EIP-1559 node?"
            ) from error

    async def close(self) -> None:
        """End the connections."""
        await self.client.aclose()


def state_of(history: Mapping[str, Any]) -> ChainState:
    """The state that a fee history tells: `baseFeePerGas` has one entry more than there are blocks. Raises as lookups do."""
    used = np.array(history["gasUsedRatio"], dtype=np.float64)
    rewards = history.get("reward") or [["0x0"]] * len(used)
    tips = np.array([int(of_block[0], 16) for of_block in rewards], dtype=np.float64)
    needed = np.where(used >= FULL, tips, 0.0)
    return ChainState(
        next_base_fee_wei=int(str(history["baseFeePerGas"][-1]), 16),
        levels=LEVELS,
        utilisation=tuple(np.quantile(used, LEVELS).tolist()),
        tip_wei=tuple(np.quantile(needed, LEVELS).tolist()),
    )
