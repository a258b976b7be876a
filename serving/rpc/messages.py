"""Answers of the sidecar as messages.

Decided here: nothing but form. Fields have the names of the JSON, so that a plan is read from the very bytes that REST answers
with; a forecast's nested arrays, which Protobuf does not have, become targets with horizons.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from google.protobuf import json_format

from serving.events import Message
from serving.gateway import Report
from serving.rpc import shaper_pb2 as pb
from shaper.decision import Override
from shaper.forecast import Forecast


def plan_of(body: bytes) -> pb.Plan:
    """A plan from its JSON."""
    return json_format.Parse(body, pb.Plan())


def forecast_of(body: bytes) -> pb.Forecast:
    """A forecast from its JSON."""
    told = msgspec.json.decode(body, type=Forecast)
    targets = [
        pb.TargetForecast(
            target=name,
            horizons=[
                pb.HorizonForecast(horizon=horizon, quantiles=curve, spike=chance)
                for horizon, curve, chance in zip(told.horizons, curves, chances, strict=True)
            ],
        )
        for name, curves, chances in zip(told.targets, told.quantiles, told.spike, strict=True)
    ]
    return pb.Forecast(
        issued_at_s=told.issued_at_s,
        valid_until_s=told.valid_until_s,
        tick_s=told.tick_s,
        origin=told.origin,
        contract_digest=told.contract_digest,
        levels=told.levels,
        targets=targets,
    )


def message_of(message: Message) -> pb.Message:
    """An entry of the stream."""
    if message.kind == "plan":
        return pb.Message(id=message.id, plan=plan_of(message.body))
    return pb.Message(id=message.id, event=json_format.Parse(message.body, pb.Event()))


def pins_of(pins: Sequence[Override]) -> pb.Pins:
    """What is pinned."""
    return pb.Pins(overrides=[pb.Pin(**msgspec.to_builtins(pin)) for pin in pins])


def report_of(report: pb.GatewayReport) -> Report:
    """What a gateway says of itself; what it leaves out is None."""
    told: dict[str, Any] = {name: getattr(report, name) for name in ("demand_per_s", "ready_units", "ordered_units")}
    return Report(queued=dict(report.queued), **{name: value for name, value in told.items() if report.HasField(name)})
