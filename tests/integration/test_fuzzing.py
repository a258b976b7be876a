"""A real sidecar with its gateway and gRPC, sent what no honest client sends: no fault of its own, and it goes on.

SHAPER_FUZZ_CASES=100000 sends as many to each surface.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from serving.rpc import shaper_pb2 as pb
from tests.integration.parts import free_port
from tests.serving.embedded.load import transaction
from tests.serving.embedded.processes import Chain, chain, write_gateway
from tests.serving.fuzzing import CASES, Spoiler, fuzzed
from tests.serving.made import START, counts, posted
from tests.serving.process import Running, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(7200)]
ROWS = posted(counts(START, 2))
ORDER = {"side": "buy", "size": 1.5, "post_only": True, "action": "place"}
PINNED = {"lever": "weight", "name": "n0", "value": 0.5, "for_s": 60, "reason": "maintenance"}
REPORTED = {"demand_per_s": 40.0, "queued": {"taker": 12}, "ready_units": 10, "ordered_units": 10}
WINDOW = {"name": "window", "shape": [1, 4, 3], "datatype": "FP32", "data": [3.0] * 12}
Metadata = tuple[tuple[str, str | bytes], ...]
WITHIN_MIB = 60 if CASES < 50_000 else 150  # what a surface may add to the memory, once all that is remembered is full


@dataclass(frozen=True)
class Target:
    """What is fuzzed: the sidecar, its log, its chain, and where gRPC is."""

    sidecar: Running
    log: Path
    nodes: Chain
    rpc_port: int

    def require_sound(self, before_mib: float, seen: Counter[Any], name: str) -> None:
        """It still works, has said of no fault, and has not grown; honest orders are still taken."""
        print(f"\n{name}: {seen.total()} cases, answers {dict(sorted(seen.items(), key=str))}")
        assert self.sidecar.get("/healthz") == {"status": "ok"}
        counted = self.sidecar.ask("GET", "/metrics")[1].splitlines()
        assert not [line for line in counted if b'status="500"' in line and not line.startswith(b"#")]
        traces = self.log.read_text("utf-8", "replace").split("Traceback")[1:]
        ours = [trace for trace in traces if "ExecuteBatchError" not in trace]  # gRPC's own, of a call that had ended
        assert not ours, ours[0][:3000]
        assert self.mib() - before_mib < WITHIN_MIB

    def mib(self) -> float:
        """Its resident memory."""
        return float(psutil.Process(self.sidecar.process.pid).memory_info().rss / 2**20)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder, rpc_port = tmp_path_factory.mktemp("fuzz"), free_port()
    (folder / "ledger").mkdir()
    with chain(folder / "ledger") as nodes:
        path = write_gateway(folder, nodes, timeout_s=1.0)
        path.write_text(f'{path.read_text("utf-8")}\n[feed]\nclock = "rows"\n[grpc]\nport = {rpc_port}\n', "utf-8")
        with running(path) as sidecar:
            for hour in range(2):
                rows = posted(counts(START + timedelta(hours=hour), 3600 if hour == 0 else 15))
                assert sidecar.ask("POST", "/v1/observations", {"request_counts": rows})[0] == 202
            sidecar.wait_for("/v1/plan")
            yield Target(sidecar, folder / "serve.log", nodes, rpc_port)


def rest(spoil: Spoiler, forecast: dict[str, Any], observed: dict[str, Any]) -> bytes:
    """A request to the API."""
    known = {
        ("POST", "/v1/observations"): {"request_counts": ROWS},
        ("POST", "/v1/observations/stream"): {"request_counts": ROWS},
        ("PUT", "/v1/gateway"): REPORTED,
        ("PUT", "/v1/overrides"): PINNED,
        ("POST", "/v1/what-if"): {"forecast": forecast, "observed": observed, "overrides": []},
        ("POST", "/v1/models/swap"): {"to": "before"},
        ("POST", "/v2/models/echo/infer"): {"id": "1", "inputs": [WINDOW], "parameters": {"binary_data_output": False}},
        ("DELETE", "/v1/overrides?lever=weight&name=n0"): None,
        **dict.fromkeys(("GET", path) for path in (
            "/v1/plan", "/v1/plans?since=1&limit=5", "/v1/explain", "/v1/forecast", "/v1/series?after_s=1", "/v1/models",
            "/metrics", "/readyz", "/schema/openapi.json", "/", "/v2/models/echo", "/dashboard/page.js",
        )),
    }  # fmt: skip
    (method, path), body = spoil.draws.choice(list(known.items()))
    kind = "application/x-ndjson" if path.endswith("stream") else "application/json"
    if spoil.chance(0.1):
        path = path.replace("=1", f"={spoil.draws.choice(('nan', 'inf', '1e999', '-1', '', '%00', '9' * 400))}")
    content = b"" if body is None else spoil.encoded(spoil.value(body))
    if path.endswith("stream"):
        content = b"\n".join([content] * spoil.draws.choice((1, 1, 2, 20)))
    return spoil.request(method, path, {"Host": "127.0.0.1", "Content-Type": kind}, content)


def call(spoil: Spoiler) -> bytes:
    """A request to the gateway."""
    headers = {
        "Host": "127.0.0.1",
        "X-Api-Key": spoil.draws.choice(("crowd", "crowd", "crowd", "liquidator", "desk", "export", "nobody")),
    }
    if spoil.chance(0.3):
        keyed = {**headers, "Idempotency-Key": f"{spoil.draws.randrange(10)}", "Shaper-Tier": "bulk"}
        return spoil.request("POST", "/orders", keyed, spoil.encoded(spoil.value(ORDER)))
    if spoil.chance(0.05):
        return spoil.request("GET", "/orders/" + spoil.draws.choice(("1", "..", "%2e%2e", "a" * 200)), headers, b"")
    sent = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction",
            "params": [transaction(spoil.draws.randrange(2**32))]}  # fmt: skip
    read = {"jsonrpc": "2.0", "id": "a", "method": "eth_getBalance", "params": ["0x" + "1" * 40, "latest"]}
    one: Any = spoil.draws.choice((sent, sent, read, [sent, read], [read] * 4))
    return spoil.request("POST", "/", headers, spoil.encoded(spoil.value(one)))


def test_nothing_sent_to_the_api_is_a_fault_of_its_own(target: Target) -> None:
    before_mib = target.mib()
    plan, forecast = target.sidecar.get("/v1/plan"), target.sidecar.get("/v1/forecast")
    observed = {"at_s": plan["valid_from_s"], "demand_per_s": 48.0, "ready_units": 10, "ordered_units": 10}
    seen = fuzzed(target.sidecar.port, CASES, lambda spoil: rest(spoil, forecast, observed))
    assert {200, 202, 400, 404, 415, 422} <= set(seen)  # both what passes and what does not
    target.require_sound(before_mib, seen, "REST")


def test_nothing_sent_to_the_gateway_is_a_fault_of_its_own_and_no_order_is_taken_twice(target: Target) -> None:
    before_mib = target.mib()
    seen = fuzzed(target.sidecar.orders_port, CASES, call)
    assert {200, 204, 400, 401, 404} <= set(seen)
    assert seen[503] + seen[504] < 0.05 * seen.total()  # refusals: of a deadline that was too short
    taken = [key for key in target.nodes.taken() if len(key) == 64]  # REST orders without a key are no repeats
    assert len(taken) == len(set(taken)) > CASES // 20
    target.require_sound(before_mib, seen, "gateway")


def test_nothing_sent_over_grpc_is_a_fault_of_its_own(target: Target) -> None:
    before_mib = target.mib()
    seen = asyncio.run(asked(target.rpc_port, CASES))
    assert {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"} <= set(seen)
    target.require_sound(before_mib, seen, "gRPC")


async def asked(port: int, cases: int) -> Counter[str]:
    """The statuses of calls of every method, with spoilt messages."""
    seen: Counter[str] = Counter()
    faults: list[tuple[int, str, bytes]] = []
    numbers = iter(range(cases))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

        async def play() -> None:
            for number in numbers:
                spoil = Spoiler(number)
                name, content = message(spoil)
                make = channel.stream_unary if name == "ObserveStream" else channel.unary_unary
                method = make(f"/shaper.v1.Shaper/{name}", request_serializer=bytes, response_deserializer=bytes)
                told: Any = iter([content] * spoil.draws.choice((0, 1, 3))) if name == "ObserveStream" else content
                status = await status_of(method, told, spoil.draws.choice((5,) * 20 + (0.0005,)), metadata(spoil))
                seen[status] += 1
                if status in ("INTERNAL", "UNKNOWN"):
                    faults.append((number, name, content[:400]))

        await asyncio.gather(*(play() for _ in range(16)))
    assert not faults, (len(faults), faults[:8])
    return seen


async def status_of(method: Any, told: Any, within_s: float, told_of_it: Metadata) -> str:
    """What a call came to."""
    try:
        await method(told, timeout=within_s, metadata=told_of_it)
    except asyncio.CancelledError:
        return "ended"  # a stream that the server ended while it was sent
    except grpc.aio.AioRpcError as error:
        ended = error.details() == "Internal error from Core"  # so this client says the same where it was sending
        return "ended" if ended else str(error.code().name)
    return "OK"


def message(spoil: Spoiler) -> tuple[str, bytes]:
    """A method and what it is sent."""
    pinned, report = spoil.value(PINNED), spoil.value(REPORTED)
    made = {
        "GetPlan": pb.Nothing(),
        "GetForecast": pb.Nothing(),
        "GetReadiness": pb.Nothing(),
        "GetPins": pb.Nothing(),
        "Observe": pb.Observations(json=spoil.encoded(spoil.value({"request_counts": ROWS}))),
        "ObserveStream": pb.Observations(json=spoil.encoded(spoil.value({"request_counts": ROWS}))),
        "PutPin": fitting(pb.PinRequest, pinned),
        "Report": fitting(pb.GatewayReport, report),
        "DeletePins": fitting(pb.Unpin, pinned),
        "Nowhere": pb.Nothing(),
    }
    name = spoil.draws.choice(list(made))
    return name, spoil.cut(made[name].SerializeToString(), 0.3) if spoil.chance(0.95) else spoil.draws.randbytes(50)


def fitting(kind: Any, value: Any) -> Any:
    """A message of those fields that have the type for it."""
    found = kind()
    for name, part in value.items() if isinstance(value, dict) else ():
        try:
            found.MergeFrom(kind(**{name: part}))
        except (TypeError, ValueError, AttributeError):
            continue
    return found


def metadata(spoil: Spoiler) -> Metadata:
    """Metadata that some calls carry."""
    if spoil.chance(0.9):
        return ()
    return (
        spoil.draws.choice((("authorization", "Bearer x"), ("x", "y" * 4000), ("a-bin", spoil.draws.randbytes(60)))),
    )
