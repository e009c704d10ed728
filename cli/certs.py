"""`paylatch certs`: a development PKI and the policy that goes with it. Owns the files it writes; overwrites none."""

import hashlib
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cli.clients import CannotRun
from cli.pki import Authority, Names, Validity
from core.clock import Clock
from core.rpc.policy import SCRAPE

DAYS = 365
"""How long the certificates are valid."""

GRANTS: Mapping[str, Sequence[str]] = {
    "payment-server": ["paylatch.order.v1.OrderNotifyService/*"],
    "scheduler": ["paylatch.order.v1.OrderNotifyService/*"],
    "order-server": [],
    "shop": [
        "paylatch.payment.v1.PaymentService/*",
        "paylatch.order.v1.OrderService/CreateOrder",
        "paylatch.order.v1.OrderService/GetOrder",
        "paylatch.order.v1.OrderService/ListOrders",
        "paylatch.order.v1.OrderService/StartPayment",
        "paylatch.order.v1.OrderService/ProcessOrder",
        "paylatch.order.v1.OrderService/CompleteOrder",
        "paylatch.order.v1.OrderService/CancelOrder",
        "paylatch.order.v1.OrderService/ListOrderStatusLogs",
        "paylatch.order.v1.OrderService/SetInventory",
        "paylatch.order.v1.OrderService/GetInventory",
        "paylatch.order.v1.OrderService/ListVouchers",
    ],
    "operator": [
        "paylatch.payment.v1.PaymentService/GetPayment",
        "paylatch.payment.v1.PaymentService/BatchGetPayments",
        "paylatch.payment.v1.PaymentService/ListPayments",
        "paylatch.payment.v1.PaymentService/WatchPayment",
        "paylatch.payment.v1.NotifyScheduleService/*",
        "paylatch.order.v1.OrderService/*",
    ],
    "prometheus": [SCRAPE],
}
"""Who there is, and what each may call. The order server calls nobody."""

TOKEN_NAME = "web-shop"  # noqa: S105  # of a token
TOKEN_GRANTS = ["paylatch.payment.v1.PaymentService/CreatePayment", "paylatch.payment.v1.PaymentService/GetPayment"]


def identity(name: str) -> str:
    """The SAN by which the policy knows a process or person."""
    return f"spiffe://paylatch/{name}"


def write_certs(directory: Path, clock: Clock) -> Iterator[str]:
    """Write all files, and tell how to use them, line by line.

    Raises:
        CannotRun: the directory holds something already, or cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise CannotRun(
                f"{directory} is not empty: certificates are made in a new directory, nothing is overwritten"
            )
        _write_all(directory.absolute(), Validity.of_days(DAYS, clock.now()))
    except OSError as error:
        raise CannotRun(f"{directory} cannot be written to: {error.strerror}") from None
    yield from _usage(directory)


def _write_all(directory: Path, validity: Validity) -> None:
    authority = Authority("paylatch development CA", validity)
    _write(directory / "ca.pem", authority.pem)
    _write_secret(directory / "ca.key", authority.key_pem)
    for name in GRANTS:
        issued = authority.issue(name, Names([identity(name)], ["localhost", name], ["127.0.0.1", "::1"]), validity)
        _write(directory / f"{name}.pem", issued.certificate)
        _write_secret(directory / f"{name}.key", issued.key)
        _write(directory / f"{name}.env", _environment(directory, name).encode())
    token = secrets.token_urlsafe(32)
    _write_secret(directory / f"{TOKEN_NAME}.token", token.encode())
    _write(directory / "policy.toml", _policy(token).encode())


def _environment(directory: Path, name: str) -> str:
    settings = {
        "TLS_CERTIFICATE": directory / f"{name}.pem",
        "TLS_KEY": directory / f"{name}.key",
        "TLS_CA": directory / "ca.pem",
        "POLICY_FILE": directory / "policy.toml",
        "NOTIFY_TARGETS": "grpcs://127.0.0.1:50052",
    }
    return "".join(f"PAYLATCH_{setting}={shlex.quote(str(value))}\n" for setting, value in settings.items())


def _policy(token: str) -> str:
    granted = [f'"{identity(name)}" = {_listed(grants)}' for name, grants in GRANTS.items()]
    return "\n".join(
        [
            "# Who may call what. Whatever does not stand here is refused.",
            "",
            "[certificates]",
            *granted,
            "",
            f"# For a caller without a certificate. The token is in {TOKEN_NAME}.token, here is its SHA-256.",
            f"[tokens.{TOKEN_NAME}]",
            f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
            f"methods = {_listed(TOKEN_GRANTS)}",
            "",
        ]
    )


def _listed(grants: Sequence[str]) -> str:
    if len(grants) <= 1:
        return f"[{', '.join(map(_quoted, grants))}]"
    return "\n".join(["[", *(f"    {_quoted(grant)}," for grant in grants), "]"])


def _quoted(text: str) -> str:
    return f'"{text}"'


def _usage(directory: Path) -> Iterator[str]:
    yield f"Written to {directory}: an authority, certificates of {', '.join(GRANTS)} for {DAYS} days, and policy.toml."
    yield "For development: whoever reads ca.key can be anybody. Each process with its own certificate:"
    yield ""
    for name in ("order-server", "payment-server", "scheduler"):
        yield f"  (set -a; . {shlex.quote(str(directory / name))}.env; exec paylatch {name})"
    yield ""
    yield "And a command as the operator:"
    yield ""
    yield f"  (set -a; . {shlex.quote(str(directory / 'operator'))}.env; exec paylatch notify list)"


def _write(file: Path, content: bytes, mode: int = 0o644) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as written:
        written.write(content)


def _write_secret(file: Path, content: bytes) -> None:
    """Only its owner may read it, from the first byte."""
    _write(file, content, 0o600)
