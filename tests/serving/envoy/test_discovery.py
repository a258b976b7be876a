import asyncio
from pathlib import Path
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from prometheus_client import CollectorRegistry

from serving.envoy.discovery import Discovery, Stream
from serving.envoy.kept import ENDPOINTS, SWITCHES, Kept
from serving.envoy.metrics import EnvoyMetrics
from serving.envoy.resources import assignment
from serving.envoy.settings import Endpoint, Envoy
from tests.serving.made import venue

OWN = Envoy((Endpoint("fra-1", "127.0.0.1:9101"), Endpoint("nrt-1", "127.0.0.1:9102")))
FIRST, SECOND, THIRD = ({"fra-1": part, "nrt-1": 1 - part} for part in (0.5, 0.25, 0.125))


def weights(parts: dict[str, float]) -> list[Any]:
    return [assignment(OWN, venue(), parts)]


def discovery(path: Path) -> Discovery:
    return Discovery(Kept.read(path), EnvoyMetrics.create(CollectorRegistry()), lambda: 0.0)


def connected(service: Discovery, name: str = "one", kind: str = ENDPOINTS) -> Stream:
    stream = Stream()
    service.streams.append(stream)
    request = discovery_pb2.DiscoveryRequest(type_url=kind, resource_names=["nodes"])
    request.node.id = name
    service.hear(stream, request)
    return stream


def answer(service: Discovery, stream: Stream, refusal: str | None = None) -> str:
    """Answer everything that was sent; returns the version of the last."""
    version = ""
    while not stream.outbox.empty():
        sent = stream.outbox.get_nowait()
        request = discovery_pb2.DiscoveryRequest(
            type_url=sent.type_url, resource_names=["nodes"], response_nonce=sent.nonce, version_info=sent.version_info
        )
        if refusal is not None:
            request.error_detail.message = refusal
        service.hear(stream, request)
        version = sent.version_info
    return version


@pytest.fixture
def service(tmp_path: Path) -> Discovery:
    return discovery(tmp_path / "state.json")


def faults(service: Discovery) -> list[str]:
    return asyncio.run(service.confirmed(0.01))


def test_an_envoy_that_connects_late_gets_what_is_in_force(service: Discovery) -> None:
    service.push(ENDPOINTS, weights(FIRST))
    service.push(ENDPOINTS, weights(SECOND))
    assert answer(service, connected(service)) == "2"
    assert faults(service) == []


def test_the_same_weights_are_not_sent_twice(service: Discovery) -> None:
    stream = connected(service)
    service.push(ENDPOINTS, weights(FIRST))
    assert answer(service, stream) == "1"
    service.push(ENDPOINTS, weights(FIRST))
    assert stream.outbox.empty()


def test_a_refused_version_is_said_withdrawn_and_not_sent_again(service: Discovery) -> None:
    one, two = connected(service, "one"), connected(service, "two")
    service.push(ENDPOINTS, weights(FIRST))
    answer(service, one)
    answer(service, two)
    service.push(ENDPOINTS, weights(SECOND))
    answer(service, one, "no such weight")
    answer(service, two)
    assert faults(service) == ["one refuses ClusterLoadAssignment: no such weight"]
    late = connected(service, "late")
    assert answer(service, late) == "1"
    service.push(ENDPOINTS, weights(SECOND))
    assert one.outbox.empty()
    assert faults(service) == ["one refuses ClusterLoadAssignment: no such weight"]
    service.push(ENDPOINTS, weights(THIRD))
    assert {answer(service, stream) for stream in (one, two, late)} == {"3"}
    assert faults(service) == []


def test_going_back_to_what_was_taken_ends_the_fault(service: Discovery) -> None:
    stream = connected(service)
    service.push(ENDPOINTS, weights(FIRST))
    answer(service, stream)
    service.push(ENDPOINTS, weights(SECOND))
    answer(service, stream, "no")
    service.push(ENDPOINTS, weights(FIRST))
    assert answer(service, stream) == "1"
    assert faults(service) == []


def test_an_envoy_that_does_not_answer_is_said(service: Discovery) -> None:
    connected(service, "mute")
    service.push(ENDPOINTS, weights(FIRST))
    assert faults(service) == ["mute is silent"]


def test_an_answer_to_what_was_replaced_does_not_count(service: Discovery) -> None:
    stream = connected(service)
    service.push(ENDPOINTS, weights(FIRST))
    old = stream.outbox.get_nowait()
    service.push(ENDPOINTS, weights(SECOND))
    service.hear(stream, discovery_pb2.DiscoveryRequest(type_url=ENDPOINTS, response_nonce=old.nonce))
    assert service.topics[ENDPOINTS].taken is None
    assert answer(service, stream) == "2"


def test_types_that_nobody_knows_are_passed_over(service: Discovery) -> None:
    stream = connected(service, kind="type.googleapis.com/envoy.config.cluster.v3.Cluster")
    assert stream.asked == {}


def test_what_was_taken_outlives_the_process_and_versions_go_on(tmp_path: Path) -> None:
    before = discovery(tmp_path / "state.json")
    stream = connected(before)
    before.push(ENDPOINTS, weights(FIRST))
    answer(before, stream)
    before.push(ENDPOINTS, weights(SECOND))
    answer(before, stream, "no")
    before.kept.write()
    after = discovery(tmp_path / "state.json")
    again = connected(after)
    assert answer(after, again) == "1"
    after.push(ENDPOINTS, weights(THIRD))
    assert answer(after, again) == "3"
    assert after.topics[SWITCHES].current is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "resources": {"x": {}}, "quotas": {}}']
)
def test_a_state_that_cannot_be_read_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert Kept.read(tmp_path / "state.json").version == 0
