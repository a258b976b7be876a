"""A real Prometheus that scrapes a real sidecar, and the alert rules as it reads them."""

import json
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import serving
from tests.integration.parts import free_port, part
from tests.serving.made import write_artefact, write_config, write_history
from tests.serving.process import running

pytestmark = pytest.mark.integration
DEPLOY = Path(serving.__file__).parent / "deploy"
SECRET = "p" * 24
SCRAPE = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: shaper
    authorization: {{credentials: "{secret}"}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def test_every_rule_fires_when_it_should_and_only_then() -> None:
    promtool = part("promtool")
    shown = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    subprocess.run([promtool, "check", "rules", "alerts.yml"], cwd=DEPLOY, check=True, capture_output=True)


def test_a_real_prometheus_scrapes_with_a_token_and_answers_every_panel(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    history = write_history(tmp_path / "history")
    section = '[security]\ntokens = "tokens.toml"'
    config = write_config(tmp_path, change=("[server]\nport = 0", f"[server]\nport = 0\n{section}"))
    (tmp_path / "tokens.toml").write_text(f'[[tokens]]\nname = "prometheus"\nrole = "read"\nsecret = "{SECRET}"\n')
    with running(config, "--history", str(history), "--speed", "60") as sidecar:
        sidecar.wait_for("/readyz")
        scrape, port = tmp_path / "prometheus.yml", free_port()
        scrape.write_text(SCRAPE.format(rules=DEPLOY / "alerts.yml", secret=SECRET, port=sidecar.port), "utf-8")
        with (tmp_path / "prometheus.log").open("w") as log:
            process = subprocess.Popen(
                [part("prometheus"), f"--config.file={scrape}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for_value(port, 'up{job="shaper"}', 1.0)
            wait_for_value(port, "shaper_ready", 1.0)
            wait_for_value(port, "sum(increase(shaper_plans_total[1m])) > bool 0", 1.0)
            for panel in json.loads((DEPLOY / "grafana.json").read_text("utf-8"))["panels"]:
                for target in panel["targets"]:
                    assert query(port, target["expr"])["status"] == "success", target
            rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"][0]["rules"]
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        finally:
            process.kill()
            process.wait(30)


def query(port: int, expression: str) -> dict[str, object]:
    answer: dict[str, object] = httpx.get(f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}").json()
    return answer


def wait_for_value(port: int, expression: str, value: float, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while True:
        assert time.monotonic() < end, f"{expression} was never {value}"
        try:
            found = query(port, expression)["data"]["result"]  # type: ignore[index]
        except httpx.TransportError:
            found = []
        if [float(sample["value"][1]) for sample in found] == [value]:
            return
        time.sleep(0.3)
