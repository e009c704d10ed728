"""Metrics for scrapers: `GET /metrics` over HTTP, and over HTTPS wherever there are certificates.

Owns who may scrape, and that nobody holds up another: each has a thread of its own, and the time of a scrape.
"""

import socket
import ssl
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from core.clock import Clock
from core.logs import Logger
from core.rpc.access import PolicyFile
from core.rpc.policy import SCRAPE
from core.rpc.reloaded import Reloaded
from core.rpc.security import Security
from core.rpc.server import CannotListen, checked_address

SCRAPE_SECONDS = 10.0
"""How long a scraper has from its connection to the end of its answer; as long as Prometheus waits."""

MAX_SCRAPERS = 16
"""Connections at a time; one more is closed."""

_LOOK_SECONDS = 0.1
"""How often it is looked whether to stop, and whom to cut off."""

_IDENTITIES = "paylatch.identities"


class Scrapes:
    """One address where metrics are served, once it listens."""

    def __init__(self, security: Security, clock: Clock, log: Logger) -> None:
        self._security = security
        self._clock = clock
        self._log = log
        self._listening: tuple[_Server, threading.Thread] | None = None

    def listen(
        self, address: str, registry: CollectorRegistry, *, allow_plaintext: bool = False, port_offset: int = 0
    ) -> str:
        """Serve `registry` on `address`, its port `port_offset` higher; gives back where.

        Raises:
            CannotListen: it is taken, not this machine's, or not loopback without TLS or `allow_plaintext` (SPEC 10).
        """
        security = self._security
        host, port = checked_address(address, allow_plaintext=allow_plaintext or security.https is not None)
        application = make_wsgi_app(registry)
        if security.https is not None and security.policy is not None:
            application = _granted(application, security.policy)
        try:
            server = _Server((host, port + port_offset), application, security.https, self._clock, self._log)
        except OSError as error:
            raise CannotListen(f"cannot serve metrics on {address}: {error.strerror}") from None
        thread = threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,), name="metrics", daemon=True)
        thread.start()
        self._listening = server, thread
        bound, port = server.server_address[:2]
        return f"{bound!s}:{port}"

    def stop(self) -> None:
        """Serve no more."""
        if self._listening is not None:
            server, thread = self._listening
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        application: WSGIApplication,
        https: Reloaded[ssl.SSLContext] | None,
        clock: Clock,
        log: Logger,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._https = https
        self._clock = clock
        self._log = log
        self._since: dict[Any, float] = {}
        super().__init__(address, _Handler)
        self.set_app(application)

    def get_request(self) -> tuple[Any, Any]:
        """A connection, over TLS if that is on; nothing was read from it yet, so nobody is waited for here."""
        connection, address = super().get_request()
        if self._https is not None:
            connection = self._https.current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more."""
        return len(self._since) < MAX_SCRAPERS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread of its own, from now on."""
        self._since[request] = self._clock.monotonic()
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve it, in its thread."""
        if isinstance(request, ssl.SSLSocket):
            request.do_handshake()
        super().finish_request(request, client_address)

    def service_actions(self) -> None:
        """Cut off whoever has had its time. Called with every look."""
        now = self._clock.monotonic()
        for request in [request for request, since in tuple(self._since.items()) if now - since > SCRAPE_SECONDS]:
            # Ends what its thread waits for; the thread then closes it. Its client may have gone already.
            with suppress(OSError):
                socket.socket.shutdown(request, socket.SHUT_RDWR)

    def close_request(self, request: Any) -> None:
        """Its place is free again."""
        self._since.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that fails is its client's business, anything else is ours."""
        error = sys.exception()
        if isinstance(error, OSError):
            self._log.debug("metrics.connection_failed", peer=client_address[0], message=str(error))
        else:
            self._log.error("metrics.failed", exc_info=error)


class _Handler(WSGIRequestHandler):
    """Tells the application whose certificate was shown, and the log nothing."""

    def get_environ(self) -> WSGIEnvironment:
        return {**super().get_environ(), _IDENTITIES: _identities(self.connection)}

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def _identities(connection: Any) -> list[str]:
    """The SANs of the certificate that was shown: URIs, then DNS names, as for calls."""
    if not isinstance(connection, ssl.SSLSocket):
        return []
    certificate: Any = connection.getpeercert() or {}
    names = certificate.get("subjectAltName", ())
    return [name for wanted in ("URI", "DNS") for kind, name in names if kind == wanted]


def _granted(scrape: WSGIApplication, policy: PolicyFile) -> WSGIApplication:
    """`scrape`, for those whom the policy grants it."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        identities = environ[_IDENTITIES]
        if policy.current().lets(identities, f"/{SCRAPE}"):
            return scrape(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        who = identities[0] if identities else "a certificate without a URI or DNS name"
        return [f"{who} may not scrape: the policy must grant {SCRAPE}\n".encode()]

    return answer
