from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Nothing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("issued_at_s", "valid_until_s", "tick_s", "origin", "contract_digest", "levels", "targets")
    ISSUED_AT_S_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    TICK_S_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    issued_at_s: float
    valid_until_s: float
    tick_s: float
    origin: str
    contract_digest: str
    levels: _containers.RepeatedScalarFieldContainer[float]
    targets: _containers.RepeatedCompositeFieldContainer[TargetForecast]
    def __init__(self, issued_at_s: _Optional[float] = ..., valid_until_s: _Optional[float] = ..., tick_s: _Optional[float] = ..., origin: _Optional[str] = ..., contract_digest: _Optional[str] = ..., levels: _Optional[_Iterable[float]] = ..., targets: _Optional[_Iterable[_Union[TargetForecast, _Mapping]]] = ...) -> None: ...

class TargetForecast(_message.Message):
    __slots__ = ("target", "horizons")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    HORIZONS_FIELD_NUMBER: _ClassVar[int]
    target: str
    horizons: _containers.RepeatedCompositeFieldContainer[HorizonForecast]
    def __init__(self, target: _Optional[str] = ..., horizons: _Optional[_Iterable[_Union[HorizonForecast, _Mapping]]] = ...) -> None: ...

class HorizonForecast(_message.Message):
    __slots__ = ("horizon", "quantiles", "spike")
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    SPIKE_FIELD_NUMBER: _ClassVar[int]
    horizon: int
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    spike: float
    def __init__(self, horizon: _Optional[int] = ..., quantiles: _Optional[_Iterable[float]] = ..., spike: _Optional[float] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("valid_from_s", "valid_until_s", "stage", "reason", "capacity", "quotas", "weights", "forecast", "without_forecast", "warm", "fees", "routes", "report")
    VALID_FROM_S_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FORECAST_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    valid_from_s: float
    valid_until_s: float
    stage: str
    reason: str
    capacity: _containers.RepeatedCompositeFieldContainer[CapacitySetting]
    quotas: _containers.RepeatedCompositeFieldContainer[TierSetting]
    weights: _containers.RepeatedCompositeFieldContainer[NodeSetting]
    forecast: ForecastIdentity
    without_forecast: Settings
    warm: _containers.RepeatedCompositeFieldContainer[WarmSetting]
    fees: _containers.RepeatedCompositeFieldContainer[FeeSetting]
    routes: _containers.RepeatedCompositeFieldContainer[RouteSetting]
    report: PlanReport
    def __init__(self, valid_from_s: _Optional[float] = ..., valid_until_s: _Optional[float] = ..., stage: _Optional[str] = ..., reason: _Optional[str] = ..., capacity: _Optional[_Iterable[_Union[CapacitySetting, _Mapping]]] = ..., quotas: _Optional[_Iterable[_Union[TierSetting, _Mapping]]] = ..., weights: _Optional[_Iterable[_Union[NodeSetting, _Mapping]]] = ..., forecast: _Optional[_Union[ForecastIdentity, _Mapping]] = ..., without_forecast: _Optional[_Union[Settings, _Mapping]] = ..., warm: _Optional[_Iterable[_Union[WarmSetting, _Mapping]]] = ..., fees: _Optional[_Iterable[_Union[FeeSetting, _Mapping]]] = ..., routes: _Optional[_Iterable[_Union[RouteSetting, _Mapping]]] = ..., report: _Optional[_Union[PlanReport, _Mapping]] = ...) -> None: ...

class Settings(_message.Message):
    __slots__ = ("capacity", "quotas", "weights")
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    capacity: _containers.RepeatedCompositeFieldContainer[CapacitySetting]
    quotas: _containers.RepeatedCompositeFieldContainer[TierSetting]
    weights: _containers.RepeatedCompositeFieldContainer[NodeSetting]
    def __init__(self, capacity: _Optional[_Iterable[_Union[CapacitySetting, _Mapping]]] = ..., quotas: _Optional[_Iterable[_Union[TierSetting, _Mapping]]] = ..., weights: _Optional[_Iterable[_Union[NodeSetting, _Mapping]]] = ...) -> None: ...

class CapacitySetting(_message.Message):
    __slots__ = ("pool", "units", "rate_per_s", "reason")
    POOL_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    pool: str
    units: int
    rate_per_s: float
    reason: str
    def __init__(self, pool: _Optional[str] = ..., units: _Optional[int] = ..., rate_per_s: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class TierSetting(_message.Message):
    __slots__ = ("tier", "priority", "rate_per_s", "share", "reason", "most_waiting")
    TIER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MOST_WAITING_FIELD_NUMBER: _ClassVar[int]
    tier: str
    priority: int
    rate_per_s: float
    share: float
    reason: str
    most_waiting: int
    def __init__(self, tier: _Optional[str] = ..., priority: _Optional[int] = ..., rate_per_s: _Optional[float] = ..., share: _Optional[float] = ..., reason: _Optional[str] = ..., most_waiting: _Optional[int] = ...) -> None: ...

class NodeSetting(_message.Message):
    __slots__ = ("node", "weight", "reason")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node: str
    weight: float
    reason: str
    def __init__(self, node: _Optional[str] = ..., weight: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class ForecastIdentity(_message.Message):
    __slots__ = ("origin", "contract_digest", "issued_at_s", "valid_until_s")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_S_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    origin: str
    contract_digest: str
    issued_at_s: float
    valid_until_s: float
    def __init__(self, origin: _Optional[str] = ..., contract_digest: _Optional[str] = ..., issued_at_s: _Optional[float] = ..., valid_until_s: _Optional[float] = ...) -> None: ...

class WarmSetting(_message.Message):
    __slots__ = ("lever", "kind", "units", "lead_s", "reason")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    LEAD_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    lever: str
    kind: str
    units: int
    lead_s: float
    reason: str
    def __init__(self, lever: _Optional[str] = ..., kind: _Optional[str] = ..., units: _Optional[int] = ..., lead_s: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class FeeSetting(_message.Message):
    __slots__ = ("tier", "chain", "max_fee_wei", "tip_wei", "blocks", "inclusion", "reason")
    TIER_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FEE_WEI_FIELD_NUMBER: _ClassVar[int]
    TIP_WEI_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tier: str
    chain: str
    max_fee_wei: int
    tip_wei: int
    blocks: int
    inclusion: float
    reason: str
    def __init__(self, tier: _Optional[str] = ..., chain: _Optional[str] = ..., max_fee_wei: _Optional[int] = ..., tip_wei: _Optional[int] = ..., blocks: _Optional[int] = ..., inclusion: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class RouteSetting(_message.Message):
    __slots__ = ("tier", "node", "weight", "reason")
    TIER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tier: str
    node: str
    weight: float
    reason: str
    def __init__(self, tier: _Optional[str] = ..., node: _Optional[str] = ..., weight: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class Dispersion(_message.Message):
    __slots__ = ("max_share", "hhi", "entropy")
    MAX_SHARE_FIELD_NUMBER: _ClassVar[int]
    HHI_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    max_share: float
    hhi: float
    entropy: float
    def __init__(self, max_share: _Optional[float] = ..., hhi: _Optional[float] = ..., entropy: _Optional[float] = ...) -> None: ...

class PlanReport(_message.Message):
    __slots__ = ("throughput_per_s", "latency_s", "operators", "regions")
    THROUGHPUT_PER_S_FIELD_NUMBER: _ClassVar[int]
    LATENCY_S_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    throughput_per_s: float
    latency_s: float
    operators: Dispersion
    regions: Dispersion
    def __init__(self, throughput_per_s: _Optional[float] = ..., latency_s: _Optional[float] = ..., operators: _Optional[_Union[Dispersion, _Mapping]] = ..., regions: _Optional[_Union[Dispersion, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after_id",)
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    after_id: int
    def __init__(self, after_id: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("at_s", "kind", "text")
    AT_S_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    kind: str
    text: str
    def __init__(self, at_s: _Optional[float] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("id", "plan", "event")
    ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    id: int
    plan: Plan
    event: Event
    def __init__(self, id: _Optional[int] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class Readiness(_message.Message):
    __slots__ = ("ready", "reasons")
    READY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    ready: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ready: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Observations(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class Taken(_message.Message):
    __slots__ = ("rows",)
    class RowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.ScalarMap[str, int]
    def __init__(self, rows: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GatewayReport(_message.Message):
    __slots__ = ("demand_per_s", "queued", "ready_units", "ordered_units", "chain")
    class QueuedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DEMAND_PER_S_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    READY_UNITS_FIELD_NUMBER: _ClassVar[int]
    ORDERED_UNITS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    demand_per_s: float
    queued: _containers.ScalarMap[str, float]
    ready_units: int
    ordered_units: int
    chain: ChainState
    def __init__(self, demand_per_s: _Optional[float] = ..., queued: _Optional[_Mapping[str, float]] = ..., ready_units: _Optional[int] = ..., ordered_units: _Optional[int] = ..., chain: _Optional[_Union[ChainState, _Mapping]] = ...) -> None: ...

class ChainState(_message.Message):
    __slots__ = ("next_base_fee_wei", "levels", "utilisation", "tip_wei")
    NEXT_BASE_FEE_WEI_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    TIP_WEI_FIELD_NUMBER: _ClassVar[int]
    next_base_fee_wei: int
    levels: _containers.RepeatedScalarFieldContainer[float]
    utilisation: _containers.RepeatedScalarFieldContainer[float]
    tip_wei: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, next_base_fee_wei: _Optional[int] = ..., levels: _Optional[_Iterable[float]] = ..., utilisation: _Optional[_Iterable[float]] = ..., tip_wei: _Optional[_Iterable[float]] = ...) -> None: ...

class Pin(_message.Message):
    __slots__ = ("lever", "name", "until_s", "reason", "value")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    lever: str
    name: str
    until_s: float
    reason: str
    value: float
    def __init__(self, lever: _Optional[str] = ..., name: _Optional[str] = ..., until_s: _Optional[float] = ..., reason: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class Pins(_message.Message):
    __slots__ = ("overrides",)
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    overrides: _containers.RepeatedCompositeFieldContainer[Pin]
    def __init__(self, overrides: _Optional[_Iterable[_Union[Pin, _Mapping]]] = ...) -> None: ...

class PinRequest(_message.Message):
    __slots__ = ("lever", "name", "for_s", "reason", "value")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOR_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    lever: str
    name: str
    for_s: float
    reason: str
    value: float
    def __init__(self, lever: _Optional[str] = ..., name: _Optional[str] = ..., for_s: _Optional[float] = ..., reason: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class Unpin(_message.Message):
    __slots__ = ("lever", "name")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    lever: str
    name: str
    def __init__(self, lever: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class PlansRequest(_message.Message):
    __slots__ = ("since", "limit")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    since: float
    limit: int
    def __init__(self, since: _Optional[float] = ..., limit: _Optional[int] = ...) -> None: ...

class Plans(_message.Message):
    __slots__ = ("plans",)
    PLANS_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[Plan]
    def __init__(self, plans: _Optional[_Iterable[_Union[Plan, _Mapping]]] = ...) -> None: ...

class WhatIf(_message.Message):
    __slots__ = ("forecast", "observed", "overrides", "blind")
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    BLIND_FIELD_NUMBER: _ClassVar[int]
    forecast: Forecast
    observed: Observed
    overrides: Pins
    blind: bool
    def __init__(self, forecast: _Optional[_Union[Forecast, _Mapping]] = ..., observed: _Optional[_Union[Observed, _Mapping]] = ..., overrides: _Optional[_Union[Pins, _Mapping]] = ..., blind: _Optional[bool] = ...) -> None: ...

class Observed(_message.Message):
    __slots__ = ("at_s", "demand_per_s", "queued", "ready_units", "ordered_units", "pending", "since_order_s", "demand_age_s", "held_per_s", "settings", "positions", "chain")
    class QueuedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    AT_S_FIELD_NUMBER: _ClassVar[int]
    DEMAND_PER_S_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    READY_UNITS_FIELD_NUMBER: _ClassVar[int]
    ORDERED_UNITS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    SINCE_ORDER_S_FIELD_NUMBER: _ClassVar[int]
    DEMAND_AGE_S_FIELD_NUMBER: _ClassVar[int]
    HELD_PER_S_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    demand_per_s: float
    queued: _containers.ScalarMap[str, float]
    ready_units: int
    ordered_units: int
    pending: _containers.RepeatedCompositeFieldContainer[Arrival]
    since_order_s: float
    demand_age_s: float
    held_per_s: float
    settings: _containers.RepeatedCompositeFieldContainer[LeverSetting]
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    chain: ChainState
    def __init__(self, at_s: _Optional[float] = ..., demand_per_s: _Optional[float] = ..., queued: _Optional[_Mapping[str, float]] = ..., ready_units: _Optional[int] = ..., ordered_units: _Optional[int] = ..., pending: _Optional[_Iterable[_Union[Arrival, _Mapping]]] = ..., since_order_s: _Optional[float] = ..., demand_age_s: _Optional[float] = ..., held_per_s: _Optional[float] = ..., settings: _Optional[_Iterable[_Union[LeverSetting, _Mapping]]] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., chain: _Optional[_Union[ChainState, _Mapping]] = ...) -> None: ...

class Arrival(_message.Message):
    __slots__ = ("at_s", "units")
    AT_S_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    units: int
    def __init__(self, at_s: _Optional[float] = ..., units: _Optional[int] = ...) -> None: ...

class LeverSetting(_message.Message):
    __slots__ = ("lever", "units", "moved_at_s", "direction")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    MOVED_AT_S_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    lever: str
    units: int
    moved_at_s: float
    direction: int
    def __init__(self, lever: _Optional[str] = ..., units: _Optional[int] = ..., moved_at_s: _Optional[float] = ..., direction: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("distance", "count", "orders")
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    distance: float
    count: float
    orders: float
    def __init__(self, distance: _Optional[float] = ..., count: _Optional[float] = ..., orders: _Optional[float] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("at_s", "stage", "reason", "not_led_by", "forecast", "capacity", "quotas", "weights", "overrides")
    AT_S_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_LED_BY_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    stage: str
    reason: str
    not_led_by: str
    forecast: _containers.RepeatedCompositeFieldContainer[Read]
    capacity: CapacityReason
    quotas: _containers.RepeatedCompositeFieldContainer[TierReason]
    weights: _containers.RepeatedCompositeFieldContainer[NodeReason]
    overrides: _containers.RepeatedCompositeFieldContainer[Pin]
    def __init__(self, at_s: _Optional[float] = ..., stage: _Optional[str] = ..., reason: _Optional[str] = ..., not_led_by: _Optional[str] = ..., forecast: _Optional[_Iterable[_Union[Read, _Mapping]]] = ..., capacity: _Optional[_Union[CapacityReason, _Mapping]] = ..., quotas: _Optional[_Iterable[_Union[TierReason, _Mapping]]] = ..., weights: _Optional[_Iterable[_Union[NodeReason, _Mapping]]] = ..., overrides: _Optional[_Iterable[_Union[Pin, _Mapping]]] = ...) -> None: ...

class Read(_message.Message):
    __slots__ = ("target", "levels", "quantiles", "spike")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    SPIKE_FIELD_NUMBER: _ClassVar[int]
    target: str
    levels: _containers.RepeatedScalarFieldContainer[float]
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    spike: float
    def __init__(self, target: _Optional[str] = ..., levels: _Optional[_Iterable[float]] = ..., quantiles: _Optional[_Iterable[float]] = ..., spike: _Optional[float] = ...) -> None: ...

class CapacityReason(_message.Message):
    __slots__ = ("pool", "units", "wanted", "without_forecast", "lead_s", "levels", "demand_per_s", "prices_usd", "unit_usd", "leash", "law")
    POOL_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FORECAST_FIELD_NUMBER: _ClassVar[int]
    LEAD_S_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    DEMAND_PER_S_FIELD_NUMBER: _ClassVar[int]
    PRICES_USD_FIELD_NUMBER: _ClassVar[int]
    UNIT_USD_FIELD_NUMBER: _ClassVar[int]
    LEASH_FIELD_NUMBER: _ClassVar[int]
    LAW_FIELD_NUMBER: _ClassVar[int]
    pool: str
    units: int
    wanted: int
    without_forecast: int
    lead_s: float
    levels: _containers.RepeatedScalarFieldContainer[float]
    demand_per_s: _containers.RepeatedScalarFieldContainer[float]
    prices_usd: _containers.RepeatedScalarFieldContainer[float]
    unit_usd: float
    leash: Leash
    law: str
    def __init__(self, pool: _Optional[str] = ..., units: _Optional[int] = ..., wanted: _Optional[int] = ..., without_forecast: _Optional[int] = ..., lead_s: _Optional[float] = ..., levels: _Optional[_Iterable[float]] = ..., demand_per_s: _Optional[_Iterable[float]] = ..., prices_usd: _Optional[_Iterable[float]] = ..., unit_usd: _Optional[float] = ..., leash: _Optional[_Union[Leash, _Mapping]] = ..., law: _Optional[str] = ...) -> None: ...

class Leash(_message.Message):
    __slots__ = ("stage", "weight", "baseline_units", "least_units", "most_units", "refusal")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_UNITS_FIELD_NUMBER: _ClassVar[int]
    LEAST_UNITS_FIELD_NUMBER: _ClassVar[int]
    MOST_UNITS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    weight: float
    baseline_units: int
    least_units: int
    most_units: int
    refusal: str
    def __init__(self, stage: _Optional[str] = ..., weight: _Optional[float] = ..., baseline_units: _Optional[int] = ..., least_units: _Optional[int] = ..., most_units: _Optional[int] = ..., refusal: _Optional[str] = ...) -> None: ...

class TierReason(_message.Message):
    __slots__ = ("tier", "share", "without_forecast", "urgency_usd_per_s", "shortage_usd", "floor", "reason", "law")
    TIER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FORECAST_FIELD_NUMBER: _ClassVar[int]
    URGENCY_USD_PER_S_FIELD_NUMBER: _ClassVar[int]
    SHORTAGE_USD_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LAW_FIELD_NUMBER: _ClassVar[int]
    tier: str
    share: float
    without_forecast: float
    urgency_usd_per_s: float
    shortage_usd: float
    floor: float
    reason: str
    law: str
    def __init__(self, tier: _Optional[str] = ..., share: _Optional[float] = ..., without_forecast: _Optional[float] = ..., urgency_usd_per_s: _Optional[float] = ..., shortage_usd: _Optional[float] = ..., floor: _Optional[float] = ..., reason: _Optional[str] = ..., law: _Optional[str] = ...) -> None: ...

class NodeReason(_message.Message):
    __slots__ = ("node", "weight", "without_forecast", "reason", "law")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FORECAST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LAW_FIELD_NUMBER: _ClassVar[int]
    node: str
    weight: float
    without_forecast: float
    reason: str
    law: str
    def __init__(self, node: _Optional[str] = ..., weight: _Optional[float] = ..., without_forecast: _Optional[float] = ..., reason: _Optional[str] = ..., law: _Optional[str] = ...) -> None: ...

class Models(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("role", "name", "task", "architecture", "contract", "targets", "shadows_for_ticks", "comparison")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FOR_TICKS_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    role: str
    name: str
    task: str
    architecture: str
    contract: str
    targets: _containers.RepeatedScalarFieldContainer[str]
    shadows_for_ticks: int
    comparison: Comparison
    def __init__(self, role: _Optional[str] = ..., name: _Optional[str] = ..., task: _Optional[str] = ..., architecture: _Optional[str] = ..., contract: _Optional[str] = ..., targets: _Optional[_Iterable[str]] = ..., shadows_for_ticks: _Optional[int] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("ticks", "outcomes", "faults", "truths", "loss_ratio", "coverage", "leader_coverage", "drift", "median_s", "leader_median_s")
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TICKS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    TRUTHS_FIELD_NUMBER: _ClassVar[int]
    LOSS_RATIO_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    LEADER_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_S_FIELD_NUMBER: _ClassVar[int]
    LEADER_MEDIAN_S_FIELD_NUMBER: _ClassVar[int]
    ticks: int
    outcomes: _containers.ScalarMap[str, int]
    faults: float
    truths: int
    loss_ratio: float
    coverage: float
    leader_coverage: float
    drift: float
    median_s: float
    leader_median_s: float
    def __init__(self, ticks: _Optional[int] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., faults: _Optional[float] = ..., truths: _Optional[int] = ..., loss_ratio: _Optional[float] = ..., coverage: _Optional[float] = ..., leader_coverage: _Optional[float] = ..., drift: _Optional[float] = ..., median_s: _Optional[float] = ..., leader_median_s: _Optional[float] = ...) -> None: ...

class Swap(_message.Message):
    __slots__ = ("to",)
    TO_FIELD_NUMBER: _ClassVar[int]
    to: str
    def __init__(self, to: _Optional[str] = ...) -> None: ...
