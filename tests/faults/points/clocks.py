"""Clocks: a worker's is an hour off, everybody's steps back, or a year ahead, and back."""

from collections.abc import Callable
from datetime import timedelta

import grpc

from tests.faults.catalogue import point
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.faults.world import World
from tests.support.processes import eventually

_HOUR, _DAY, _YEAR = 3_600, 86_400, 31_536_000
_ROWS = 10
_PAYMENT_SIDE = ("payment-server", "payment-server-2", "scheduler")


def _worker_off(seconds: float) -> Callable[[Run], None]:
    """The database's clock judges, so that a worker's own makes no difference."""

    def cross(run: Run) -> None:
        codes = run.ready(_ROWS)
        run.world.shift_clock("scheduler", seconds)

        def refuse_first(call: Call) -> object:
            if call.number <= 1:
                run.fired(len(call.codes))
                call.context.abort(grpc.StatusCode.INTERNAL, "not now")
            return call.forward()

        run.world.relay.behave(refuse_first)
        run.leave_to_scheduler(codes)
        run.wait_fired()
        books = run.heal()
        run.world.shift_clock("scheduler", 0)
        _hold_no_early_claim(run, books.attempts)

    return cross


def _hold_no_early_claim(run: Run, attempts: list[object]) -> None:
    shortest = min(run.world.settings.notify_retry_waits) * (1 - run.world.settings.notify_retry_jitter)
    by_schedule: dict[int, list[object]] = {}
    for attempt in sorted(attempts, key=lambda row: row.number):  # type: ignore[attr-defined]
        by_schedule.setdefault(attempt.schedule_id, []).append(attempt)  # type: ignore[attr-defined]
    for first, second in by_schedule.values():
        waited = second.start_time - first.finish_time  # type: ignore[attr-defined]
        assert shortest <= waited < timedelta(minutes=1), waited


for _fault, _seconds in (("a worker's 1 h fast", _HOUR), ("a worker's 1 h slow", -_HOUR)):
    point("clock", _fault, backends=("postgresql", "mysql"))(_worker_off(_seconds))


@point("clock", "stepping back")
def _stepping_back(run: Run) -> None:
    """Everybody's clock, the database's too, goes back a day while rows wait; none waits for that day to pass."""
    with run.own_world(payment_servers=2) as world:
        codes = run.ready(_ROWS)
        world.proxy.refuse()
        run.done(run.customer.report_together(codes))
        eventually(lambda: world.events("scheduler", "notify.given_back", "breaker.opened"))
        _shift(world, -_DAY)
        run.fired()
        eventually(lambda: world.events("scheduler", "clock.jumped"))
        run.heal()


@point("clock", "a year ahead")
def _year_ahead(run: Run) -> None:
    """While it is a year ahead nothing is given up, though every window is long over; an alarm tells."""
    with run.own_world(payment_servers=2) as world:
        codes = run.ready(_ROWS)
        world.proxy.refuse()
        run.done(run.customer.report_together(codes))
        eventually(lambda: world.events("scheduler", "notify.given_back", "breaker.opened"))
        _shift(world, _YEAR)
        run.fired()
        eventually(lambda: world.events("scheduler", "clock.jumped"))
        run.pause(1.0)
        assert not world.events("scheduler", "notify.given_up")
        assert all(run.is_notifying(code) for code in codes)
        _shift(world, 0)
        run.heal()
        assert not world.events("scheduler", "notify.given_up")


def _shift(world: World, seconds: float) -> None:
    for name in _PAYMENT_SIDE:
        world.shift_clock(name, seconds, database=True)
