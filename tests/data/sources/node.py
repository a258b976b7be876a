"""An EVM node in memory that speaks JSON-RPC: a chain with a true EIP-1559 recurrence, and faults on demand."""

import json
from dataclasses import dataclass, field
from typing import Any

from data.sources.evm_chain import Header, next_base_fee
from tests.data.sources.server import Reply

START_S = 1_704_067_200


@dataclass
class Node:
    """Blocks 0..length-1, one every `block_s` seconds unless they are given; an eth_feeHistory answer holds `most`."""

    length: int = 400
    chain_id: int = 1
    block_s: int = 12
    elasticity: int = 2
    denominator: int = 8
    most: int = 1024
    rewards: bool = True
    missing: frozenset[str] = frozenset()
    item_errors: list[dict[str, Any]] = field(default_factory=list)
    forks: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    blocks: list[Header] = field(default_factory=list)

    def __post_init__(self) -> None:
        base, limit = 20_000_000_000, 30_000_000
        for number in range(len(self.blocks), self.length):
            used = (number * 7_919_003) % limit
            one = Header(
                number, START_S + number * self.block_s, base, used, limit, 3, f"0xa{number}", f"0xa{number - 1}"
            )
            self.blocks.append(one)
            base = next_base_fee(one, self.elasticity, self.denominator)

    def __call__(self, _: dict[str, str], body: Any) -> Reply:
        answers = [self.answer(call) for call in body]
        return Reply(json.dumps(answers[::-1]).encode())  # the order of answers is free

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call["method"])
        head = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] in self.missing:
            return {**head, "error": {"code": -32601, "message": "the method does not exist"}}
        if self.item_errors:
            return {**head, "error": self.item_errors.pop(0)}
        return {**head, "result": getattr(self, call["method"])(*call["params"])}

    def eth_chainId(self) -> str:  # noqa: N802
        return hex(self.chain_id)

    def eth_blockNumber(self) -> str:  # noqa: N802
        return hex(self.length - 1)

    def eth_getBlockByNumber(self, number: str, full: bool) -> dict[str, Any] | None:  # noqa: N802
        assert not full
        at = int(number, 16)
        if at >= self.length:
            return None
        one = self.blocks[at]
        forked = at in self.forks
        if forked:
            self.forks.remove(at)
        return {
            "number": hex(one.number),
            "timestamp": hex(one.time_s),
            "baseFeePerGas": hex(one.base_fee_wei),
            "gasUsed": hex(one.gas_used),
            "gasLimit": hex(one.gas_limit),
            "transactions": ["0x1"] * one.tx_count,
            "hash": one.own_hash,
            "parentHash": "0xother" if forked else one.parent_hash,
        }

    def eth_feeHistory(self, count: str, newest: str, percentiles: list[int]) -> dict[str, Any]:  # noqa: N802
        last = int(newest, 16)
        held = min(int(count, 16), self.most)
        found = self.blocks[last - held + 1 : last + 1]
        following = next_base_fee(self.blocks[last], self.elasticity, self.denominator)
        answer: dict[str, Any] = {
            "oldestBlock": hex(last - held + 1),
            "baseFeePerGas": [hex(one.base_fee_wei) for one in found] + [hex(following)],
            "gasUsedRatio": [one.gas_used / one.gas_limit for one in found],
        }
        if self.rewards:
            answer["reward"] = [[hex(one.number * 1000 + percentile) for percentile in percentiles] for one in found]
        return answer
