"""What the gateway does with orders, over real sockets."""

import asyncio
from pathlib import Path

import pytest

from tests.serving.embedded.load import transaction
from tests.serving.embedded.made import play, world


def test_a_transaction_is_answered_with_its_hash_and_taken_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            answer = await there.send(7)
            assert answer.status_code == 200
            told = answer.json()
            assert told["id"] == 7
            assert there.taken() == [told["result"][2:]]

    play(story())


def test_the_same_transaction_twice_at_once_and_once_more_later_is_sent_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            both = await asyncio.gather(there.send(1), there.send(1))
            later = await there.send(1)
            assert len({answer.json()["result"] for answer in (*both, later)}) == 1
            assert sum(len(node.seen) for node in there.nodes.values()) == 1
            assert there.count("repeats_total") == 2

    play(story())


def test_one_that_the_chain_knows_already_is_a_success(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            first, other = await there.send(1, "crowd"), await there.send(1, "desk")
            assert first.json()["result"] == other.json()["result"]
            assert len(there.taken()) == 1

    play(story())


@pytest.mark.parametrize("trouble", ["hang", "garble", "lie", "fail", "busy"])
def test_a_transaction_that_a_node_mishandles_is_in_once_all_the_same(tmp_path: Path, trouble: str) -> None:
    async def story() -> None:
        async with world(tmp_path, timeout_s=0.3, open_after=100) as there:
            there.trouble(n0=trouble, n1=trouble)
            answers = [await there.send(number) for number in range(6)]
            assert [answer.status_code for answer in answers] == [200] * 6
            assert len(there.taken()) == len(set(there.taken())) == 6
            assert there.count("retries_total") > 0

    play(story())


def test_a_dead_node_costs_a_retry_until_its_circuit_opens_and_nothing_after(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, dead=("n0",)) as there:
            await asyncio.sleep(0.3)
            assert there.count("node_out", node="n0") == 1
            answers = await asyncio.gather(*(there.send(number) for number in range(20)))
            assert all("result" in answer.json() for answer in answers)
            assert there.count("retries_total") == 0

    play(story())


def test_a_node_that_lies_is_found_out_and_used_again_once_it_is_honest(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, retry_share=1.0) as there:
            there.trouble(n0="lie")
            number = 0
            while not there.count("node_out", node="n0"):
                assert (await there.send(number)).status_code == 200
                number += 1
            there.trouble(n0="well")
            while there.count("node_out", node="n0"):
                await asyncio.sleep(0.02)
            assert len(there.taken()) == number

    play(story())


@pytest.mark.parametrize("trouble", ["behind", "genesis"])
def test_a_node_that_is_far_behind_gets_no_orders(tmp_path: Path, trouble: str) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            there.trouble(n2=trouble)
            while not there.count("node_out", node="n2"):
                await asyncio.sleep(0.02)
            await asyncio.gather(*(there.send(number) for number in range(20)))
            assert there.count("attempts_total", node="n2", outcome="answered") == 0

    play(story())


def test_a_pause_is_not_waited_for_while_most_nodes_are_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, open_after=1) as there:
            circuits = there.gateway._parts.monitor._circuits  # type: ignore[union-attr]
            for name in ("n0", "n1"):
                there.trouble(**{name: "fail"})
                while not there.count("node_out", node=name):
                    await asyncio.sleep(0.02)
                circuits[name].pause_s = 1e9
                there.trouble(**{name: "well"})
                if name == "n0":
                    await asyncio.sleep(0.3)
                    assert there.count("node_out", node="n0") == 1  # two of three are enough to wait
            while there.count("node_out", node="n0") + there.count("node_out", node="n1") == 2:
                await asyncio.sleep(0.02)

    play(story())


def test_without_any_node_an_order_is_refused_at_once_with_when_to_come_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, dead=("n0", "n1", "n2")) as there:
            await asyncio.sleep(0.3)
            answer = await there.send(1)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            error = answer.json()["error"]
            assert error["code"] == -32005
            assert error["data"] == {"reason": "no upstream is well", "retry_after_s": 1.0}
            assert (await there.http.get("/healthz")).status_code == 503

    play(story())


def test_a_rest_order_that_may_have_arrived_is_not_sent_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, timeout_s=0.3, open_after=100) as there:
            there.trouble(n0="hang", n1="hang", n2="hang")
            answer = await there.order({"side": "buy"}, **{"Idempotency-Key": "a1"})
            assert answer.status_code == 504
            assert "ask it by its key" in answer.json()["detail"]
            there.trouble(n0="well", n1="well", n2="well")
            again = await there.order({"side": "buy"}, **{"Idempotency-Key": "a1"})
            assert again.json() == answer.json()
            assert there.taken() == ["a1"]

    play(story())


def test_a_rest_order_that_certainly_was_not_sent_goes_elsewhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, dead=("n0", "n1"), open_after=1000, retry_share=1.0) as there:
            answers = [await there.order({"n": n}, **{"Idempotency-Key": f"k{n}"}) for n in range(6)]
            assert [answer.json()["by"] for answer in answers] == ["n2"] * 6
            assert sorted(there.taken()) == [f"k{n}" for n in range(6)]

    play(story())


def test_an_idempotency_key_stands_for_one_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            key = {"Idempotency-Key": "once"}
            first, same = await there.order({"n": 1}, **key), await there.order({"n": 1}, **key)
            other = await there.order({"n": 2}, **key)
            assert first.json() == same.json()
            assert other.status_code == 422
            assert there.taken() == ["once"]
            assert (await there.order({"n": 2}, "desk", **key)).status_code == 200

    play(story())


