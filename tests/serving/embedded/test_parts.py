"""The parts that need no socket: ledger, gate, router, circuits, arrivals, budget, calls."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.embedded import rpc
from serving.embedded.arrivals import Arrivals
from serving.embedded.forward import Budget
from serving.embedded.gate import Gate
from serving.embedded.ledger import Done, Ledger, Outcome, Underway
from serving.embedded.monitor import Circuit
from serving.embedded.refusals import Refused, retry_after, too_much, unable, unknown
from serving.embedded.router import Router
from serving.embedded.upstreams import Upstream
from serving.gateway_settings import UpstreamSettings
from shaper.admission import Admission, Order, Permit
from tests.serving.embedded.made import TIERS, play
from tests.serving.embedded.upstream import keccak

ACCEPTED = Outcome(True, 200, b'"0x1"')
# The example of EIP-155.
SIGNED = (
    "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe5375"
    "67866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)


def test_a_transaction_is_known_by_its_hash() -> None:
    found = rpc.read_transaction(msgspec.Raw(msgspec.json.encode([SIGNED])))
    assert found == (SIGNED, "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788")


@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_hex_of_any_case_has_the_hash_of_its_bytes(content: bytes, upper: bool) -> None:
    digits = content.hex().upper() if upper else content.hex()
    found = rpc.read_transaction(msgspec.Raw(msgspec.json.encode(["0x" + digits])))
    assert found == ("0x" + digits, "0x" + keccak.new(digest_bits=256, data=content).hexdigest())


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_a_call(body: bytes) -> None:
    assert isinstance(rpc.read_call(body), rpc.Call | Refused)
    assert isinstance(rpc.read_batch(body, 10), list | Refused)
    assert rpc.read_reply(body) is None or isinstance(rpc.read_reply(body), rpc.Reply)


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (b'{"id":1,"result":"0xAB"}', True),
        (b'{"id":1,"result":"0xac"}', False),
        (b'{"id":1,"result":null,"error":{"code":-32000,"message":"already known"}}', True),
        (b'{"id":1,"error":{"code":-32010,"message":"AlreadyKnown"}}', True),
        (b'{"id":1,"error":{"code":-32000,"message":"Known transaction"}}', True),
        (b'{"id":1,"error":{"code":-32000,"message":"nonce too low"}}', False),
        (b'{"id":1,"error":null,"result":"0xab"}', True),
    ],
)
def test_a_transaction_is_in_when_its_own_hash_comes_back_or_it_was_known(body: bytes, accepted: bool) -> None:
    reply = rpc.read_reply(body)
    assert reply is not None
    assert rpc.is_accepted(reply, "0xab") is accepted


def test_the_ledger_remembers_acceptances_for_a_time_and_only_so_many() -> None:
    ledger = Ledger(10.0, 2)
    for i, key in enumerate(("a", "b", "c")):
        ledger.begin(key)
        ledger.end(key, ACCEPTED, float(i))
    assert ledger.find("a", 2.0) is None
    assert ledger.find("c", 12.0) == Done(b"", ACCEPTED)
    assert ledger.find("c", 12.1) is None
    assert len(ledger) == 2


def test_the_ledger_forgets_refusals_and_remembers_doubt_only_of_orders_with_a_key() -> None:
    ledger = Ledger(10.0, 10)
    for key, fingerprint, told in (
        ("refused", b"f", unable("busy", 1.0)),
        ("doubt", b"", unknown("lost")),
        ("doubt of a key", b"f", unknown("lost")),
    ):
        ledger.begin(key, fingerprint)
        assert isinstance(ledger.find(key, 0.0), Underway)
        ledger.end(key, told, 0.0)
    assert [ledger.find(key, 1.0) for key in ("refused", "doubt", "doubt of a key")] == [
        None,
        None,
        Done(b"f", unknown("lost")),
    ]


def gate(places: int, most: int = 100, rate_per_s: float = 1e6) -> Gate:
    loop = asyncio.get_running_loop()
    rates = dict.fromkeys((tier.name for tier in TIERS), rate_per_s)
    return Gate(Admission(TIERS, rates, loop.time(), most, 1.0), loop, lambda: places)


def order(key: str, tier: str = "taker", at_s: float | None = None) -> Order:
    return Order(key, "a", tier, asyncio.get_running_loop().time() if at_s is None else at_s)


def test_a_burst_gets_as_many_permits_as_there_are_places_and_the_most_urgent_come_next() -> None:
    async def story() -> None:
        made, until_s = gate(2), asyncio.get_running_loop().time() + 5
        first = [await made.enter(order(name), until_s) for name in "ab"]
        waiting = {
            name: asyncio.create_task(made.enter(order(name, name), until_s)) for name in ("bulk", "taker", "critical")
        }
        await asyncio.sleep(0)
        assert (made.size, made.under_way) == (3, 2)
        for permit in first:
            assert isinstance(permit, Permit)
            made.leave(permit)
        assert isinstance(await waiting["critical"], Permit)
        assert isinstance(await waiting["taker"], Permit)
        assert not waiting["bulk"].done()
        made.empty("over")
        assert await waiting["bulk"] == unable("over", 1.0)

    play(story())


def test_an_order_that_waits_beyond_its_time_is_told_so() -> None:
    async def story() -> None:
        assert await gate(0).enter(order("a"), asyncio.get_running_loop().time() + 0.01) == unable(
            "deadline has passed", 0.0
        )

    play(story())


def test_an_order_that_loses_its_place_is_told_so_at_once() -> None:
    async def story() -> None:
        made, until_s = gate(0, most=1), asyncio.get_running_loop().time() + 5
        bulk = asyncio.create_task(made.enter(order("a", "bulk"), until_s))
        await asyncio.sleep(0)
        critical = asyncio.create_task(made.enter(order("b", "critical"), until_s))
        lost = await bulk
        assert isinstance(lost, Refused)
        assert lost.reason == "lost its place to a more urgent order"
        critical.cancel()

    play(story())


def test_orders_that_only_the_quota_holds_back_come_in_as_it_grows() -> None:
    async def story() -> None:
        made, until_s = gate(1000, rate_per_s=50.0), asyncio.get_running_loop().time() + 5
        began_s = asyncio.get_running_loop().time()
        found = await asyncio.gather(*(made.enter(order(str(i)), until_s) for i in range(250)))
        assert all(isinstance(permit, Permit) for permit in found)
        assert asyncio.get_running_loop().time() - began_s > 0.1  # four tiers' bursts let 200 in at once

    play(story())


def routed(*weights: float) -> Router:
    loop = asyncio.new_event_loop()
    ups = [Upstream(UpstreamSettings(f"n{i}", "http://127.0.0.1:9"), loop) for i in range(len(weights))]
    loop.close()
    state = iter([i / 997 % 1 for i in range(1, 997 * 400, 397)])
    return Router(ups, {up.name: weight for up, weight in zip(ups, weights, strict=True)}, state.__next__)


def test_orders_follow_the_weights_and_leave_out_what_is_open_or_was_tried() -> None:
    router = routed(0.5, 0.5, 0.0)
    drawn = [router.pick("taker") for _ in range(200)]
    assert 60 < drawn.count(0) < 140
    assert drawn.count(2) == 0
    assert {router.pick("taker", frozenset([0])) for _ in range(20)} == {1}
    router.upstreams[0].open = True
    router.refresh()
    assert {router.pick("taker") for _ in range(20)} == {1}
    assert router.places() == 128
    router.upstreams[1].open = True
    router.refresh()
    assert {router.pick("taker") for _ in range(20)} == {2}  # without any weight left, whoever is well
    router.upstreams[2].open = True
    router.refresh()
    assert router.pick("taker") is None


def test_a_full_node_is_passed_over_while_another_has_room() -> None:
    router = routed(0.9, 0.1)
    router.upstreams[0].in_flight = 64
    assert {router.pick("taker") for _ in range(20)} == {1}


def test_a_circuit_that_opens_again_and_again_stays_open_twice_as_long_each_time() -> None:
    circuit, pauses = Circuit(), []
    for at_s in (0.0, 10.0, 20.0, 30.0, 1000.0):
        circuit.opened(at_s, 1.0)
        pauses.append(circuit.pause_s)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 1.0]


def test_arrivals_are_counted_over_the_window() -> None:
    arrivals = Arrivals(10.0, 0.0)
    assert arrivals.per_s(0.5) is None
    for i in range(40):
        arrivals.count(i / 10)
    assert arrivals.per_s(4.0) == 10.0
    assert arrivals.per_s(10.0) == 4.0
    assert arrivals.per_s(30.0) is None


def test_retries_are_a_share_of_the_orders() -> None:
    budget = Budget(0.25)
    assert [budget.take() for _ in range(21)] == [True] * 20 + [False]
    for _ in range(8):
        budget.pay()
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert not Budget(0.0).take()


def test_when_to_come_again_is_told_in_whole_seconds() -> None:
    assert retry_after(too_much("", 0.2)) == [(b"retry-after", b"1")]
    assert retry_after(too_much("", 2.1)) == [(b"retry-after", b"3")]
    assert retry_after(unknown("")) == []
