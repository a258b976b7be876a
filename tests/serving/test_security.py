import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UsageError
from serving import security as module
from serving.edge import Receive, Scope, Send
from serving.guard import CLIENTS_KEPT, Allowance, Guard
from serving.security import ROLES, Access, Keyring, Security, allows, keyring, needed, require_certificates
from serving.settings import check, read_settings
from tests.integration.certificates import write_certificates
from tests.serving.asgi import Answer, ask, send_one
from tests.serving.made import write_config

SECRETS = {role: f"{role}-" + "x" * 20 for role in ROLES}
FILE = "".join(
    f'[[tokens]]\nname = "{role}r"\nrole = "{role}"\nsecret = "{secret}"\n' for role, secret in SECRETS.items()
)


async def inside(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def access(tmp_path: Path) -> Access:
    path = tmp_path / "tokens.toml"
    path.write_text(FILE, "utf-8")
    settings = Security(tokens=str(path))
    return Access(settings, keyring(settings), is_local=False)


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[role]}"}


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/healthz", None), ("GET", "/readyz", None), ("GET", "/v2/health/live", None),
        ("GET", "/", None), ("GET", "/dashboard/app.js", None),
        ("GET", "/v1/plan", "read"), ("GET", "/metrics", "read"), ("GET", "/v1/events", "read"), ("GET", "/v1/overrides", "read"),
        ("HEAD", "/schema/openapi.json", "read"), ("POST", "/v2/models/echo/infer", "read"), ("POST", "/v1/what-if", "read"),
        ("POST", "/v1/observations", "observe"), ("POST", "/v1/observations/stream", "observe"), ("PUT", "/v1/gateway", "observe"),
        ("PUT", "/v1/overrides", "operate"), ("DELETE", "/v1/overrides", "operate"), ("POST", "/v1/models/swap", "operate"),
        ("POST", "/whatever/comes/next", "operate"),
    ],
)  # fmt: skip
def test_each_request_needs_its_role_and_the_roles_above_it_have_it(
    access: Access, method: str, path: str, least: str | None
) -> None:
    guard = Guard.around(inside, access)
    assert ask(guard, path, method).status == (200 if least is None else 401)
    reached = least is None
    for role in ROLES:
        reached = reached or role == least
        assert ask(guard, path, method, headers=bearer(role)).status == (200 if reached else 403)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic cmVhZA==", "Bearer wrong", f"Bearer {SECRETS['read']}x", "Bearer \xff"]
)
def test_another_token_than_those_known_is_401(access: Access, header: str) -> None:
    answer = ask(Guard.around(inside, access), "/v1/plan", headers={"Authorization": header})
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "send Authorization: Bearer TOKEN" in answer.json()["detail"]
    assert "inside" not in str(answer.body)


def test_secrets_are_compared_in_constant_time_and_kept_as_digests_alone(access: Access) -> None:
    assert "compare_digest" in inspect.getsource(Keyring.role)
    assert not any(secret in repr(access.keys) for secret in SECRETS.values())


def test_without_tokens_this_machine_is_not_asked() -> None:
    guard = Guard.around(inside, Access(Security(), Keyring(), is_local=True))
    assert ask(guard, "/v1/overrides", "PUT").status == 200


def test_a_client_with_a_certificate_has_its_role_unless_a_token_says_more(access: Access) -> None:
    settings = replace(access.security, client_ca="ca.pem", client_role="observe")
    guard = Guard.around(inside, replace(access, security=settings))
    assert ask(guard, "/v1/gateway", "PUT").status == 200
    assert ask(guard, "/v1/overrides", "PUT").status == 403
    assert ask(guard, "/v1/overrides", "PUT", headers=bearer("operate")).status == 200


def burst(guard: Guard, count: int, client: str, headers: dict[str, str] | None = None) -> list[Answer]:
    import asyncio

    async def all_of_them() -> list[Answer]:
        return [await send_one(guard, "/v1/plan", headers=headers, client=client) for _ in range(count)]

    return asyncio.run(all_of_them())


def test_a_client_that_asks_too_often_waits_and_others_do_not(access: Access) -> None:
    guard = Guard.around(inside, access)
    guard.allowance = Allowance(10.0, 5.0, lambda: 0.0)
    answers = burst(guard, 7, "192.0.2.1", bearer("read"))
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "1"
    assert burst(guard, 1, "192.0.2.2", bearer("read"))[0].status == 200
    assert {answer.status for answer in burst(guard, 50, "127.0.0.1", bearer("read"))} == {200}


