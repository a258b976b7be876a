from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.sources.evm import Asked, Chain
from data.sources.evm_chain import Constants, Header, constants, name_of, next_base_fee
from tests.data.sources.node import START_S, Node
from tests.data.sources.pulling import origins, run_pull, table
from tests.data.sources.server import Server

KEYED = "/v3/secret"


def at_block(number: int, block_s: int = 12) -> datetime:
    return datetime.fromtimestamp(START_S, UTC) + timedelta(seconds=number * block_s)


def asked(server: Server, node: Node, first: int = 100, after: int = 250) -> Chain:
    server.routes[KEYED] = node
    return Chain(Asked(f"{server.url}{KEYED}", at_block(first, node.block_s), at_block(after, node.block_s), batch=50))


def test_blocks_between_two_times_arrive_with_their_tips(server: Server, tmp_path: Path) -> None:
    node = Node()
    outcome = run_pull(asked(server, node), tmp_path)
    blocks = table(tmp_path, "blocks")
    assert outcome.failures == []
    assert blocks["number"].to_list() == list(range(100, 250))
    one = node.blocks[123]
    row = blocks.row(23, named=True)
    assert (row["chain"], row["ts"], row["tx_count"]) == ("ethereum", at_block(123), 3)
    assert (row["base_fee_wei"], row["gas_used"], row["gas_limit"]) == (one.base_fee_wei, one.gas_used, one.gas_limit)
    assert [row[f"tip_p{p}_gwei"] for p in (10, 50, 90)] == [(123_000 + p) / 1e9 for p in (10, 50, 90)]


def test_the_parameters_of_a_chain_are_measured_and_kept(server: Server, tmp_path: Path) -> None:
    run_pull(asked(server, Node(chain_id=10, block_s=2, elasticity=6, denominator=250)), tmp_path)
    row = table(tmp_path, "chains").row(0, named=True)
    assert (row["chain"], row["chain_id"], row["block_time_s"]) == ("optimism", 10, 2.0)
    assert (row["elasticity"], row["denominator"], row["agreement"]) == (6, 250, 1.0)


def test_no_block_above_the_confirmation_depth_is_taken(server: Server, tmp_path: Path) -> None:
    run_pull(asked(server, Node(length=300), after=300), tmp_path)
    assert table(tmp_path, "blocks")["number"].max() == 299 - 64


def test_overlapping_pulls_share_their_parts(server: Server, tmp_path: Path) -> None:
    node = Node()
    run_pull(asked(server, node), tmp_path)
    outcome = run_pull(asked(server, node, 100, 300), tmp_path)
    assert outcome.tables["blocks"].new == 50
    assert outcome.skipped == 4  # three ranges and the parameters at the same head


def test_short_answers_to_fee_history_are_completed(server: Server, tmp_path: Path) -> None:
    node = Node(most=20)
    run_pull(asked(server, node), tmp_path)
    assert table(tmp_path, "blocks")["tip_p50_gwei"].null_count() == 0
    assert node.calls.count("eth_feeHistory") == 9


@pytest.mark.parametrize("node", [Node(rewards=False), Node(missing=frozenset({"eth_feeHistory"}))])
def test_a_node_without_tips_leaves_them_unknown(server: Server, tmp_path: Path, node: Node) -> None:
    run_pull(asked(server, node), tmp_path)
    blocks = table(tmp_path, "blocks")
    assert (blocks.height, blocks["tip_p50_gwei"].null_count()) == (150, 150)


@pytest.mark.parametrize("code", [-32005, 429, -32000])
def test_a_limit_inside_a_batch_is_waited_out(server: Server, tmp_path: Path, code: int) -> None:
    node = Node(item_errors=[{"code": code, "message": "slow down"}])
    assert run_pull(asked(server, node), tmp_path).tables["blocks"].new == 150


def test_blocks_that_are_not_one_chain_are_read_again(server: Server, tmp_path: Path) -> None:
    node = Node(forks=[120])
    outcome = run_pull(asked(server, node), tmp_path)
    assert (outcome.failures, node.forks, outcome.tables["blocks"].new) == ([], [], 150)


