"""Who may ask for what: `[security]`, the tokens and their roles.

Decided here: a role includes those below it (operate over observe over read), which requests need which, and that secrets come
from a file or the environment, never from the configuration itself. Secrets are kept and compared as digests, in constant time.
"""

import hashlib
import hmac
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from data.environment import token_text
from data.errors import UsageError
from data.strict import convert, read_toml

Role = Literal["read", "observe", "operate"]
ROLES: tuple[Role, ...] = get_args(Role)
ENVIRONMENT = "environment"
SHORTEST_SECRET = 16
PUBLIC = ("/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
READING_POSTS = ("/v1/what-if",)
OBSERVING = ("/v1/observations", "/v1/observations/stream", "/v1/gateway")


@dataclass(frozen=True)
class Security:
    """Who is asked for what, and how much one client may ask.

    `tokens`: a TOML file of them, or "environment" for those in SHAPER_TOKENS. `certificate` and `key` are PEM files that make it
    HTTPS; with `client_ca` only clients with a certificate of that authority are answered, in the role `client_role` unless they
    send a token. `requests_per_s` and `burst` are per client address, other than loopback unless `limits_loopback`.
    """

    tokens: str | None = None
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None
    client_role: Role = "read"
    max_connections: int = 1024
    requests_per_s: float = 200.0
    burst: int = 400
    limits_loopback: bool = False

    @property
    def asks(self) -> bool:
        """Whether clients are asked who they are."""
        return self.tokens is not None or self.client_ca is not None


@dataclass(frozen=True)
class Token:
    """Who has it, what it allows, and the secret itself."""

    name: str
    role: Role
    secret: str


@dataclass(frozen=True)
class TokenFile:
    """The whole file."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Keyring:
    """Digests of secrets, each with its role."""

    entries: tuple[tuple[bytes, Role], ...] = ()

    def role(self, secret: bytes) -> Role | None:
        """What a secret allows; every entry is compared, whichever fits, so that time tells nothing."""
        asked, found = hashlib.sha256(secret).digest(), None
        for digest, role in self.entries:
            if hmac.compare_digest(asked, digest):
                found = role
        return found


@dataclass(frozen=True)
class Access:
    """Who may ask: the settings, their tokens, and whether only this machine can reach the API."""

    security: Security
    keys: Keyring
    is_local: bool


def security_rules(security: Security, host: str, is_local: bool) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[security]`, for an API that listens on a host."""
    yield (
        is_local or security.asks,
        "server.host on the loopback interface, or security.tokens or security.client_ca, so that strangers are not answered",
        repr(host),
        "listen on 127.0.0.1, or say who may ask",
    )
    pair = security.certificate, security.key
    yield (pair[0] is None) == (pair[1] is None), "security.certificate and key together", str(pair), "name both"
    yield (
        security.client_ca is None or security.certificate is not None,
        "security.client_ca only with a certificate and a key",
        "no certificate",
        "name both, for clients show theirs over TLS alone",
    )
    yield (
        security.max_connections >= 1,
        "security.max_connections of at least 1",
        str(security.max_connections),
        "1024 suits most",
    )
    yield security.requests_per_s > 0, "security.requests_per_s above 0", str(security.requests_per_s), "200 suits most"
    yield security.burst >= 1, "security.burst of at least 1", str(security.burst), "400 suits most"


def keyring(security: Security) -> Keyring:
    """The tokens of the settings. Raises UsageError for a file that cannot be read, a role unknown, a secret too short or twice."""
    if security.tokens is None:
        return Keyring()
    where = "SHAPER_TOKENS" if security.tokens == ENVIRONMENT else security.tokens
    tokens = from_environment(where) if security.tokens == ENVIRONMENT else from_file(Path(security.tokens))
    secrets = [token.secret for token in tokens]
    for holds, expected in (
        (bool(tokens), "at least one token"),
        (
            all(len(secret) >= SHORTEST_SECRET for secret in secrets),
            f"secrets of at least {SHORTEST_SECRET} characters",
        ),
        (len(set(secrets)) == len(secrets), "each secret once"),
    ):
        if not holds:  # what was found is a secret, so that it is not said
            raise UsageError(where, expected=expected, found="others", remedy="make them with `openssl rand -hex 24`")
    return Keyring(tuple((hashlib.sha256(token.secret.encode()).digest(), token.role) for token in tokens))


def require_certificates(security: Security) -> None:
    """Raise UsageError unless the files of TLS are what they are named as, without a pass phrase, which nobody could type in."""
    if security.certificate is None or security.key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names, expected = (
        f"{security.certificate} and {security.key}",
        "a certificate and its own key without a pass phrase, as PEM",
    )
    try:
        context.load_cert_chain(security.certificate, security.key, password="")
        if security.client_ca is not None:
            names, expected = security.client_ca, "certificates of an authority, as PEM"
            context.load_verify_locations(security.client_ca)
    except OSError as error:
        raise UsageError(
            names, expected=expected, found=str(error), remedy="correct [security] or the files"
        ) from error


def from_file(path: Path) -> tuple[Token, ...]:
    """Tokens of a TOML file."""
    return convert(TokenFile, read_toml(path), str(path)).tokens


def from_environment(where: str) -> tuple[Token, ...]:
    """Tokens as NAME:ROLE:SECRET, with white space between them."""
    parts = [entry.split(":", 2) for entry in token_text().split()]
    try:
        return tuple(
            msgspec.convert(dict(zip(("name", "role", "secret"), part, strict=False)), Token) for part in parts
        )
    except msgspec.ValidationError as error:
        raise UsageError(
            where,
            expected="NAME:ROLE:SECRET, with a role among " + ", ".join(ROLES),
            found=str(error),
            remedy="correct it",
        ) from error


def needed(method: str, path: str) -> Role | None:
    """The role that a request needs; None: it is answered to anybody."""
    if method in ("GET", "HEAD"):
        return None if path in PUBLIC or path.startswith("/dashboard/") else "read"
    if path.startswith("/v2/") or path in READING_POSTS:
        return "read"
    return "observe" if path in OBSERVING else "operate"


def allows(role: Role, asked: Role) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(asked)
