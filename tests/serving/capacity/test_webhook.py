import asyncio
import json
from pathlib import Path

import httpx
import pytest

from serving.capacity.settings import Webhook, webhook_rules
from serving.capacity.webhook import WebhookPlane
from serving.dataplane import DataPlaneError
from serving.gateway import Report
from tests.serving.keda.test_scaler import plan


class Buyer:
    """The other side: answers with these statuses in turn, the last of them for ever."""

    def __init__(self, *statuses: int, content: bytes = b"{}") -> None:
        self.statuses = list(statuses)
        self.content = content
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, content=self.content)


def applied(buyer: Buyer, own: Webhook) -> Report | None:
    async def whole() -> Report | None:
        plane = WebhookPlane(own, httpx.MockTransport(buyer))
        await plane.open()
        try:
            await plane.apply(plan(7))
            return await plane.report()
        finally:
            await plane.close()

    return asyncio.run(whole())


def test_units_are_posted_with_the_token_and_the_answer_is_the_pool(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    buyer = Buyer(200, content=b'{"ready_units": 5, "ordered_units": 7, "more": true}')
    assert applied(buyer, Webhook("http://buyer/scale", str(tmp_path / "token"))) == Report(
        ready_units=5, ordered_units=7
    )
    (request,) = buyer.requests
    assert request.headers["authorization"] == "Bearer secret"
    told = json.loads(request.content)
    assert (told["pool"], told["units"], told["rate_per_s"]) == ("matching", 7, 84.0)


def test_overload_and_silence_pass_and_an_answer_of_nothing_says_nothing() -> None:
    buyer = Buyer(503, 0, 429, 204, content=b"")
    assert applied(buyer, Webhook("http://buyer/scale", deadline_s=5.0)) is None
    assert len(buyer.requests) == 4


def test_a_refusal_is_not_repeated() -> None:
    buyer = Buyer(403)
    with pytest.raises(DataPlaneError, match="403"):
        applied(buyer, Webhook("http://buyer/scale"))
    assert len(buyer.requests) == 1


def test_a_buyer_that_stays_away_is_said_when_the_time_is_over() -> None:
    with pytest.raises(DataPlaneError, match="refused"):
        applied(Buyer(0), Webhook("http://buyer/scale", deadline_s=0.2))


def test_a_token_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataPlaneError, match="token_file"):
        applied(Buyer(200), Webhook("http://buyer/scale", str(tmp_path / "none")))


@pytest.mark.parametrize("own", [Webhook("buyer/scale"), Webhook("http://"), Webhook("http://b", deadline_s=0.0)])
def test_settings_that_cannot_be_break_a_rule(own: Webhook) -> None:
    assert not all(holds for holds, *_ in webhook_rules(own))