def test_fee_history_that_contradicts_the_headers_is_never_stored(server: Server, tmp_path: Path) -> None:
    class Lying(Node):
        def eth_feeHistory(self, count: str, newest: str, percentiles: list[int]) -> dict[str, object]:  # noqa: N802
            answer = super().eth_feeHistory(count, newest, percentiles)
            return {**answer, "baseFeePerGas": ["0x1"] * len(answer["baseFeePerGas"])}

    outcome = run_pull(asked(server, Lying()), tmp_path)
    assert all("that contradict their headers" in str(failure) for failure in outcome.failures)
    assert len(outcome.failures) == 3
    assert not (tmp_path / "blocks").exists()


def test_a_refused_method_is_one_message(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected an answer to eth_chainId; found error -32601"):
        run_pull(asked(server, Node(missing=frozenset({"eth_chainId"}))), tmp_path)


def test_a_chain_without_base_fees_is_refused(server: Server, tmp_path: Path) -> None:
    class Old(Node):
        def eth_getBlockByNumber(self, number: str, full: bool) -> dict[str, object] | None:  # noqa: N802
            block = super().eth_getBlockByNumber(number, full)
            return block and {name: value for name, value in block.items() if name != "baseFeePerGas"}

    outcome = run_pull(asked(server, Old()), tmp_path)
    assert "expected a hexadecimal baseFeePerGas; found None" in str(outcome.failures[0])


def test_a_key_in_the_address_reaches_neither_rows_nor_errors(server: Server, tmp_path: Path) -> None:
    run_pull(asked(server, Node()), tmp_path)
    shown = origins(tmp_path, "blocks") | origins(tmp_path, "chains")
    assert all("secret" not in one for one in shown)
    assert f"{server.url} eth_feeHistory 100-149" in shown
    assert "secret" not in (tmp_path / ".pull" / "journal.jsonl").read_text("utf-8")


def test_times_without_blocks_are_one_message(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected confirmed blocks; found none between"):
        run_pull(asked(server, Node(), 500, 600), tmp_path)


def test_a_second_pull_of_live_blocks_does_not_conflict(server: Server, tmp_path: Path) -> None:
    node = Node()
    run_pull(asked(server, node), tmp_path)
    counts = run_pull(asked(server, node), tmp_path, again=True).tables["blocks"]
    assert (counts.new, counts.known, counts.conflicting) == (0, 150, 0)


def test_the_recurrence_of_the_eip_on_numbers_worked_out_by_hand() -> None:
    def after(base: int, used: int) -> int:
        return next_base_fee(Header(1, 0, base, used, 30_000_000, 0, "", ""), 2, 8)

    assert after(1_000_000_000, 15_000_000) == 1_000_000_000
    assert after(1_000_000_000, 30_000_000) == 1_125_000_000
    assert after(1_000_000_000, 0) == 875_000_000
    assert after(7, 15_000_001) == 8  # it rises by at least 1 wei


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([(2, 8), (4, 50), (6, 250), (2, 16), (10, 8), (8, 400)]), st.integers(0, 1000))
def test_the_constants_of_any_chain_are_found_from_its_blocks(truth: tuple[int, int], seed: int) -> None:
    elasticity, denominator = truth
    headers, base = [], 30_000_000_000
    for number in range(60):
        headers.append(Header(number, number, base, (seed + number * 7_919_003) % 30_000_000, 30_000_000, 0, "", ""))
        base = next_base_fee(headers[-1], elasticity, denominator)
    assert constants(headers) == Constants(elasticity, denominator, 1.0)


def test_a_constant_fee_tells_nothing_of_the_constants() -> None:
    headers = [Header(number, number, 10**9, 15_000_000, 30_000_000, 0, "", "") for number in range(60)]
    assert constants(headers) is None


def test_an_unlisted_chain_is_named_by_its_number() -> None:
    assert (name_of(1), name_of(777)) == ("ethereum", "evm-777")


@pytest.mark.history
def test_the_constants_of_ethereum_are_found_in_recorded_blocks() -> None:
    from data.environment import history_folder

    folder = history_folder()
    if folder is None:
        pytest.skip("SHAPER_HISTORY is not set: it names a folder of recorded history")
    blocks = pl.scan_parquet(folder / "blocks.parquet").head(300).collect()
    headers = [
        Header(row["number"], 0, row["base_fee_wei"], row["gas_used"], row["gas_limit"], 0, "", "")
        for row in blocks.iter_rows(named=True)
    ]
    found = constants(headers)
    assert found is not None
    assert (found.elasticity, found.denominator) == (2, 8)
    assert found.agreement > 0.99
