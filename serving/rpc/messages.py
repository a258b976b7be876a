"""Answers of the sidecar as messages, and messages as what is asked of it.

Decided here: nothing but form. Fields have the names of the JSON, so that a plan is read from the very bytes that REST answers
with, and a request is checked as REST checks it; a forecast's nested arrays, which Protobuf does not have, become targets with
horizons.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message as ProtobufMessage

from serving.events import Message
from serving.gateway import Report
from serving.questions import WhatIf
from serving.rpc import shaper_pb2 as pb
from serving.swapping import Described
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


def explanation_of(body: bytes) -> pb.Explanation:
    """An explanation from its JSON."""
    return json_format.Parse(body, pb.Explanation())


def models_of(models: Sequence[Described]) -> pb.Models:
    """What is loaded."""
    return json_format.ParseDict({"models": msgspec.to_builtins(models)}, pb.Models())


def report_of(report: pb.GatewayReport) -> Report:
    """What a gateway says of itself; what it leaves out is None. Raises msgspec.ValidationError for what cannot be."""
    return msgspec.convert(fields(report), Report)


def what_if_of(asked: pb.WhatIf) -> WhatIf:
    """A question; what it leaves out is None. Raises msgspec.ValidationError for what cannot be."""
    told = fields(asked)
    if "forecast" in told:
        told["forecast"] = nested(told["forecast"])
    if "observed" in told:
        told["observed"] = measured(told["observed"])
    if "overrides" in told:
        told["overrides"] = told["overrides"]["overrides"]
    return msgspec.convert(told, WhatIf)


def nested(forecast: dict[str, Any]) -> dict[str, Any]:
    """A forecast with nested arrays in place of targets with horizons, which have to be the same for every target."""
    targets = forecast.pop("targets")
    horizons = [[part["horizon"] for part in target["horizons"]] for target in targets]
    if any(other != horizons[0] for other in horizons):
        raise msgspec.ValidationError(f"expected the same horizons for every target, found {horizons}")
    return {
        **forecast,
        "targets": [target["target"] for target in targets],
        "horizons": horizons[0] if horizons else [],
        "quantiles": [[part["quantiles"] for part in target["horizons"]] for target in targets],
        "spike": [[part["spike"] for part in target["horizons"]] for target in targets],
    }


def measured(observed: dict[str, Any]) -> dict[str, Any]:
    """A measurement with pairs in place of maps and arrivals."""
    pending = [(arrival["at_s"], arrival["units"]) for arrival in observed["pending"]]
    return {**observed, "queued": sorted(observed["queued"].items()), "pending": pending}


def fields(message: Any) -> dict[str, Any]:
    """The fields of a message by their names; those that can say whether they are there are left out when they are not."""
    names = [f.name for f in message.DESCRIPTOR.fields if not f.has_presence or message.HasField(f.name)]
    return {name: plain(getattr(message, name)) for name in names}


def plain(value: Any) -> Any:
    """A value of a message without any of Protobuf's own containers."""
    if isinstance(value, ProtobufMessage):
        return fields(value)
    if isinstance(value, Mapping):
        return dict(value)
    return [plain(part) for part in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