def test_trying_tokens_in_a_row_costs_as_much_as_many_requests(access: Access) -> None:
    guard = Guard.around(inside, access)
    guard.allowance = Allowance(1.0, 100.0, lambda: 0.0)
    statuses = [answer.status for answer in burst(guard, 10, "192.0.2.1", {"Authorization": "Bearer guess"})]
    assert statuses == [401] * 5 + [429] * 5


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=200), st.floats(0.5, 20), st.integers(1, 9)
)
def test_nobody_gets_more_than_the_burst_and_the_rate(steps: list[tuple[str, float]], per_s: float, most: int) -> None:
    clock = [0.0]
    allowance = Allowance(per_s, float(most), lambda: clock[0])
    passed = {"a": 0, "b": 0, "c": 0}
    for client, pause_s in steps:
        clock[0] += pause_s
        passed[client] += allowance.take(client) == 0.0
    assert all(count <= most + per_s * clock[0] + 1e-6 for count in passed.values())


def test_strangers_cannot_make_the_memory_grow() -> None:
    allowance = Allowance(1.0, 1.0, lambda: 0.0)
    for number in range(CLIENTS_KEPT + 100):
        allowance.take(str(number))
    assert len(allowance.left) == CLIENTS_KEPT


def test_tokens_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAPER_TOKENS", f"feeder:observe:{SECRETS['observe']}\n desk:operate:{SECRETS['operate']}")
    keys = keyring(Security(tokens="environment"))
    assert keys.role(SECRETS["operate"].encode()) == "operate"
    assert keys.role(SECRETS["read"].encode()) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "at least one token"),
        ("a:read:short", "at least 16 characters"),
        ("a:root:" + "x" * 20, "a role among read, observe, operate"),
        ("a:read", "NAME:ROLE:SECRET"),
        (f"a:read:{'x' * 20} b:read:{'x' * 20}", "each secret once"),
    ],
)  # fmt: skip
def test_tokens_that_cannot_be_are_refused_without_saying_a_secret(
    monkeypatch: pytest.MonkeyPatch, text: str, named: str
) -> None:
    monkeypatch.setenv("SHAPER_TOKENS", text)
    with pytest.raises(UsageError) as caught:
        keyring(Security(tokens="environment"))
    assert named in str(caught.value)
    assert "xxxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ('[server]\nhost = "0.0.0.0"', "server.host on the loopback interface, or security.tokens"),
        ('[server]\nhost = "0.0.0.0"\n[security]\ncertificate = "c"\nkey = "k"', "or security.client_ca"),
        ('[server]\nhost = "0.0.0.0"\n[security]\nclient_ca = "ca"', "only with a certificate"),
        ('[server]\nport = 0\n[security]\ncertificate = "c"', "security.certificate and key together"),
        ("[server]\nport = 0\n[security]\nrequests_per_s = 0", "requests_per_s above 0"),
        ('[server]\nport = 0\n[security]\ntokenz = "t"', "unknown security.tokenz"),
    ],
)
def test_a_configuration_that_would_answer_strangers_is_refused(tmp_path: Path, section: str, named: str) -> None:
    path = write_config(tmp_path, change=("[server]\nport = 0", section))
    with pytest.raises(UsageError, match=named.replace(".", "[.]")):
        check(read_settings(path), str(path))


def test_listening_elsewhere_is_possible_with_tokens(tmp_path: Path) -> None:
    section = '[server]\nhost = "0.0.0.0"\n[security]\ntokens = "tokens.toml"'
    path = write_config(tmp_path, change=("[server]\nport = 0", section))
    settings = read_settings(path)
    check(settings, str(path))
    assert settings.security.tokens == str(tmp_path / "tokens.toml")


def test_roles_are_ordered() -> None:
    assert [[allows(role, asked) for asked in ROLES] for role in ROLES] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip
    assert needed("POST", "/v1/anything") == "operate"
    assert module.SHORTEST_SECRET == 16


@pytest.mark.parametrize(
    ("certificate", "key", "authority", "named"),
    [
        ("none.pem", "server.key", None, "none.pem"),
        ("garbage.pem", "server.key", None, "garbage.pem"),
        ("server.pem", "client.key", None, "its own key"),
        ("server.pem", "server.key", "none.pem", "certificates of an authority"),
        ("server.pem", "server.key", "garbage.pem", "certificates of an authority"),
    ],
)
def test_files_of_tls_that_cannot_be_used_are_named(
    tmp_path: Path, certificate: str, key: str, authority: str | None, named: str
) -> None:
    write_certificates(tmp_path)
    (tmp_path / "garbage.pem").write_text("garbage", "utf-8")
    at = {"certificate": certificate, "key": key, "client_ca": authority}
    made = {name: None if file is None else str(tmp_path / file) for name, file in at.items()}
    with pytest.raises(UsageError, match=named):
        require_certificates(Security(**made))  # type: ignore[arg-type]
    require_certificates(Security(certificate=str(tmp_path / "server.pem"), key=str(tmp_path / "server.key")))
    require_certificates(Security())
