"""The first attempt: its sender is killed, full, told to stop; its target is slow, or cannot be reached at all."""

import functools
import threading

import grpc

from paylatch.payment.v1.payment_enums_pb2 import (
    HINDRANCE_KIND_BREAKER_OPEN,
    HINDRANCE_KIND_TARGET_NOT_ALLOWED,
    HindranceKind,
)
from tests.faults.catalogue import point
from tests.faults.proxy import Way
from tests.faults.relay import Call
from tests.faults.run import Run
from tests.support.processes import BOUND, eventually

_SLOW_SECONDS = 0.8
_NOWHERE = "grpc://no-such-host.invalid:50052"
_WINDOW = {"notify_window": "5s", "notify_retry_waits": "1s", "notify_max_attempts": "2"}


@point("first attempt", "kill before the call")
def _killed_before(run: Run) -> None:
    """The connection takes the call and loses it; the sender dies before anybody has heard of it."""
    (code,) = run.ready()
    run.world.proxy.set(requests=Way.LOSE)
    lost = run.world.proxy.counts["lost"]
    run.done(run.customer.report(code))
    eventually(lambda: run.world.proxy.counts["lost"] > lost)
    run.world.kill("payment-server")
    run.fired()
    assert run.world.relay.calls[code] == 0
    run.world.proxy.heal()
    run.world.start("payment-server")


@point("first attempt", "kill during the call", quick=True)
def _killed_during(run: Run) -> None:
    (code,) = run.ready()
    run.world.relay.behave(functools.partial(_die_first, run, "payment-server"))
    run.done(run.customer.report(code))
    eventually(lambda: run.world.system["payment-server"].has_ended)
    run.fired()
    run.world.start("payment-server")
    run.heal()
    assert run.world.relay.calls[code] == 2


def _die_first(run: Run, name: str, call: Call) -> object:
    if call.number == 1:
        run.world.kill(name)
    return call.forward()


@point("first attempt", "the sender's queue is full", quick=True)
def _queue_full(run: Run) -> None:
    codes = run.ready(20)
    run.leave_to_scheduler(codes)
    run.fired(len(codes))
    run.heal()
    assert all(row.made_by.startswith("scheduler@") for row in run.books().attempts)


@point("first attempt", "shutdown during the call")
def _shutdown(run: Run) -> None:
    """SIGTERM while the call is under way; the call fails, and its sender ends in order."""
    (code,) = run.ready()
    called = threading.Event()
    before = len(run.world.events("payment-server", "process.stopping"))

    def fail_when_stopping(call: Call) -> object:
        if call.number > 1:
            return call.forward()
        called.set()
        eventually(lambda: len(run.world.events("payment-server", "process.stopping")) > before)
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        raise AssertionError

    run.world.relay.behave(fail_when_stopping)
    run.done(run.customer.report(code))
    assert called.wait(BOUND)
    assert run.world.system["payment-server"].stop() == 0
    run.fired()
    run.world.start("payment-server")


@point("first attempt", "the scheduler polls while it is slow")
def _slow(run: Run) -> None:
    codes = run.ready(5)

    def be_slow(call: Call) -> object:
        run.pause(_SLOW_SECONDS)
        return call.forward()

    run.world.relay.behave(be_slow)
    for code in codes:
        run.done(run.customer.report(code))
    eventually(run.is_settled)
    run.fired(len(codes))
    assert {code: run.world.relay.together[code] for code in codes} == dict.fromkeys(codes, 1)
    assert all(attempt.number == 1 for attempt in run.books().attempts)


@point("first attempt", "target not resolvable")
def _not_resolvable(run: Run) -> None:
    with run.own_world(targets=[_NOWHERE], settings=_WINDOW):
        _hold_given_up_untouched(run, _NOWHERE, HINDRANCE_KIND_BREAKER_OPEN)


@point("first attempt", "target no longer on the allow-list")
def _not_allowed(run: Run) -> None:
    with run.own_world(targets=[_NOWHERE], settings=_WINDOW) as world:
        (code,) = run.ready(target=_NOWHERE)
        for name in ("payment-server", "scheduler"):
            world.restart(name, notify_targets=world.target)
        _hold_given_up_untouched(run, _NOWHERE, HINDRANCE_KIND_TARGET_NOT_ALLOWED, code)
        refused = run.customer.create_payment(run.code(), target=_NOWHERE)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT, refused


def _hold_given_up_untouched(run: Run, target: str, hindrance: HindranceKind.ValueType, code: str = "") -> None:
    """No attempt is counted, an operator is shown why, the payment stays a success, and in the end a person is told."""
    lost = code or run.ready(target=target)[0]
    (sound,) = run.ready()
    for each in (lost, sound):
        run.done(run.customer.report(each))
    run.fired()
    eventually(lambda: hindrance in run.customer.hindrances(lost))
    run.allowed = run.world.settings.notify_window.total_seconds() + run.world.promised_seconds
    run.heal()
    answer = run.customer.schedule(lost)
    assert not answer.attempts, answer
    assert answer.schedule.notify_count == 0, answer
    told = [event["payment_code"] for event in run.world.events("scheduler", "notify.given_up")]
    assert told == [lost]