def test_upstreams_learn_the_account_and_how_long_there_is_but_not_the_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            await there.order({"n": 1}, **{"Shaper-Deadline-Ms": "1200"})
            (seen,) = [headers for node in there.nodes.values() for headers in node.seen]
            assert seen["shaper-account"] == "crowd"
            assert 0 < int(seen["shaper-deadline-ms"]) <= 1200
            assert "x-api-key" not in seen

    play(story())


def test_a_batch_is_answered_call_by_call(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            batch = [
                {"jsonrpc": "2.0", "id": "a", "method": "eth_sendRawTransaction", "params": [transaction(1)]},
                {"jsonrpc": "2.0", "id": 2, "method": "eth_chainId"},
                {"jsonrpc": "2.0", "method": "eth_gasPrice"},
                {"jsonrpc": "2.0", "id": 3, "method": "eth_sign", "params": []},
                7,
            ]
            answers = (await there.http.post("/", json=batch, headers={"X-Api-Key": "crowd"})).json()
            assert [answer["id"] for answer in answers] == ["a", 2, 3, None]
            assert [answer.get("error", {}).get("code") for answer in answers] == [None, None, -32601, -32600]
            assert there.taken() == [answers[0]["result"][2:]]

    play(story())


def test_a_slow_read_is_asked_elsewhere_and_the_first_answer_counts(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, hedge_s=0.02, retry_share=1.0) as there:
            there.trouble(n0="hang", n1="hang")
            for _ in range(8):
                assert (await there.call("eth_chainId")).json()["result"]["by"] == "n2"
            assert there.count("hedged_reads_total") > 0
            assert all(there.count("in_flight_requests", node=name) == 0 for name in there.nodes)

    play(story())


def test_a_rest_order_can_be_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            found = await there.http.get("/orders/k1", headers={"Authorization": "Bearer crowd"})
            assert found.json()["path"] == "/orders/k1"
            for path in ("/orders/..%2ftrouble", "/orders/a%20b", "/trouble", "/orders/"):
                assert (await there.http.get(path, headers={"X-Api-Key": "crowd"})).status_code == 404

    play(story())


NO_CALLS = [
    (b"", -32700),
    (b"{", -32700),
    (b"[]", -32600),
    (b"[" * 5000, -32700),
    (b'{"id":1}', -32600),
    (b'{"id":{},"method":"eth_chainId"}', -32600),
    (b'{"id":1,"method":"eth_sendTransaction"}', -32601),
    (b'{"id":1,"method":"eth_sendRawTransaction"}', -32602),
    (b'{"id":1,"method":"eth_sendRawTransaction","params":["0x12 34"]}', -32602),
    (b'{"id":1,"method":"eth_sendRawTransaction","params":["0xzz"]}', -32602),
    (b'{"id":1,"method":"eth_sendRawTransaction","params":["0x12","0x34"]}', -32602),
    (b'{"id":1,"method":"eth_sendRawTransaction","params":["0x\xff"]}', -32700),
    (b'{"id":"\xff","method":"eth_chainId"}', -32700),
    ('{"id":1,"method":"eth_sendRawTransaction","params":["0xé"]}'.encode(), -32602),
    (b"\xff\xfe", -32700),
]


def test_what_is_no_call_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            for body, code in NO_CALLS:
                answer = await there.http.post("/", content=body, headers={"X-Api-Key": "crowd"})
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), body
            assert (await there.send(1)).status_code == 200

    play(story())


def test_nobody_enters_without_a_key_or_with_too_much(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, max_body_bytes=1000) as there:
            assert (await there.http.post("/", json={})).status_code == 401
            assert (await there.send(1, "stranger")).status_code == 401
            assert (await there.http.post("/", content=b"1" * 1001, headers={"X-Api-Key": "crowd"})).status_code == 413
            assert there.taken() == []

    play(story())


TIERS = [
    ("liquidator", {}, None, "critical"),
    ("liquidator", {}, "bulk", "bulk"),  # a label may lower
    ("crowd", {}, "critical", "taker"),  # but never raise
    ("desk", {"post_only": True}, None, "maker"),
    ("desk", {"action": "cancel"}, None, "maker"),
    ("desk", {"post_only": False}, "maker", "taker"),  # what does not rest is no quote, whatever it is called
    ("crowd", {"post_only": True}, "maker", "taker"),
    ("export", {"post_only": True}, "critical", "bulk"),
    ("crowd", {}, "nonsense", "taker"),
]


def test_the_tier_comes_from_the_key_and_the_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            for key, body, label, tier in TIERS:
                before = there.count("orders_total", tier=tier, outcome="accepted")
                headers = {} if label is None else {"Shaper-Tier": label}
                assert (await there.order(body, key, **headers)).status_code == 200
                assert there.count("orders_total", tier=tier, outcome="accepted") == before + 1, (key, body, label)

    play(story())


def test_an_order_cannot_say_two_things(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            twofold = b'{"post_only":false,"post_only":true}'
            await there.http.post("/orders", content=twofold, headers={"X-Api-Key": "desk"})
            assert there.count("orders_total", tier="maker", outcome="accepted") == 1
            assert [node.bodies for node in there.nodes.values() if node.bodies] == [[b'{"post_only":true}']]

    play(story())
