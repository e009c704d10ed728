"""Callers that come at the same time share one run, and each gets its own answer."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from payment_server.group import Group, _Member

BOUND = 10


class Doubler:
    """Doubles numbers; its first run waits until it is let go, so that others gather behind it."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.runs.append(list(items))
        if len(self.runs) == 1:
            self.began.set()
            assert self.may_end.wait(BOUND)
        return [2 * item for item in items]


def test_a_caller_alone_is_run_at_once_and_alone() -> None:
    runs: list[list[int]] = []

    def run(items: Sequence[int]) -> list[int]:
        runs.append(list(items))
        return list(items)

    group = Group(run, largest=10)
    assert [group(1), group(2)] == [1, 2]
    assert runs == [[1], [2]]


def test_whoever_comes_during_a_run_shares_the_next_one_and_gets_its_own_answer() -> None:
    doubler = Doubler()
    group = Group(doubler, largest=10)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(group, 0)
        assert doubler.began.wait(BOUND)
        others = [pool.submit(group, number) for number in range(1, 9)]
        while len(group._gathering) < len(others):
            assert not first.done()
        doubler.may_end.set()
        assert first.result(BOUND) == 0
        assert [other.result(BOUND) for other in others] == [2 * number for number in range(1, 9)]
    assert [len(run) for run in doubler.runs] == [1, 8]


def test_a_run_never_has_more_than_the_largest_group_and_nobody_is_left_out() -> None:
    doubler = Doubler()
    group = Group(doubler, largest=3)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(group, 0)
        assert doubler.began.wait(BOUND)
        others = [pool.submit(group, number) for number in range(1, 8)]
        while len(group._gathering) < len(others):
            assert not first.done()
        doubler.may_end.set()
        assert sorted(other.result(BOUND) for other in others) == [2, 4, 6, 8, 10, 12, 14]
    assert max(len(run) for run in doubler.runs) == 3


def test_a_run_that_raises_is_told_to_each_of_its_members_and_the_next_one_is_served() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise RuntimeError("no answer")
        return list(items)

    group = Group(run, largest=10)
    with pytest.raises(RuntimeError, match="no answer"):
        group(0)
    assert group(1) == 1


def test_whoever_leads_a_group_it_is_not_in_is_not_told_its_error() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise RuntimeError("no answer")
        return list(items)

    group = Group(run, largest=1)
    stranger: _Member[int, int] = _Member(0)
    group._gathering.append(stranger)

    assert group(1) == 1
    assert isinstance(stranger.error, RuntimeError)
