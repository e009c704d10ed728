"""Callers that come at the same time share one transaction. Owns who leads a group; knows nothing of what it does.

While one group is being committed, the next one gathers: alone, a caller waits for nobody.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Signal(Protocol):
    """Set once; as threading.Event."""

    def set(self) -> None:
        """Let whoever waits go on."""
        ...

    def wait(self) -> object:
        """Wait until it is set."""
        ...


@dataclass(slots=True)
class _Member(Generic[Item, Answer]):
    """is_called: it is answered, or it is its turn to lead."""

    item: Item
    is_called: Signal = field(default_factory=threading.Event)
    answers: Sequence[Answer] = ()
    error: BaseException | None = None

    @property
    def is_answered(self) -> bool:
        return bool(self.answers) or self.error is not None


class Group(Generic[Item, Answer]):
    """Runs `run` on what was gathered, at most `largest` items at once; answers each caller with its own.

    `run` answers each item, in order, after what it says is durable. A member that leads hands over to the first of
    those that gathered meanwhile; nobody else wakes, but to take its answer home. new_signal: what a member waits for.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        largest: int,
        new_signal: Callable[[], Signal] = threading.Event,
    ) -> None:
        self._run = run
        self._largest = largest
        self._new_signal = new_signal
        self._gathering: list[_Member[Item, Answer]] = []
        self._is_led = False
        self._lock = threading.Lock()

    def __call__(self, item: Item) -> Answer:
        """The answer to `item`, which was run alone or with others."""
        member: _Member[Item, Answer] = _Member(item, self._new_signal())
        with self._lock:
            self._gathering.append(member)
            leads, self._is_led = not self._is_led, True
        if not leads:
            member.is_called.wait()
        if not member.is_answered:
            self._lead(member)
        if member.error is not None:
            raise member.error
        return member.answers[0]

    def _lead(self, member: _Member[Item, Answer]) -> None:
        while not member.is_answered:
            self._run_group()
        with self._lock:
            self._is_led = bool(self._gathering)
            if self._gathering:
                self._gathering[0].is_called.set()

    def _run_group(self) -> None:
        with self._lock:
            group, self._gathering = self._gathering[: self._largest], self._gathering[self._largest :]
        try:
            answers = self._run([member.item for member in group])
        except BaseException as error:  # noqa: BLE001 - told to each member of the group, who raises it
            for member in group:
                member.error = error
        else:
            for member, answer in zip(group, answers, strict=True):
                member.answers = (answer,)
        for member in group:
            member.is_called.set()
