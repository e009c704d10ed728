"""Connections to other processes. Owns every client channel, its options and its end; makes no call.

A receiver that is back is used within about a second, a silent one is found out, no call is without a deadline.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import grpc

from core.rpc.connection import Connection
from core.rpc.deadline import DefaultDeadline
from core.rules.notify_url import NotifyUrl

Factory = Callable[[NotifyUrl], grpc.Channel]

_UNWATCH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ChannelTuning:
    """Times in seconds.

    default_deadline: of a call that sets none. connect: until an attempt to connect is given up. longest_pause:
    between two attempts. ping_after: of silence during a call, the peer is asked whether it lives; ping_timeout: it
    has to answer.
    """

    default_deadline: float = 30.0
    connect: float = 2.0
    longest_pause: float = 0.8
    ping_after: float = 10.0
    ping_timeout: float = 5.0


DEFAULT_TUNING = ChannelTuning()


def open_channel(target: NotifyUrl, tuning: ChannelTuning = DEFAULT_TUNING) -> grpc.Channel:
    """A channel to `target` that connects when it is first used. `grpcs` trusts the machine's root certificates."""
    name, options = _dial_name(target), _channel_arguments(tuning)
    if target.uses_tls:
        channel = grpc.secure_channel(name, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.insecure_channel(name, options)
    return grpc.intercept_channel(channel, DefaultDeadline(tuning.default_deadline))


class Channels:
    """The channels of a process, one for each target, opened when first asked for. Safe to use from any thread.

    open_one: opens the channel to a target; tests and simulations pass their own.
    """

    def __init__(self, open_one: Factory = open_channel) -> None:
        self._open_one = open_one
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}
        self._is_closed = False

    def get(self, target: str) -> grpc.Channel:
        """The channel to `target` (`grpc://host:port` or `grpcs://host:port`). No connection is awaited.

        Raises:
            ValueError: `target` is not spelt like that.
            ChannelsClosed: `close` was called.
        """
        return self._connection(target).channel

    def wait_ready(self, target: str, bound_seconds: float) -> bool:
        """Whether `target` is connected, after trying for at most `bound_seconds`. Until it is, nothing can be sent.

        Raises: as `get`.
        """
        return self._connection(target).wait_ready(bound_seconds)

    def close(self) -> None:
        """Close every channel: calls that still run end with CANCELLED, waits with False. May be called again."""
        with self._lock:
            self._is_closed = True
            connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.unwatch()
        if connections:
            # grpc ends the thread that watched a channel within 0.2 s, and gives no sign of it; a channel that is
            # closed under that thread costs a traceback.
            threading.Event().wait(_UNWATCH_SECONDS)
        for connection in connections.values():
            connection.channel.close()

    def _connection(self, target: str) -> Connection:
        with self._lock:
            if self._is_closed:
                raise ChannelsClosed(f"no channel to {target}: the channels of this process were closed")
            if target not in self._connections:
                self._connections[target] = Connection(self._open_one(NotifyUrl.parse(target)))
            return self._connections[target]


class ChannelsClosed(Exception):
    """A channel was asked for after `Channels.close`."""


def _dial_name(target: NotifyUrl) -> str:
    """The target in grpc's own words. The scheme is always said: grpc reads `unix:50051` as a file."""
    try:
        return f"ipv{ip_address(target.host).version}:{target.address}"
    except ValueError:
        return f"dns:///{target.address}"


def _channel_arguments(tuning: ChannelTuning) -> list[tuple[str, int]]:
    return [
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", _milliseconds(tuning.longest_pause)),
        # In spite of its name: until an attempt to connect is given up.
        ("grpc.min_reconnect_backoff_ms", _milliseconds(tuning.connect)),
        # A name that means another address since the connection broke is asked for again without the pause of 30 s.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.keepalive_time_ms", _milliseconds(tuning.ping_after)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(tuning.ping_timeout)),
        # Has no say in pings, in spite of its name, but in how long sent bytes may go unacknowledged by TCP.
        ("grpc.keepalive_timeout_ms", _milliseconds(tuning.ping_timeout)),
        # A proxy named in the environment would be a target that is on no allow-list.
        ("grpc.enable_http_proxy", 0),
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1_000)
