"""Every setting of every process, from `PAYLATCH_…` variables or a `.env` file (SPEC 10).

Owns names, defaults, what is allowed, and the contradictions between settings. Never opens anything.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.rules.limits import MAX_BATCH
from core.rules.notify_url import AllowList, why_not
from core.rules.retry_policy import RetryPolicy
from core.store.dialect.engines import dialect_of, shown

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_LONGEST_DAYS = 3_650
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})")


def parse_duration(value: object) -> timedelta:
    """`15s`, `5m`, `1.5h`, `3d` or `200ms` as a duration.

    Raises:
        ValueError: it reads as none of these, or is longer than ten years: now + duration must be on the calendar.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a number and a unit of ms, s, m, h or d, such as 15s, 5m or 3d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST_DAYS * _UNITS["d"]:
        raise ValueError(f"must be at most {_LONGEST_DAYS}d")
    return timedelta(seconds=seconds)


def _positive(value: object) -> timedelta:
    duration = parse_duration(value)
    if duration <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return duration


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _waits(value: object) -> object:
    parts = _listed(value)
    return tuple(parse_duration(part) for part in parts) if isinstance(parts, Sequence) else parts


def _targets(value: object) -> object:
    targets = tuple(str(part) for part in _listed(value))  # type: ignore[attr-defined]  # a list either way
    for target in targets:
        problem = why_not(target)
        if problem:
            raise ValueError(f"{without_credentials(target)}: {problem}")
    if not targets:
        raise ValueError("must name at least one target, such as grpc://127.0.0.1:50052")
    return targets


def _address(value: object) -> str:
    match = _ADDRESS.fullmatch(str(value))
    if match is None or int(match[2]) > 65_535:
        raise ValueError("must be host:port, such as 127.0.0.1:50051")
    return str(value)


def _database_url(value: object) -> str:
    dialect_of(str(value))
    return str(value)


Duration = Annotated[timedelta, BeforeValidator(_positive)]
Waits = Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(_waits)]
Targets = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_targets)]
Address = Annotated[str, BeforeValidator(_address)]
DatabaseUrl = Annotated[str, BeforeValidator(_database_url)]


DEFAULT_WAITS = tuple(parse_duration(wait) for wait in ("15s", "1m", "5m", "15m", "1h", "4h", "12h", "24h", "24h"))
"""SPEC 7: 65 h 21 min in all before jitter."""


