"""Where a notification may go: `grpc://host:port` or `grpcs://host:port`, in one canonical spelling (SPEC 9).

Owns the spelling and the allow-list. Never resolves a name, and never repeats a refused text: it may hold a password.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self

_URL = re.compile(r"(?P<scheme>grpcs?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\]):(?P<port>[0-9]+)")
_FORM = "must be grpc://host:port or grpcs://host:port, in lower case, with nothing before, between or after"

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MAX_PORT = 65_535
_PORT_FORM = "must have a port of 1 to 65535 without leading zeros"

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_NAME = 253
# Resolvers take 2130706433, 0x7f000001 and 127.1 for 127.0.0.1: what ends in a number is an address, or nothing.
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_HOST_FORM = "must have a host that is a DNS name, an IPv4 address or an [IPv6] address, in its canonical spelling"


@dataclass(frozen=True, slots=True)
class NotifyUrl:
    """One target of notifications. Two of them are the same target exactly if they are equal.

    scheme: grpc (plaintext) or grpcs (TLS). host: a DNS name, an IPv4 address, or an IPv6 address without its
    brackets. port: 1 to 65535.
    """

    scheme: str
    host: str
    port: int

    def __post_init__(self) -> None:
        if self.scheme not in {"grpc", "grpcs"}:
            raise ValueError(_FORM)
        if not 1 <= self.port <= _MAX_PORT:
            raise ValueError(_PORT_FORM)
        if not _is_host(self.host):
            raise ValueError(_HOST_FORM)

    @classmethod
    def parse(cls, url: str) -> Self:
        """The target that `url` names.

        Raises:
            ValueError: it is not in the one spelling allowed; says what is, without repeating `url`.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ValueError(_FORM)
        if _PORT.fullmatch(parts["port"]) is None:
            raise ValueError(_PORT_FORM)
        in_brackets = parts["host"].startswith("[")
        if in_brackets != (":" in parts["host"]):
            raise ValueError(_HOST_FORM)
        return cls(parts["scheme"], parts["host"].strip("[]"), int(parts["port"]))

    @property
    def uses_tls(self) -> bool:
        """Whether the receiver must prove who it is."""
        return self.scheme == "grpcs"

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"


@dataclass(frozen=True, slots=True)
class AllowList:
    """The targets that may be notified (setting NOTIFY_TARGETS). Matches by scheme, host and port, exactly."""

    targets: frozenset[NotifyUrl]

    @classmethod
    def parse(cls, urls: Iterable[str]) -> Self:
        """The allow-list of these spellings.

        Raises:
            ValueError: one is wrong; says which by its place, counted from 1.
        """
        return cls(frozenset(_entry(place, url) for place, url in enumerate(urls, start=1)))

    def __contains__(self, target: NotifyUrl) -> bool:
        return target in self.targets

    def why_not(self, url: str) -> str | None:
        """Why `url` may not be notified, worded as the description of a field violation; None if it may."""
        wrong = why_not(url)
        if wrong is None and NotifyUrl.parse(url) not in self:
            return "must be one of the notification targets this server allows (NOTIFY_TARGETS)"
        return wrong


def why_not(url: str) -> str | None:
    """What is wrong with the spelling of `url`, worded as the description of a field violation; None if nothing is."""
    try:
        NotifyUrl.parse(url)
    except ValueError as wrong:
        return str(wrong)
    return None


def _entry(place: int, url: str) -> NotifyUrl:
    try:
        return NotifyUrl.parse(url)
    except ValueError as wrong:
        raise ValueError(f"target {place} {wrong}") from None


def _is_host(host: str) -> bool:
    if ":" in host:
        return _is_ipv6(host)
    if _ENDS_IN_A_NUMBER.fullmatch(host):
        return _is_ipv4(host)
    return len(host) <= _MAX_NAME and _NAME.fullmatch(host) is not None


def _is_ipv4(host: str) -> bool:
    try:
        return not IPv4Address(host).is_unspecified
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    try:
        address = IPv6Address(host)
    except ValueError:
        return False
    is_another_spelling = address.compressed != host or address.ipv4_mapped is not None
    return not is_another_spelling and not address.is_unspecified
