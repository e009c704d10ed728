"""Commits that raise: before anything was made durable, or after everything was."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

import pytest
from peewee import OperationalError

from core.store.database import Database


class Commit(Enum):
    """How a commit goes."""

    WORKS = auto()
    RAISES_AND_IS_LOST = auto()
    RAISES_AND_IS_DURABLE = auto()


LOST, DURABLE = Commit.RAISES_AND_IS_LOST, Commit.RAISES_AND_IS_DURABLE


@contextmanager
def commits(database: Database, ways: Iterable[Commit], *, threads: str = "") -> Iterator[list[Commit]]:
    """Inside, the commits go these ways, then work again; gives those that are still to come.

    threads: those of other threads than the ones whose names begin so work all along.
    """
    coming = list(ways)
    commit = database.pool.commit

    def go() -> object:
        is_meant = threading.current_thread().name.startswith(threads)
        way = coming.pop(0) if coming and is_meant else Commit.WORKS
        if way is not LOST:
            commit()
        if way is not Commit.WORKS:
            raise OperationalError("disk I/O error")
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database.pool, "commit", go)
        yield coming
