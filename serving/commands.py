"""Serve forecasts and plans beside a gateway.

Decided here: the order of start-up (settings, model, feed, socket, answer), so that whatever is wrong is said before anything
is served, and how a signal ends it.
"""

import argparse
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.environment import history_folder, settings_told, tracking_server
from data.errors import UsageError
from serving import logs
from serving.heap import one_arena
from serving.security import Access, keyring, require_certificates
from serving.settings import Settings, check, is_loopback, read_settings
from serving.tracing import tracer

if TYPE_CHECKING:
    from serving.audit.trail import Trail
    from serving.feeds import Feed
    from serving.keeping.keeper import Keeper
    from serving.loop import Sidecar
    from serving.pipeline import Pipeline

EPILOG = """example:
  shaper data simulate --out var/world --days 4 --seed 7
  shaper serve --config serving/deploy/shaper.toml --history var/world
  curl -s http://127.0.0.1:8080/v1/plan"""


def main(argv: list[str]) -> int:
    """Run the sidecar until it is told to stop; returns 0 then. Raises DataError or UsageError for what cannot be served."""
    parser = argparse.ArgumentParser(
        "shaper serve", description=__doc__.partition("\n")[0] if __doc__ else None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--config", type=Path, required=True, help="TOML file, see serving/OPERATING.md")
    parser.add_argument("--model", help="artefact folder or models:/NAME@ALIAS, instead of [model]")
    parser.add_argument("--history", type=Path, help="play this folder of history, instead of [feed]")
    parser.add_argument("--speed", type=float, help="seconds played a second, instead of feed.speed")
    parser.add_argument("--port", type=int, help="port to listen on, instead of server.port; 0 picks a free one")
    parser.add_argument("--check", action="store_true", help="check settings, model and history, then end")
    options = parser.parse_args(argv)
    one_arena()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is served the file is about to be read anyway
    settings = told(options)
    access = Access(settings.security, keyring(settings.security), is_loopback(settings.server.host))
    require_certificates(settings.security)
    logs.begin(settings.log)
    from serving.desk import Desk
    from serving.models import Source
    from serving.server import serve

    sidecar = assemble(settings)
    if options.check:
        print(f"{options.config}: settings, model {sidecar.pipeline.forecaster.contract.name} and feed are sound")
        return 0
    sidecar.tracer = sidecar.pipeline.tracer = tracer(settings.trace)
    sidecar.trail, sidecar.keeper = make_trail(settings), make_keeper(settings)
    desk = Desk(sidecar, Source(settings.model, tracking_server), settings, lambda: told(options))
    serve(desk, settings.server.host, settings.server.port, access)
    return 0


def told(options: argparse.Namespace) -> Settings:
    """The settings of the file, the environment and the command line, the last one first. Raises UsageError when they are wrong."""
    settings = overridden(read_settings(options.config, settings_told()), options)
    check(settings, str(options.config))
    return settings


def overridden(settings: Settings, options: argparse.Namespace) -> Settings:
    """The settings with what the command line says instead."""
    server, model, feed = settings.server, settings.model, settings.feed
    if options.port is not None:
        server = replace(server, port=options.port)
    if options.model is not None:
        model = replace(model, artefact=options.model)
    if options.history is not None:
        feed = replace(feed, kind="history", folder=str(options.history), clock="wall")
    if options.speed is not None:
        feed = replace(feed, speed=options.speed)
    return replace(settings, server=server, model=model, feed=feed)


def assemble(settings: Settings) -> "Sidecar":
    """All parts, made of settings. Raises DataError or UsageError for a model or history that cannot be used."""
    from serving.dataplanes import planes_of
    from serving.demand import RecentOrders
    from serving.loop import Sidecar
    from serving.metrics import Metrics
    from serving.models import opened, require_targets
    from serving.pipeline import Pipeline
    from serving.state import Board

    forecaster = opened(settings.model, tracking_server)
    require_targets(settings.venue, forecaster)
    metrics = Metrics.create()
    orders = RecentOrders(settings.feed.demand_window_s)
    pipeline = Pipeline(settings.venue, forecaster, metrics, orders, settings.model, settings.trust)
    feed = make_feed(settings, pipeline)

    def now_s() -> float:
        return feed.now().timestamp()

    return Sidecar(feed, pipeline, Board(now_s), planes_of(settings, metrics.registry, now_s))


def make_trail(settings: Settings) -> "Trail | None":
    """The audit trail of the settings, opened. Raises DataError when it cannot be continued."""
    from serving.audit.files import Files, Limits
    from serving.audit.trail import Trail

    audit = settings.audit
    if audit.folder is None:
        return None
    return Trail(Files.open(Path(audit.folder), Limits(audit.file_mb * 2**20, audit.files)))


def make_feed(settings: Settings, pipeline: "Pipeline") -> "Feed":
    """The feed of the settings, stepping once a review but at least once a tick."""
    from serving.feeds import HistoryFeed, RowsFeed, WallFeed
    from serving.recording import Recording

    feed = settings.feed
    period_s = min(settings.venue.review_s, float(pipeline.forecaster.contract.panel.tick_s))
    if feed.kind == "none":
        return WallFeed(period_s, feed.settle_s) if feed.clock == "wall" else RowsFeed(period_s)
    folder = Path(feed.folder) if feed.folder else history_folder()
    if folder is None:
        raise UsageError(
            "feed.folder",
            expected="a folder of recorded history",
            found="none, and SHAPER_HISTORY is not set",
            remedy="name one, or make one with `shaper data simulate --out DIR`",
        )
    return HistoryFeed(Recording.open(folder, pipeline.panel, feed.start, feed.until), period_s, feed.speed)


def make_keeper(settings: Settings) -> "Keeper | None":
    """What keeps the state of posted rows. Raises DataError when its folder cannot be used."""
    from serving.keeping.keeper import Keeper
    from serving.keeping.store import Store

    state = settings.state
    if state.folder is None or settings.feed.kind == "history":
        return None
    return Keeper(Store.open(Path(state.folder)), state.every_s, state.journal_mb * 2**20, time.monotonic)
