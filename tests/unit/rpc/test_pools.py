import threading

import pytest

from core.rpc.pools import WorkerPool


def test_a_pool_has_drained_when_the_running_and_the_waiting_have_ended() -> None:
    may_end = threading.Event()
    with WorkerPool(1, "test") as pool:
        assert pool.drained(0)
        ends = [pool.submit(may_end.wait, 10) for _ in range(3)]
        assert not pool.drained(0.01)
        may_end.set()
        assert pool.drained(10)
        assert all(end.done() for end in ends)


def test_what_raises_has_ended_too() -> None:
    with WorkerPool(1, "test") as pool:
        failed = pool.submit(int, "x")
        assert pool.drained(10)
        assert isinstance(failed.exception(), ValueError)


def test_what_was_refused_is_not_in_flight() -> None:
    pool = WorkerPool(1, "test")
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(int)
    assert pool.drained(0)
