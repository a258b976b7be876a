"""A sidecar that is killed at random moments: its plan is back at once, and its audit trail is whole."""

import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from serving.audit.reading import replay, verify
from tests.serving.made import START, counts, posted, write_artefact, write_config
from tests.serving.process import Running, running

FEED = 'kind = "none"\nclock = "rows"'
KEPT = '[audit]\nfolder = "audit"\n[state]\nfolder = "state"\nevery_s = 1\n'
BACK_WITHIN_S, BARE_START_S = 5.0, 2.0  # on a machine that is so busy that a bare start takes longer, in proportion
SPAN_S = 60


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_artefact(tmp_path / "artefact")
    path = write_config(tmp_path, FEED)
    path.write_text(KEPT + path.read_text("utf-8"), "utf-8")
    return path


def post(sidecar: Running, minute: int) -> None:
    rows = posted(counts(START + timedelta(seconds=SPAN_S * minute), SPAN_S))
    assert sidecar.ask("POST", "/v1/observations", {"request_counts": rows})[0] == 202


@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.integration), pytest.param(50, marks=pytest.mark.long)]
)
@pytest.mark.timeout(900)
def test_a_sidecar_that_is_killed_at_random_moments_has_its_plan_back_and_a_whole_audit_trail(
    config: Path, kills: int
) -> None:
    random.seed(20 + kills)
    minute, plan_s, late_s, limit_s = 0, 0.0, [], 60.0
    for life in range(kills + 1):
        begun = time.monotonic()
        with running(config) as sidecar:
            if life == 0:
                limit_s = BACK_WITHIN_S * max(sidecar.start_s / BARE_START_S, 1)
                for minute in range(10):
                    post(sidecar, minute)
            sidecar.wait_for("/v1/plan", limit_s)
            while (
                sidecar.get("/v1/plan")["valid_from_s"] < plan_s
            ):  # the snapshot's is older than the rows of the journal
                assert time.monotonic() - begun < limit_s
            late_s.append(time.monotonic() - begun)
            end = time.monotonic() + random.uniform(0.0, 1.5)  # noqa: S311
            while time.monotonic() < end:
                minute += 1
                post(sidecar, minute)
            plan_s = sidecar.get("/v1/plan")["valid_from_s"] - SPAN_S  # the newest may not be kept yet
            assert sidecar.stop(signal.SIGKILL) == -signal.SIGKILL
    print(
        f"back within {max(late_s[1:]):.2f} s at the worst of {kills} (limit {limit_s:.1f} s), {minute} minutes of rows"
    )
    assert max(late_s[1:]) < limit_s
    assert verify(config.parent / "audit").kinds["start"] == kills + 1
    assert replay(config.parent / "audit").recomputed > kills
