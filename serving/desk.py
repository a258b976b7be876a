"""What an operator does to a running sidecar: pins, questions, another model, other settings.

Decided here: whatever changes plans is recorded, kept, and in force at once, between two steps and never during one; questions
that nothing depends on have a thread of their own with a short queue, so that they cannot delay a plan that is meant.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from data.errors import DataError
from serving.errors import RefusedError
from serving.loop import Sidecar
from serving.models import Source, require_targets
from serving.settings import Settings
from shaper.decision import Override, OverrideError, check

LOG = logging.getLogger(__name__)
T = TypeVar("T")
MOST_MUSING = 8
LIVE = ("venue", "trust", "model")  # sections that a reload changes; the others need a restart


@dataclass
class Desk:
    """A sidecar, where its models come from, and its settings as they are and as the file has them now."""

    sidecar: Sidecar
    source: Source | None = None
    settings: Settings | None = None
    reread: Callable[[], Settings] | None = None
    musing: int = 0
    aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="aside"))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Look for new models while the context is open."""
        watching = asyncio.create_task(self.watch_models())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await asyncio.to_thread(self.aside.shutdown, cancel_futures=True)

    def pinned(self) -> tuple[Override, ...]:
        """What is pinned and has not ended."""
        now_s = self.sidecar.board.now_s()
        return tuple(pin for pin in self.sidecar.pipeline.overrides if pin.until_s > now_s)

    async def pin(self, pin: Override) -> tuple[Override, ...]:
        """Pin something in place of what was pinned there. Raises RefusedError when the venue has no place for it."""
        others = tuple(other for other in self.pinned() if (other.lever, other.name) != (pin.lever, pin.name))
        if pin.lever == "stage":
            others = tuple(other for other in others if other.lever != "stage")
        try:
            check(self.sidecar.pipeline.venue, (*others, pin))
        except OverrideError as error:
            refusal = RefusedError(
                "override", expected="one that the venue has a place for", found=str(error), remedy="correct it"
            )
            self.sidecar.refused("override", refusal)
            raise refusal from error
        return await self.set_pins((*others, pin), f"{pin.lever} {pin.name} pinned to {pin.value:g}: {pin.reason}")

    async def unpin(self, lever: str | None, name: str | None) -> tuple[Override, ...]:
        """Let go of what is pinned, of one lever or name only where that is given."""
        kept = tuple(p for p in self.pinned() if (lever or p.lever, name or p.name) != (p.lever, p.name))
        return await self.set_pins(kept, f"{len(self.pinned()) - len(kept)} pins let go")

    async def set_pins(self, pins: tuple[Override, ...], told: str) -> tuple[Override, ...]:
        """Pin exactly this from now on."""
        self.sidecar.pipeline.overrides = pins
        self.tell("override", told, {"overrides": pins})
        await self.sidecar.plan_again()
        return pins

    def tell(self, kind: str, text: str, body: object) -> None:
        """Say what an operator did, record it, and have it kept."""
        sidecar = self.sidecar
        sidecar.board.say(kind, text)
        if sidecar.trail is not None:
            sidecar.trail.record(sidecar.board.now_s(), kind, body)
        if sidecar.keeper is not None:
            sidecar.keeper.asked = True

    async def muse(self, job: Callable[[], T]) -> T:
        """Answer a question beside the work. Raises RefusedError when too many wait already."""
        if self.musing >= MOST_MUSING:
            most = f"at most {MOST_MUSING} such requests at once"
            raise RefusedError("server", expected=most, found="more", remedy="ask again later", status=429)
        self.musing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.aside, job)
        finally:
            self.musing -= 1

    async def watch_models(self) -> None:
        """Look for a new model now and then, as often as the settings say."""
        while self.source is not None:
            await asyncio.sleep(self.source.model.watch_s or 1.0)
            if self.source.model.watch_s == 0:
                continue
            try:
                await self.look_for_model()
                self.sidecar.board.note("model", None)
            except Exception as error:
                self.sidecar.board.note("model", f"the new one cannot be used: {error}")

    async def look_for_model(self, again: bool = False) -> None:
        """Put the model that the settings name in the shadow, if it is a new one. Raises DataError when it cannot be used."""
        source, pipeline = self.source, self.sidecar.pipeline
        if source is None:
            return
        found = await asyncio.to_thread(source.look, pipeline.forecaster, pipeline.venue, again)
        if found is not None:
            await self.sidecar.work(lambda: pipeline.swapper.challenge(pipeline.seer_of(found)))
            self.sidecar.tell_models()

    async def swap_back(self) -> None:
        """Let the model lead again that led before. Raises RefusedError when there is none any more."""
        if not await self.sidecar.work(self.sidecar.pipeline.swapper.back):
            raise RefusedError(
                "model", expected="a predecessor in the shadow", found="none", remedy="configure it", status=409
            )
        self.sidecar.tell_models()

    async def reload(self) -> None:
        """Take over what has changed in the settings; where these are wrong, the present ones stay and it is said."""
        before, pipeline = self.settings, self.sidecar.pipeline
        if before is None or self.reread is None:
            return
        try:
            wanted = await asyncio.to_thread(self.reread)
            require_targets(wanted.venue, pipeline.forecaster)
        except (DataError, ValueError) as error:  # the latter of the shaper's own values
            self.sidecar.board.note("settings", f"the file is wrong, so nothing was changed: {error}")
            return
        self.sidecar.board.note("settings", None)
        wanted, rest = fitting_gateway(before, wanted)
        changed = [name for name in before.__dataclass_fields__ if getattr(wanted, name) != getattr(before, name)]
        live = [name for name in changed if name in LIVE]
        self.settings = replace(before, venue=wanted.venue, trust=wanted.trust, model=wanted.model)
        await self.sidecar.work(lambda: pipeline.settle(wanted.venue, wanted.trust, wanted.model))
        self.sidecar.settle(min(wanted.venue.review_s, float(pipeline.forecaster.contract.panel.tick_s)))
        rest += [name for name in changed if name not in LIVE]
        said = f"changed {', '.join(live) or 'nothing'}" + (
            f"; a restart is needed for {', '.join(rest)}" if rest else ""
        )
        self.tell("settings", said, {"changed": live, "restart": rest})
        if self.source is not None and wanted.model != self.source.model:
            self.source.model = wanted.model
            await self.look_for_model()
        await self.sidecar.plan_again()


def fitting_gateway(before: Settings, wanted: Settings) -> tuple[Settings, list[str]]:
    """Settings that may be taken over at once, and what of them needs a restart.

    The embedded gateway has its queues by tier and its upstreams by node since it was opened: another venue waits for a restart.
    """
    held, asked = (
        ({tier.name for tier in each.venue.tiers}, {node.name for node in each.venue.nodes})
        for each in (before, wanted)
    )
    if before.gateway is None or held == asked:
        return wanted, []
    return replace(wanted, venue=before.venue), ["venue (its tiers and nodes are those of [gateway])"]
