"""The data plane of whoever takes a number over HTTP: each plan's units, posted until they are taken.

Decided here: what is posted is the number wanted, not a difference, so that it is safe to send twice; refusals (4xx) are not
repeated, overload (429, 5xx) and silence are.
"""

from pathlib import Path
from typing import Any

import httpx
import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from serving.capacity.settings import Webhook
from serving.dataplane import DataPlaneError
from serving.gateway import Report
from shaper.plan import CapacitySetting, Plan


class Answer(msgspec.Struct, frozen=True):
    """What the other side may say of the pool; anything else that it says is passed over."""

    ready_units: int | None = None
    ordered_units: int | None = None


class WebhookPlane:
    """Units of the pool, posted to a URL."""

    name = "webhook"

    def __init__(self, own: Webhook, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.own = own
        self.transport = transport
        self.client: httpx.AsyncClient | None = None
        self.told: Answer | None = None

    async def open(self) -> None:
        """Read the token. Raises DataPlaneError when there is none."""
        headers = {}
        if self.own.token_file is not None:
            try:
                headers["authorization"] = f"Bearer {Path(self.own.token_file).read_text('utf-8').strip()}"
            except OSError as error:
                raise DataPlaneError(
                    f"dataplane.webhook.token_file: expected a file with the token; found {error}; correct the path"
                ) from error
        self.client = httpx.AsyncClient(headers=headers, timeout=self.own.deadline_s, transport=self.transport)

    async def apply(self, plan: Plan) -> None:
        """Post the capacity of a plan. Raises DataPlaneError when it was not taken in time."""
        for setting in plan.capacity:
            self.told = await self.post(body(plan, setting))

    async def post(self, content: dict[str, Any]) -> Answer | None:
        """Post until taken; returns what was said of the pool, if anything. Raises DataPlaneError."""
        if self.client is None:
            raise DataPlaneError("webhook: expected to be opened first; found it closed; open it")
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_delay(self.own.deadline_s),
                wait=wait_random_exponential(multiplier=0.05, max=0.4),
                retry=retry_if_exception(passes),
                reraise=True,
            ):
                with attempt:
                    answer = (await self.client.post(self.own.url, json=content)).raise_for_status()
        except httpx.HTTPError as error:
            found = str(error).partition("\n")[0] or type(error).__name__
            raise DataPlaneError(f"webhook: expected {self.own.url} to take the plan; found {found}") from error
        try:
            return msgspec.json.decode(answer.content, type=Answer)
        except msgspec.DecodeError:
            return None

    async def report(self) -> Report | None:
        """The pool as it was last answered, None when nothing was said."""
        return (
            None
            if self.told is None
            else Report(ready_units=self.told.ready_units, ordered_units=self.told.ordered_units)
        )

    async def close(self) -> None:
        """Hang up; the pool stays as it is."""
        if self.client is not None:
            await self.client.aclose()


def body(plan: Plan, setting: CapacitySetting) -> dict[str, Any]:
    """What is posted of one pool; `valid_until_s` is a Unix time."""
    return {
        "pool": setting.pool,
        "units": setting.units,
        "rate_per_s": setting.rate_per_s,
        "reason": setting.reason,
        "stage": plan.stage,
        "valid_until_s": plan.valid_until_s,
    }


def passes(error: BaseException) -> bool:
    """Whether an error may pass by itself."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)
