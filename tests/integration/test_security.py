"""A real sidecar that asks who a client is, over TLS, and one that is asked everything its OpenAPI document allows."""

import os
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.certificates import write_certificates
from tests.serving.made import START, counts, posted, write_artefact, write_config
from tests.serving.process import running

pytestmark = pytest.mark.integration
READER, DESK = "r" * 24, "d" * 24
TOKENS = f"""
[[tokens]]
name = "grafana"
role = "read"
secret = "{READER}"
[[tokens]]
name = "desk"
role = "operate"
secret = "{DESK}"
"""
FUZZ_S = int(os.environ.get("SHAPER_FUZZ_S", "15"))  # a night's run: SHAPER_FUZZ_S=3600


def config_with(folder: Path, section: str, feed: str = 'kind = "none"') -> Path:
    write_artefact(folder / "artefact")
    return write_config(folder, feed, change=("[server]\nport = 0", f"[server]\nport = 0\n{section}"))


def test_tokens_decide_who_reads_and_who_operates(tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(TOKENS, "utf-8")
    with running(config_with(tmp_path, '[security]\ntokens = "tokens.toml"')) as sidecar:
        at = f"http://127.0.0.1:{sidecar.port}"
        assert httpx.get(f"{at}/healthz").status_code == 200
        assert httpx.get(f"{at}/metrics").status_code == 401
        assert httpx.get(f"{at}/metrics", headers={"Authorization": f"Bearer {READER}"}).status_code == 200
        report = {"headers": {"Authorization": f"Bearer {READER}"}, "json": {"demand_per_s": 1.0}}
        assert httpx.put(f"{at}/v1/gateway", **report).status_code == 403
        report["headers"] = {"Authorization": f"Bearer {DESK}"}
        assert httpx.put(f"{at}/v1/gateway", **report).status_code == 202
    assert READER not in (tmp_path / "serve.log").read_text("utf-8")


def test_only_clients_with_a_certificate_of_the_authority_are_answered(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    section = (
        '[security]\ncertificate = "server.pem"\nkey = "server.key"\nclient_ca = "ca.pem"\nclient_role = "operate"\n'
    )
    with running(config_with(tmp_path, section), scheme="https") as sidecar:
        at = f"https://127.0.0.1:{sidecar.port}"
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{at}/healthz", verify=trusting)
        strangers = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        strangers.load_cert_chain(tmp_path / "other" / "client.pem", tmp_path / "other" / "client.key")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{at}/healthz", verify=strangers)
        trusting.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        assert httpx.get(f"{at}/healthz", verify=trusting).status_code == 200
        assert httpx.put(f"{at}/v1/gateway", json={"demand_per_s": 1.0}, verify=trusting).status_code == 202


def test_more_connections_than_it_may_have_are_refused_and_it_goes_on(tmp_path: Path) -> None:
    with running(config_with(tmp_path, "[security]\nmax_connections = 4")) as sidecar:
        at = f"http://127.0.0.1:{sidecar.port}/healthz"
        clients = [httpx.Client() for _ in range(8)]
        statuses = [client.get(at).status_code for client in clients]
        assert statuses.count(200) >= 3
        assert 503 in statuses
        for client in clients:
            client.close()
        sidecar.wait_for("/healthz", 5.0)


def test_nothing_that_the_document_allows_is_a_fault_of_ours(tmp_path: Path) -> None:
    config = config_with(tmp_path, "", 'kind = "none"\nclock = "rows"')
    with running(config) as sidecar:
        rows = posted(counts(START, 3600)) + posted(counts(START + timedelta(hours=1), 15))
        assert sidecar.ask("POST", "/v1/observations", {"request_counts": rows})[0] == 202
        sidecar.wait_for("/v1/plan")
        ran = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{sidecar.port}/schema/openapi.json",
             "--checks", "not_a_server_error", "--exclude-path", "/v1/events", "--phases", "coverage,fuzzing",
             "--max-time", str(FUZZ_S), "--max-examples", "1000000", "--continue-on-failure", "--no-shrink",
             "--generation-database", "none", "--request-timeout", "10", "--no-color"],
            cwd=tmp_path, capture_output=True, text=True, timeout=FUZZ_S + 120, check=False,
        )  # fmt: skip
        print(ran.stdout[-3000:])
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
        assert sidecar.get("/healthz") == {"status": "ok"}
