"""What this process shows of itself to those it calls: its certificate, its token. Owns to whom a token may go."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import grpc

from core.clock import Clock
from core.logs import Logger
from core.rpc.deadline import CallDetails
from core.rpc.reloaded import Reloaded
from core.rpc.tls import Pems, pem_files
from core.rules.notify_url import NotifyUrl
from core.settings import Settings

TOKEN_FILE = "PAYLATCH_TOKEN_FILE"  # noqa: S105  # the name of a setting


@dataclass(frozen=True, slots=True)
class Outgoing:
    """tls: certificate and authority for `grpcs`; without them the machine's root certificates are trusted.

    token: sent with every call over TLS, and on loopback; never in plaintext over a network.
    """

    tls: Reloaded[Pems] | None = None
    token: Reloaded[str] | None = None

    @classmethod
    def of(cls, settings: Settings, clock: Clock, log: Logger) -> "Outgoing":
        """What these settings say.

        Raises:
            BadSetting: a file is no good.
        """
        token = None
        if settings.token_file is not None:
            files = {TOKEN_FILE: settings.token_file}
            token = Reloaded("token", files, lambda contents: _token(contents[TOKEN_FILE]), log)
        return cls(pem_files(settings, clock, log), token)

    def edition(self) -> object:
        """Another object whenever channels must be made anew: a certificate is shown when a connection is made."""
        return self.tls.current() if self.tls is not None else None

    def channel(self, target: NotifyUrl, name: str, options: list[tuple[str, int]]) -> grpc.Channel:
        """A channel to `target`, which grpc calls `name`."""
        if target.uses_tls:
            channel = grpc.secure_channel(name, self._credentials(), options)
        else:
            channel = grpc.insecure_channel(name, options)
        if self.token is not None and (target.uses_tls or _is_loopback(target.host)):
            return grpc.intercept_channel(channel, BearerToken(self.token.current))
        return channel

    def _credentials(self) -> grpc.ChannelCredentials:
        return self.tls.current().for_channel if self.tls is not None else grpc.ssl_channel_credentials()


NOTHING = Outgoing()
"""No certificate and no token."""


class BearerToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends a token with every call, as it is then."""

    def __init__(self, current: Callable[[], str]) -> None:
        self._current = current

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Go on, with the token."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Go on, with the token."""
        return continuation(self._with_token(client_call_details), request)

    def _with_token(self, details: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
        shown = ("authorization", f"Bearer {self._current()}")
        return CallDetails.of(details, metadata=[*(details.metadata or ()), shown])


def _token(content: bytes) -> str:
    token = content.strip()
    if not (token and token.isascii() and token.decode().isprintable() and b" " not in token):
        raise ValueError(f"{TOKEN_FILE} must be a file that holds one token: printable ASCII characters without blanks")
    return token.decode()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
