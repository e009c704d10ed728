"""Who may call what: a TOML file. Owns its form, and an answer that is no unless it says yes.

[certificates]                  # by a SAN of the caller's certificate, a URI or a DNS name
"spiffe://paylatch/shop" = ["paylatch.payment.v1.PaymentService/*"]

[tokens.web-shop]               # for those without one; the token itself stands nowhere
sha256 = "…"
methods = ["paylatch.payment.v1.PaymentService/GetPayment"]
"""

import hashlib
import hmac
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.logs import Logger
from core.rpc.reloaded import Reloaded
from core.settings import Settings

POLICY_FILE = "PAYLATCH_POLICY_FILE"
SCRAPE = "paylatch.Metrics/Scrape"
"""What is granted to those who may read a process's metrics, which is no call of gRPC."""

_GRANT = re.compile(r"[A-Za-z_][\w.]*/(\*|[A-Za-z_]\w*)", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GRANT_FORM = "must be package.Service/Method or package.Service/*"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that is known by its digest. name: what the log calls its bearer."""

    name: str
    sha256: str
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """What each identity may call: grants `package.Service/Method` and `package.Service/*`."""

    certificates: Mapping[str, frozenset[str]]
    tokens: tuple[Token, ...]

    @classmethod
    def parse(cls, content: bytes) -> "Policy":
        """The policy of a file's content.

        Raises:
            ValueError: it is not in the form above; says where.
        """
        try:
            document = tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{POLICY_FILE} is not TOML: {error}") from None
        _require_only(document, {"certificates", "tokens"}, "the file")
        certificates = _table(document, "certificates", "the file")
        tokens = _table(document, "tokens", "the file")
        return cls(
            {identity: _grants(methods, f"certificates.{identity!r}") for identity, methods in certificates.items()},
            tuple(_token(name, token) for name, token in tokens.items()),
        )

    def lets(self, identities: Iterable[str], method: str) -> bool:
        """Whether a certificate of these identities may call `method` (`/package.Service/Method`)."""
        return any(_covers(self.certificates.get(identity, frozenset()), method) for identity in identities)

    def bearer(self, token: str) -> Token | None:
        """The token that `token` is, if it is known. Takes as long for any."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = [known for known in self.tokens if hmac.compare_digest(known.sha256, digest)]
        return found[0] if found else None


def lets_bearer(token: Token, method: str) -> bool:
    """Whether the bearer of `token` may call `method` (`/package.Service/Method`)."""
    return _covers(token.methods, method)


def policy_file(settings: Settings, log: Logger) -> Reloaded[Policy] | None:
    """The policy that the settings name; None if they name none.

    Raises:
        BadSetting: it is no good.
    """
    if settings.policy_file is None:
        return None
    return Reloaded(
        "policy", {POLICY_FILE: settings.policy_file}, lambda contents: Policy.parse(contents[POLICY_FILE]), log
    )


def _covers(grants: frozenset[str], method: str) -> bool:
    path = method.removeprefix("/")
    return path in grants or f"{path.rpartition('/')[0]}/*" in grants


def _token(name: str, given: Any) -> Token:
    where = f"tokens.{name}"
    if not isinstance(given, dict):
        raise _wrong(where, "must be a table with sha256 and methods")
    _require_only(given, {"sha256", "methods"}, where)
    sha256 = given.get("sha256")
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise _wrong(f"{where}.sha256", "must be the SHA-256 of the token, 64 digits of 0-9a-f")
    return Token(name, sha256, _grants(given.get("methods"), f"{where}.methods"))


def _grants(given: Any, where: str) -> frozenset[str]:
    if not isinstance(given, list):
        raise _wrong(where, "must be a list of methods")
    for place, grant in enumerate(given, start=1):
        if not (isinstance(grant, str) and _GRANT.fullmatch(grant)):
            raise _wrong(f"{where}, entry {place}", _GRANT_FORM)
    return frozenset(given)


def _table(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise _wrong(key, f"must be a table of {where}")
    return table


def _require_only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(table.keys() - allowed)
    if unknown:
        raise _wrong(where, f"has {unknown[0]!r}, allowed are {', '.join(sorted(allowed))}")


def _wrong(where: str, what: str) -> ValueError:
    return ValueError(f"{POLICY_FILE}: {where} {what}")
