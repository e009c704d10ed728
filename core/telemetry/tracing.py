"""Traces as the rest of paylatch sees them: spans, and the context that leads from one to the next.

A context is a W3C `traceparent`: text, so that it can stand in a row for days and go from process to process. Owns what
happens when tracing is off: nothing. Never imports OpenTelemetry: core/telemetry/open_telemetry.py does, when it is on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Protocol, TypeVar

Key = TypeVar("Key")

TRACEPARENT = "traceparent"
"""The gRPC metadata that carries a context."""


class Kind(Enum):
    """What a span is to the other processes."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(Protocol):
    """A piece of work with a beginning and an end."""

    @property
    def context(self) -> str | None:
        """What its children name as their parent; None when tracing is off."""
        ...

    def set(self, **attributes: str | int) -> None:
        """Say more about it."""
        ...

    def fail(self, error: str) -> None:
        """It came to an error of this name; never a text that an error brought along."""
        ...

    def end(self) -> None:
        """It is over. Only the first time counts."""
        ...


class Tracing(Protocol):
    """Makes spans. Safe to use from any thread. is_on: whether any span is ever kept."""

    is_on: bool

    def start(
        self, name: str, parent: str | None = None, kind: Kind = Kind.INTERNAL, links: Iterable[str] = ()
    ) -> Span:
        """A span that begins now. parent: the context of its parent; without one it begins a trace."""
        ...

    def enter(self, context: str | None) -> None:
        """Let `context` be the present one of this thread; None: it has none."""
        ...

    @property
    def current(self) -> str | None:
        """The present context of this thread: of the call it serves."""
        ...

    def close(self) -> None:
        """Hand over what was not yet exported. Bounded; may be called again."""
        ...


class _NoSpan:
    context = None

    def set(self, **attributes: str | int) -> None:
        pass

    def fail(self, error: str) -> None:
        pass

    def end(self) -> None:
        pass


class _NoTracing:
    is_on = False
    current = None

    def start(
        self, name: str, parent: str | None = None, kind: Kind = Kind.INTERNAL, links: Iterable[str] = ()
    ) -> Span:
        return NO_SPAN

    def enter(self, context: str | None) -> None:
        pass

    def close(self) -> None:
        pass


NO_SPAN: Span = _NoSpan()
NO_TRACING: Tracing = _NoTracing()
"""Tracing that is off."""


@contextmanager
def span(
    tracing: Tracing, name: str, parent: str | None = None, kind: Kind = Kind.INTERNAL, links: Sequence[str] = ()
) -> Iterator[Span]:
    """A span that lasts as long as the block, and fails with it."""
    one = tracing.start(name, parent, kind, links)
    try:
        yield one
    except BaseException as error:
        one.fail(type(error).__name__)
        raise
    finally:
        one.end()


@contextmanager
def spans(tracing: Tracing, name: str, parents: Mapping[Key, str | None]) -> Iterator[Mapping[Key, Span]]:
    """A span for each of `parents`, all of them as long as the block: work that many traces share. Empty when off."""
    started = {key: tracing.start(name, parent) for key, parent in parents.items()} if tracing.is_on else {}
    try:
        yield started
    except BaseException as error:
        for one in started.values():
            one.fail(type(error).__name__)
        raise
    finally:
        for one in started.values():
            one.end()
