"""Dry runs: the real work, so that checks and answer are the real ones, and nothing of it stays (SPEC 9)."""

from collections.abc import Callable
from typing import TypeVar

from core.store.transaction import Transaction

T = TypeVar("T")


class _Undo(Exception):
    """Ends the savepoint of a dry run."""


def carry_out(tx: Transaction, work: Callable[[], T], *, validate_only: bool) -> T:
    """What `work` answers. With `validate_only`, all it wrote is undone."""
    if not validate_only:
        return work()
    answers = []
    try:
        with tx.savepoint():
            answers.append(work())
            raise _Undo
    except _Undo:
        return answers[0]
