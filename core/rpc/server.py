"""A gRPC server as every process runs it. Owns its port, its threads, health and reflection; knows no service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

import grpc

from core.clock import Clock
from core.logs import Logger
from core.rpc import health
from core.rpc.access import AccessInterceptor
from core.rpc.admission import Admission, AdmissionInterceptor
from core.rpc.decoding import DecodingInterceptor
from core.rpc.interceptors import FailureInterceptor
from core.rpc.observe import CallObserver, ObservingInterceptor
from core.rpc.pools import WorkerPool
from core.rpc.reading import ReadingInterceptor
from core.rpc.reflection import Reflection
from core.rpc.security import Security
from core.rpc.tls import server_credentials
from core.settings import Settings

_LOCALHOST = "127.0.0.1"
_MAX_PORT = 65_535
# How long the answers of cancelled calls may take to leave, after the grace.
_LEAVE_SECONDS = 1.0
# Threads that tell those who find no room.
_REFUSING = 4

_Servicer = TypeVar("_Servicer")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is built, and what it withstands (docs/security.md). Times in seconds.

    workers: handlers at once. waiting: calls that may wait for one of them; more are refused with RESOURCE_EXHAUSTED,
    as are all calls beyond `max_calls`, health included. max_message_bytes, max_metadata_bytes: of a request; a longer
    one is refused with RESOURCE_EXHAUSTED. longest_call: what a call without a deadline, or with an absurd one, is
    given. request: until its client has sent the request, or the call is cancelled. max_streams: calls at once on one
    connection, fewer than there are threads; its client keeps the rest back. max_connections: more are hung up on.
    handshake: until a connection speaks TLS and HTTP/2. connection_age, connection_grace: an older connection takes no
    new calls, and is closed after the grace. ping_after, ping_timeout: a silent client must answer a ping. ping_pause:
    a client that pings more often is hung up on.
    reuse_port: let other processes share the port (the multi-process mode). reflection: tell clients of the services.
    """

    workers: int = 16
    waiting: int = 96
    max_calls: int = 2_000
    max_message_bytes: int = 4 * 1024 * 1024
    max_metadata_bytes: int = 8 * 1024
    longest_call: float = 300.0
    request: float = 10.0
    max_streams: int = 100
    max_connections: int = 2_000
    handshake: float = 10.0
    connection_age: float = 1_800.0
    connection_grace: float = 300.0
    ping_after: float = 60.0
    ping_timeout: float = 20.0
    ping_pause: float = 5.0
    reuse_port: bool = False
    reflection: bool = True

    @classmethod
    def of(cls, settings: Settings, workers: int | None = None) -> "ServerOptions":
        """As these settings say. workers: instead of theirs."""
        return cls(
            workers=workers or settings.server_workers,
            reuse_port=settings.server_shares_port,
            reflection=settings.shows_services,
        )


class CannotListen(Exception):
    """An address cannot, or must not, be listened on. The message names it and says what to do."""


