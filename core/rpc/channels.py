"""Connections to other processes. Owns every client channel, its options and its end; makes no call.

A receiver that is back is used within about a second, a silent one is found out, no call is without a deadline.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import grpc

from core.rpc.connection import Connection
from core.rpc.deadline import DefaultDeadline
from core.rpc.outgoing import NOTHING, Outgoing
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


def open_channel(
    target: NotifyUrl, tuning: ChannelTuning = DEFAULT_TUNING, outgoing: Outgoing = NOTHING
) -> grpc.Channel:
    """A channel to `target` that connects when it is first used, and shows what `outgoing` has to show."""
    channel = outgoing.channel(target, _dial_name(target), _channel_arguments(tuning))
    return grpc.intercept_channel(channel, DefaultDeadline(tuning.default_deadline))


class Channels:
    """The channels of a process, one for each target, opened when first asked for. Safe to use from any thread.

    open_one: opens the channel to a target; tests and simulations pass their own. edition: another object whenever all
    channels must be made anew, since what they show is not what they should any more.
    """

    def __init__(self, open_one: Factory = open_channel, edition: Callable[[], object] = lambda: None) -> None:
        self._open_one = open_one
        self._edition = edition
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}
        self._opened_under = edition()
        # Calls may still run on them; they are closed with the next ones, or in the end.
        self._replaced: list[Connection] = []
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
            connections = [*self._replaced, *self._connections.values()]
            self._connections, self._replaced = {}, []
        _close_all(connections)

    def _connection(self, target: str) -> Connection:
        with self._lock:
            if self._is_closed:
                raise ChannelsClosed(f"no channel to {target}: the channels of this process were closed")
            outdated = self._set_aside_outdated()
            if target not in self._connections:
                self._connections[target] = Connection(self._open_one(NotifyUrl.parse(target)))
            connection = self._connections[target]
        _close_all(outdated)
        return connection

    def _set_aside_outdated(self) -> Sequence[Connection]:
        """After a change of what they show: all are replaced. Gives back those of the change before, to be closed."""
        edition = self._edition()
        if edition is self._opened_under:
            return ()
        self._opened_under = edition
        outdated, self._replaced = self._replaced, list(self._connections.values())
        self._connections = {}
        return outdated


class ChannelsClosed(Exception):
    """A channel was asked for after `Channels.close`."""


def _close_all(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.unwatch()
    if connections:
        # grpc ends the thread that watched a channel within 0.2 s, and gives no sign of it; a channel that is
        # closed under that thread costs a traceback.
        threading.Event().wait(_UNWATCH_SECONDS)
    for connection in connections:
        connection.channel.close()


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
