"""One channel and whether it is connected. Owns the one subscription to its state; calls only the peer's health."""

import threading

import grpc

_State = grpc.ChannelConnectivity
_CHECK_HEALTH = "/grpc.health.v1.Health/Check"
_CHECK_SECONDS = 5.0


class Connection:
    """Watches a channel from when it is opened, and wakes it when somebody waits for it. Safe to use from any thread.

    There is one subscription for good: another for each wait costs grpc two threads, and takes it up to 0.2 s to notice
    the wish to connect.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self._state: grpc.ChannelConnectivity | None = None
        self._changed = threading.Condition()
        self._waiting = 0
        self._is_over = False
        self._check: grpc.Future[bytes] | None = None
        channel.subscribe(self._note)

    def wait_ready(self, bound_seconds: float) -> bool:
        """Whether it is connected, after trying for at most `bound_seconds`, or until it is closed."""
        with self._changed:
            self._waiting += 1
            try:
                self._wake_if_asleep()
                self._changed.wait_for(lambda: self._state is _State.READY or self._is_over, bound_seconds)
            finally:
                self._waiting -= 1
            return self._state is _State.READY and not self._is_over

    def unwatch(self) -> None:
        """Watch it no more, so that it can be closed. Whoever waits for it stops waiting."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self.channel.unsubscribe(self._note)

    def _note(self, state: grpc.ChannelConnectivity) -> None:
        with self._changed:
            self._state = state
            if self._waiting:
                self._wake_if_asleep()
            self._changed.notify_all()

    def _wake_if_asleep(self) -> None:
        """A channel without a connection sleeps until it is called: ask the peer's health, whatever it answers."""
        is_asleep = self._state is _State.IDLE and not self._is_over
        if is_asleep and (self._check is None or self._check.done()):
            check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(_CHECK_HEALTH)
            self._check = check.future(b"", timeout=_CHECK_SECONDS)