class RpcServer:
    """A server: add services, bind, start; later stop, and close databases once `drained` says so."""

    def __init__(
        self,
        log: Logger,
        clock: Clock,
        options: ServerOptions | None = None,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        security: Security | None = None,
        observers: Sequence[CallObserver] = (),
    ) -> None:
        self._options = options or ServerOptions()
        self._tls = security.tls if security is not None else None
        access = [AccessInterceptor(security.policy)] if security is not None and security.policy is not None else []
        admission = Admission(self._options.workers, self._options.waiting)
        # A call that waits has a thread, so that a place is given by who calls and not by who came first.
        self._workers = WorkerPool(self._options.workers + self._options.waiting + _REFUSING, "rpc")
        self.health = health.Health()
        self._reading = ReadingInterceptor(clock, self._options.request)
        self._server = grpc.server(
            self._workers,
            interceptors=[
                *([ObservingInterceptor(observers, clock)] if observers else []),
                FailureInterceptor(log, clock, longest_call=self._options.longest_call),
                *access,
                AdmissionInterceptor(admission),
                self.health.admission,
                self._reading,
                *interceptors,
                DecodingInterceptor(),
            ],
            maximum_concurrent_rpcs=self._options.max_calls,
            options=_channel_arguments(self._options),
        )
        self._reflection = Reflection()
        self._services: list[str] = []
        self.health.add_to(self._server)

    def add(self, register: Callable[[_Servicer, grpc.Server], None], servicer: _Servicer, service: str) -> None:
        """Serve `servicer`, before `start`.

        register: the generated `add_…_to_server`. service: the full name, for health and reflection.
        """
        register(servicer, self._server)
        self.health.add_service(service)
        self._services.append(service)

    def bind(self, address: str, *, allow_plaintext: bool = False) -> str:
        """Listen on `address` (`host:port`, port 0 for any free one) and give back the address with its port.

        With TLS, for clients that show a certificate of the authority. allow_plaintext: without it, even where others
        than this machine can connect (SPEC 10).

        Raises:
            CannotListen: it is taken, not this machine's, no address, or not loopback without TLS or `allow_plaintext`.
        """
        if self._tls is not None:
            return self._listen(address, server_credentials(self._tls, ask_certificate=True))
        checked_address(address, allow_plaintext=allow_plaintext)
        return self._listen(address)

    def bind_for_tokens(self, address: str) -> str:
        """Listen on `address` too, with TLS, for clients that show no certificate but a token; the same services.

        Raises:
            CannotListen: it is taken, not this machine's, or no address.
        """
        if self._tls is None:
            raise ValueError("tokens have an address of their own only under TLS")
        return self._listen(address, server_credentials(self._tls, ask_certificate=False))

    def start(self) -> None:
        """Serve, and say so."""
        if self._options.reflection:
            self._reflection.add_to(self._server, [*self._services, health.SERVICE_NAME])
        self._reading.start()
        self._server.start()
        self.health.set_serving(True)

    def stop(self, grace: float) -> None:
        """Say NOT_SERVING, refuse new calls, and wait at most `grace` seconds for those that run, then cancel them.

        May be called again. Handlers may go on after it: see `drained`.
        """
        self.health.shut_down()
        self._server.stop(grace).wait(grace + _LEAVE_SECONDS)
        self._workers.shutdown(wait=False)
        self._reading.stop()
        self._reflection.close()
        self.health.close()

    def drained(self, timeout: float) -> bool:
        """Whether every handler has ended, after waiting for it at most `timeout` seconds. Only after `stop`.

        A handler goes on after its client's deadline and after `stop`, and commits: until this is true, what it uses
        must not be closed.
        """
        return self._workers.drained(timeout)

    @property
    def workers(self) -> int:
        """Threads that serve calls."""
        return self._options.workers

    @property
    def calls_in_flight(self) -> int:
        """Calls that are served or wait for a thread, and handlers whose callers have gone."""
        return self._workers.in_flight

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        host, port = _host_and_port(address)
        written_host = f"[{host}]" if ":" in host else host
        try:
            bound = self._add_port(f"{written_host}:{port}", credentials)
        except RuntimeError:
            raise CannotListen(
                f"cannot listen on {written_host}:{port}: another process does, or it is not an address of this machine"
            ) from None
        return f"{written_host}:{bound}"

    def _add_port(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        if credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, credentials)


def checked_address(address: str, *, allow_plaintext: bool) -> tuple[str, int]:
    """IP address and port of `host:port`, where anything may be listened for without TLS.

    Raises:
        CannotListen: it is no such address, or not loopback without `allow_plaintext` (SPEC 10).
    """
    host, port = _host_and_port(address)
    if not (ip_address(host).is_loopback or allow_plaintext):
        raise CannotListen(
            f"{address} is not a loopback address, and without TLS anybody who reaches it could call: "
            "listen on 127.0.0.1, set PAYLATCH_TLS_CERTIFICATE, or allow plaintext by PAYLATCH_ALLOW_PLAINTEXT=true"
        )
    return host, port


def _channel_arguments(options: ServerOptions) -> list[tuple[str, int]]:
    return [
        # On by default: a second server would silently share the port, and take half of the calls.
        ("grpc.so_reuseport", int(options.reuse_port)),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_metadata_size", options.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", options.max_metadata_bytes),
        ("grpc.max_concurrent_streams", options.max_streams),
        # By default some calls of a client that is at its limit are refused, though it keeps to it: a call that ended
        # for the client may still be counted here.
        ("grpc.http.overload_protection", 0),
        ("grpc.max_allowed_incoming_connections", options.max_connections),
        ("grpc.server_handshake_timeout_ms", _milliseconds(options.handshake)),
        ("grpc.max_connection_age_ms", _milliseconds(options.connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(options.connection_grace)),
        ("grpc.keepalive_time_ms", _milliseconds(options.ping_after)),
        # Also while it has no call.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_timeout_ms", _milliseconds(options.ping_timeout)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(options.ping_timeout)),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(options.ping_pause)),
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1_000)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise _no_address(address)
    # A name may mean several addresses, and grpc is content with any one of them that is free.
    return _ip(_LOCALHOST if host == "localhost" else host, address), int(port)


def _ip(host: str, address: str) -> str:
    in_brackets = host.startswith("[") and host.endswith("]")
    try:
        ip = ip_address(host[1:-1] if in_brackets else host)
    except ValueError:
        raise _no_address(address) from None
    if in_brackets != (ip.version == 6):
        raise _no_address(address)
    return str(ip)


def _no_address(address: str) -> CannotListen:
    return CannotListen(
        f"{address!r} is no address to listen on: must be host:port with an IP address or localhost, "
        "such as 127.0.0.1:50051 or [::1]:50051"
    )