class Settings(BaseSettings):
    """All settings, checked alone and against each other. Field names are the variables' without the prefix."""

    model_config = SettingsConfigDict(env_prefix="PAYLATCH_", env_file=".env", extra="ignore", frozen=True)

    payment_database_url: DatabaseUrl = Field(default="sqlite:///paylatch-payment.db", repr=False)
    order_database_url: DatabaseUrl = Field(default="sqlite:///paylatch-order.db", repr=False)
    payment_address: Address = "127.0.0.1:50051"
    order_address: Address = "127.0.0.1:50052"
    scheduler_address: Address = "127.0.0.1:50053"
    payment_metrics_address: Address | None = None
    order_metrics_address: Address | None = None
    scheduler_metrics_address: Address | None = None
    health_grace: Duration = timedelta(seconds=15)
    allow_plaintext: bool = Field(default=False, description="serve without TLS on addresses that are not loopback")
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    policy_file: Path | None = None
    token_file: Path | None = None
    payment_token_address: Address | None = None
    order_token_address: Address | None = None
    operator_address: Address | None = None
    reflection: bool | None = Field(
        default=None, description="tell clients of the services; by itself in plaintext only"
    )
    server_processes: int = Field(default=1, ge=1, le=64)
    server_shares_port: bool = Field(default=False, description="set by a server for its own processes")
    server_process_number: int = Field(default=0, ge=0, le=63, description="the same: which of them it is, from 0")
    server_workers: int = Field(default=32, ge=1, le=1_024)

    notify_targets: Targets = ("grpc://127.0.0.1:50052",)
    notify_retry_waits: Waits = DEFAULT_WAITS
    notify_retry_jitter: float = 0.1
    notify_max_attempts: int = 10
    notify_window: Duration = timedelta(days=3)
    notify_retention: Duration = timedelta(days=30)
    notify_connect_bound: Duration = timedelta(seconds=2)
    notify_deadline: Duration = timedelta(seconds=10)
    notify_lease: Duration = timedelta(seconds=30)
    notify_batch_size: int = Field(default=MAX_BATCH, ge=1, le=MAX_BATCH)
    notify_queue_size: int = Field(default=2_000, ge=1, le=100_000)

    breaker_threshold: int = Field(default=5, ge=1, le=1_000)
    breaker_first_wait: Duration = timedelta(seconds=1)
    breaker_longest_wait: Duration = timedelta(seconds=5)

    scheduler_workers: int = Field(default=3, ge=1, le=64)
    scheduler_poll_interval: Duration = timedelta(seconds=1)
    call_deadline: Duration = timedelta(seconds=30)
    stop_bound: Duration = timedelta(seconds=15)
    trace_file: Path | None = Field(default=None, description="append spans to this file, as lines of JSON")
    trace_otlp: bool = Field(default=False, description="send spans by OTLP, to where OTEL_EXPORTER_OTLP_… says")
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        problem = self._contradiction()
        if problem:
            raise ValueError(problem)
        return self

    def _contradiction(self) -> str | None:
        call = self.notify_connect_bound + self.notify_deadline
        if self.notify_lease <= call:
            return (
                f"PAYLATCH_NOTIFY_LEASE is {self.notify_lease}, must be longer than PAYLATCH_NOTIFY_CONNECT_BOUND "
                f"+ PAYLATCH_NOTIFY_DEADLINE = {call}"
            )
        if self.notify_retention <= self.notify_window:
            return (
                f"PAYLATCH_NOTIFY_RETENTION is {self.notify_retention}, must be longer than PAYLATCH_NOTIFY_WINDOW "
                f"= {self.notify_window}"
            )
        if self.breaker_longest_wait < self.breaker_first_wait:
            return (
                f"PAYLATCH_BREAKER_LONGEST_WAIT is {self.breaker_longest_wait}, must not be shorter than "
                f"PAYLATCH_BREAKER_FIRST_WAIT = {self.breaker_first_wait}"
            )
        if self.payment_database_url == self.order_database_url:
            both = shown(self.order_database_url)
            return f"PAYLATCH_PAYMENT_DATABASE_URL and PAYLATCH_ORDER_DATABASE_URL are both {both}"
        return self._retry_problem() or self._access_problem()

    def _retry_problem(self) -> str | None:
        try:
            self.retry_policy()
        except ValueError as error:
            return f"PAYLATCH_{error}"
        return None

    def _access_problem(self) -> str | None:
        tls = [self.tls_certificate, self.tls_key, self.tls_ca]
        if any(tls) and not all(tls):
            return "PAYLATCH_TLS_CERTIFICATE, PAYLATCH_TLS_KEY and PAYLATCH_TLS_CA go together: all three, or none"
        if self.uses_tls and self.policy_file is None:
            return (
                "PAYLATCH_POLICY_FILE is not set, must name a policy if PAYLATCH_TLS_CERTIFICATE is set: else any "
                "certificate of the authority could call anything"
            )
        if not self.uses_tls and (self.payment_token_address or self.order_token_address):
            return (
                "PAYLATCH_PAYMENT_TOKEN_ADDRESS and PAYLATCH_ORDER_TOKEN_ADDRESS need PAYLATCH_TLS_CERTIFICATE; in "
                "plaintext, tokens are taken on the ordinary addresses"
            )
        return None

    @property
    def uses_tls(self) -> bool:
        """Whether this process serves TLS, and shows a certificate to those it calls."""
        return self.tls_certificate is not None

    @property
    def scheme(self) -> str:
        """How servers with these settings are called: `grpcs`, or `grpc` in plaintext."""
        return "grpcs" if self.uses_tls else "grpc"

    @property
    def shows_services(self) -> bool:
        """Whether servers answer reflection: in plaintext, and under TLS when asked to (SPEC 9)."""
        return not self.uses_tls if self.reflection is None else self.reflection

    def retry_policy(self) -> RetryPolicy:
        """When a notification is tried again (SPEC 7)."""
        return RetryPolicy(
            waits=self.notify_retry_waits,
            max_attempts=self.notify_max_attempts,
            window=self.notify_window,
            jitter=self.notify_retry_jitter,
        )

    def allow_list(self) -> AllowList:
        """The targets a payment may be notified to."""
        return AllowList.parse(self.notify_targets)


class BadSetting(Exception):
    """A setting is wrong. The message is one line that names it, its value and what is allowed."""


def load_settings(**overrides: Any) -> Settings:
    """The settings from the environment, with `overrides` on top.

    Raises:
        BadSetting: one of them is not allowed, or two contradict each other.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise BadSetting("; ".join(_line(problem) for problem in error.errors())) from None


def without_credentials(text: str) -> str:
    """`text` without what stands before its last `@`: where a URL or an address may have a password."""
    before, at, rest = text.rpartition("@")
    return f"***@{rest}" if at else before + rest


def _line(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    name, value = str(problem["loc"][0]).upper(), str(problem["input"])
    is_url = name.endswith("_DATABASE_URL") and "://" in value
    value = shown(value) if is_url else without_credentials(value)
    return f"PAYLATCH_{name} is {value[:80]!r}: {message}"
