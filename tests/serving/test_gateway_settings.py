from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import UsageError
from serving import settings
from serving.gateway_settings import GatewaySettings
from serving.settings import check, read_settings
from tests.serving.embedded.made import digest
from tests.serving.made import write_config

SECTION = f"""
[[venue.nodes]]
name = "fra-1"
operator = "north"
region = "eu"
chain = "ethereum"
capacity_per_s = 150.0
latency_s = 0.02
fee_usd = 0.001
[gateway]
[[gateway.upstreams]]
node = "fra-1"
url = "http://127.0.0.1:8546"
[[gateway.keys]]
sha256 = "{digest("secret")}"
account = "desk"
tiers = ["maker", "taker"]
"""


def written(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    path = write_config(folder, change=("max_operator_share = 0.7", ""))
    path.write_text(path.read_text("utf-8") + SECTION.replace(*change), "utf-8")
    return path


def test_a_gateway_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = written(tmp_path)
    found = read_settings(path)
    check(found, str(path))
    assert found.gateway is not None
    assert found.gateway.port == 8545
    assert found.gateway.keys[0].tiers == ("maker", "taker")


def test_there_is_no_gateway_without_its_section(tmp_path: Path) -> None:
    assert read_settings(write_config(tmp_path)).gateway is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('node = "fra-1"', 'node = "fra-2"'), "fra-2"),
        (('["maker", "taker"]', '["maker", "vip"]'), "vip"),
        (('["maker", "taker"]', "[]"), "none for desk"),
        ((digest("secret"), "secret"), "sha256sum"),
        (('"http://127.0.0.1:8546"', '"ftp://127.0.0.1"'), "an http or https url"),
        (("[gateway]", "[gateway]\nprot = 1"), "unknown gateway.prot"),
        (('account = "desk"', 'account = "desk\\r\\nx: y"'), "rename"),
        (("[gateway]", '[gateway]\nhost = "0.0.0.0"'), "a proxy that ends TLS"),
        (("[gateway]", "[gateway]\ndrain_s = 24.0"), "drain_s"),
        (("[gateway]", '[gateway]\nresting_tiers = ["quotes"]'), "quotes"),
        (("[gateway]", "[gateway]\nmax_batch = 0"), "max_batch"),
        (('url = "http://127.0.0.1:8546"', 'url = "http://127.0.0.1:8546"\ntimeout_s = -1.0'), "timeout_s"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    path = written(tmp_path, change)
    with pytest.raises(UsageError, match=named):
        check(read_settings(path), str(path))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda made: replace(made, port=8080), "other than server.port"),
        (lambda made: replace(made, upstreams=()), "an upstream for every node"),
        (lambda made: replace(made, upstreams=made.upstreams * 2), "fra-1 more than once"),
        (lambda made: replace(made, keys=made.keys * 2), "each key once"),
        (lambda made: replace(made, keys=()), "nobody may enter"),
    ],
)
def test_a_contradiction_is_named(
    tmp_path: Path, spoil: Callable[[GatewaySettings], GatewaySettings], named: str
) -> None:
    sound = read_settings(written(tmp_path))
    assert sound.gateway is not None
    changed = replace(sound, server=replace(sound.server, port=8080), gateway=spoil(sound.gateway))
    with pytest.raises(UsageError, match=named):
        check(changed, "here")


def test_the_example_of_the_deployment_file_is_sound(tmp_path: Path) -> None:
    example = Path(settings.__file__).parent / "deploy" / "shaper.toml"
    path = tmp_path / "shaper.toml"
    before, mark, gateway = example.read_text("utf-8").partition("# [gateway]")
    path.write_text(before + (mark + gateway).removeprefix("# ").replace("\n# ", "\n").replace("\n#", "\n"), "utf-8")
    found = read_settings(path)
    check(found, str(path))
    assert found.gateway is not None
    assert [upstream.node for upstream in found.gateway.upstreams] == ["fra-1", "iad-1", "nrt-1"]
