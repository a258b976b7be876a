import httpx
import pytest

from serving.chain.plane import ChainWatch, state_of
from serving.chain.settings import Chain
from serving.dataplane import DataPlaneError

pytestmark = pytest.mark.anyio
HISTORY = {
    "oldestBlock": "0x10",
    "baseFeePerGas": ["0x3b9aca00", "0x3b9aca00", "0x42a8e640"],
    "gasUsedRatio": [0.5, 1.0],
    "reward": [["0x7"], ["0x64"]],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def watch(answer: httpx.Response) -> ChainWatch:
    transport = httpx.MockTransport(lambda _: answer)
    return ChainWatch(Chain(("http://127.0.0.1:8545",)), client=httpx.AsyncClient(transport=transport))


def test_a_block_with_room_left_costs_no_tip() -> None:
    state = state_of(HISTORY)
    assert state.next_base_fee_wei == 0x42A8E640
    assert state.tip_wei[0] == pytest.approx(5.0)
    assert state.tip_wei[-1] == pytest.approx(95.0)
    assert state.utilisation[2] == pytest.approx(0.75)


async def test_a_report_carries_the_chain_and_nothing_else() -> None:
    plane = watch(httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": HISTORY}))
    report = await plane.report()
    await plane.close()
    assert report is not None
    assert report.chain == state_of(HISTORY)
    assert report.demand_per_s is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "method not found"}}),
        httpx.Response(200, json={"result": {"baseFeePerGas": [], "gasUsedRatio": [], "reward": []}}),
    ],
)
async def test_an_answer_that_is_no_fee_history_is_said(answer: httpx.Response) -> None:
    plane = watch(answer)
    with pytest.raises(DataPlaneError, match="eth_feeHistory"):
        await plane.report()
    await plane.close()


async def test_of_several_chains_the_dearest_is_told_and_one_that_is_away_is_passed_over() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 3:
            return httpx.Response(502)
        fees = ["0x1", "0x2", hex(1000 * request.url.port)]
        return httpx.Response(200, json={"result": {**HISTORY, "baseFeePerGas": fees}})

    chain = Chain(tuple(f"http://127.0.0.1:{port}" for port in (1, 2, 3)))
    plane = ChainWatch(chain, client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    report = await plane.report()
    await plane.close()
    assert report is not None
    assert report.chain is not None
    assert report.chain.next_base_fee_wei == 2000
