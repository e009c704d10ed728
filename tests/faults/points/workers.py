"""Claims and leases: workers that die with what they claimed, many at once, and some stopped past their lease."""

from collections.abc import Callable

import grpc

from core.rules.outcome import OK
from tests.faults.catalogue import EVERY, point
from tests.faults.points.transactions import AFTER, BEFORE, BEGIN, CLAIM, RECORD, REPORT
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.faults.world import NO_ROOM
from tests.support.processes import eventually

_N, _K = 10, 4
_MANY = 400


def _killed(moment: str) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        codes = run.ready(_N)
        trap = run.world.trap("scheduler", CLAIM, moment)
        run.leave_to_scheduler(codes)
        trap.wait()
        run.world.kill("scheduler")
        run.fired()
        claimed = [row for row in run.books().schedules if row.claim_token]
        assert len(claimed) == (_N if moment == AFTER else 0)
        run.world.start("scheduler")
        run.heal()
        assert all(run.world.relay.calls[code] == 1 for code in codes)

    return cross


point("claim", "kill before COMMIT", backends=EVERY, quick=True)(_killed(BEFORE))
point("claim", "kill after COMMIT", backends=EVERY)(_killed(AFTER))


@point("claim", "N claimed, killed after k calls", backends=EVERY, quick=True)
def _killed_after_k(run: Run) -> None:
    """The order side takes no batches, so that there is a call for each row."""
    codes = run.ready(_N)
    one_by_one = 0

    def die_at_k(call: Call) -> object:
        nonlocal one_by_one
        if call.method == "BatchOrderNotify":
            call.context.abort(grpc.StatusCode.UNIMPLEMENTED, "one by one, please")
        one_by_one += 1
        answer = call.forward()
        if one_by_one == _K:
            run.world.kill("scheduler")
            run.fired()
        return answer

    run.world.relay.behave(die_at_k)
    run.leave_to_scheduler(codes)
    run.wait_fired()
    delivered = {row.payment_code for row in run.books().notifies}
    assert len(delivered) == _K
    before = dict(run.world.relay.calls)
    run.world.start("scheduler")
    run.heal()
    again = {code for code in codes if run.world.relay.calls[code] > before[code]}
    assert again == set(codes)
    repeated = [row for row in run.books().attempts if row.number == 2]
    assert len(repeated) == _N


def _many_schedulers(count: int) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        with run.own_world(payment_servers=2, schedulers=count, settings={"notify_batch_size": "20"}) as world:
            codes = run.ready(_MANY)
            world.start(NO_ROOM)
            for number in range(0, _MANY, 100):
                run.leave_to_scheduler(codes[number : number + 100])
            run.fired(count)
            books = run.heal()
            assert {world.relay.calls[code] for code in codes} == {1}
            assert {row.number for row in books.attempts} == {1}
            holders = {row.made_by for row in books.attempts}
            assert len(holders) > 1, holders

    return cross


for _count in (2, 8):
    point("claim", f"{_count} schedulers at once", backends=EVERY)(_many_schedulers(_count))


@point("claim", "a poison row at the head", quick=True)
def _poison_at_head(run: Run) -> None:
    """The first row is answered with an error of its own, again and again; those behind it get through."""
    codes = run.ready(_N)

    def fail_first(call: Call) -> object:
        if codes[0] not in call.codes:
            return call.forward()
        run.fired()
        if call.method == "OrderNotify":
            call.context.abort(grpc.StatusCode.INTERNAL, "poison")
        answer = call.forward()
        for result in answer.results:
            if result.payment_code == codes[0]:
                result.error.code = grpc.StatusCode.INTERNAL.value[0]
        return answer

    run.world.relay.behave(fail_first)
    run.leave_to_scheduler(codes)
    run.wait_fired(2)
    settled = [row for row in run.books().schedules if row.payment_code != codes[0]]
    assert {row.notify_count for row in settled} == {1}
    assert run.is_notifying(codes[0])


@point("claim", "a lower id that commits later", backends=("postgresql",))
def _commits_later(run: Run) -> None:
    """SQLite has one writer at a time: there, who comes later commits later."""
    early, *late = run.ready(3)
    trap = run.world.trap("payment-server", REPORT, BEFORE)
    pending = run.customer.later(lambda: run.customer.report(early))
    trap.wait()
    run.leave_to_scheduler(late)
    eventually(lambda: len(run.books().schedules) == len(late) and run.books().is_settled)
    trap.go_on()
    run.done(pending.result())
    run.fired()
    ids = {row.payment_code: row.id for row in run.heal().schedules}
    assert ids[early] < min(ids[code] for code in late)


@point("lease over", "SIGSTOP before the call")
def _stopped_before_call(run: Run) -> None:
    """It wakes up with a claim that is over, and does not call."""
    codes = run.ready(2)
    trap = run.world.trap("scheduler", CLAIM, AFTER)
    run.leave_to_scheduler(codes)
    trap.wait()
    run.world.stop("scheduler")
    run.fired()
    run.world.start("scheduler-2")
    trap.go_on()
    eventually(run.is_settled)
    before = run.books().schedules
    run.world.go_on("scheduler")
    eventually(lambda: run.world.events("scheduler", "notify.stale"))
    run.heal()
    assert run.books().schedules == before
    assert all(run.world.relay.calls[code] == 1 for code in codes)
    run.world.kill("scheduler-2")


def _stopped_after_call(*, succeeds: bool) -> Callable[[Run], None]:
    """It wakes up with an answer to record. Until then somebody else has lapsed its claim and delivered."""

    def cross(run: Run) -> None:
        codes = run.ready(2)

        def fail_first(call: Call) -> object:
            if call.number == 1 and not succeeds:
                call.context.abort(grpc.StatusCode.INTERNAL, "no")
            return call.forward()

        run.world.relay.behave(fail_first)
        trap = run.world.trap("scheduler", RECORD, BEGIN)
        stale = len(run.world.events("scheduler", "notify.stale"))
        run.leave_to_scheduler(codes)
        trap.wait()
        run.world.stop("scheduler")
        run.fired()
        run.world.start("scheduler-2")
        eventually(run.is_settled)
        before = run.books()
        trap.go_on()
        run.world.go_on("scheduler")
        if succeeds:
            eventually(lambda: {row.code for row in run.books().attempts} == {OK})
        else:
            eventually(lambda: len(run.world.events("scheduler", "notify.stale")) > stale)
        books = run.heal()
        assert books.schedules == before.schedules
        assert succeeds or books.attempts == before.attempts
        assert {row.number for row in books.attempts} == {1, 2}
        assert all(run.world.relay.calls[code] == 2 for code in codes)
        run.world.kill("scheduler-2")

    return cross


point("lease over", "SIGSTOP after a call that succeeded", quick=True)(_stopped_after_call(succeeds=True))
point("lease over", "SIGSTOP after a call that failed")(_stopped_after_call(succeeds=False))
