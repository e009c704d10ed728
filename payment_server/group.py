"""Callers that come at the same time share one transaction. Owns who leads a group; knows nothing of what it does.

While one group is being committed, the next one gathers: alone, a caller waits for nobody.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Member(Generic[Item, Answer]):
    item: Item
    answers: Sequence[Answer] = ()
    error: BaseException | None = None

    @property
    def is_answered(self) -> bool:
        return bool(self.answers) or self.error is not None


class Group(Generic[Item, Answer]):
    """Runs `run` on what was gathered, at most `largest` items at once; answers each caller with its own.

    `run` answers each item, in order, after what it says is durable. new_lock: makes the lock whose holder leads.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        largest: int,
        new_lock: Callable[[], AbstractContextManager[Any]] = threading.Lock,
    ) -> None:
        self._run = run
        self._largest = largest
        self._gathering: list[_Member[Item, Answer]] = []
        self._gather = threading.Lock()
        self._turn = new_lock()

    def __call__(self, item: Item) -> Answer:
        """The answer to `item`, which was run alone or with others."""
        member: _Member[Item, Answer] = _Member(item)
        with self._gather:
            self._gathering.append(member)
        with self._turn:
            while not member.is_answered:
                self._lead()
        if member.error is not None:
            raise member.error
        return member.answers[0]

    def _lead(self) -> None:
        with self._gather:
            group, self._gathering = self._gathering[: self._largest], self._gathering[self._largest :]
        try:
            answers = self._run([member.item for member in group])
        except BaseException as error:  # noqa: BLE001 - told to each member of the group, who raises it
            for member in group:
                member.error = error
            return
        for member, answer in zip(group, answers, strict=True):
            member.answers = (answer,)
