"""Targets as an operator sees them, and pausing one."""

from datetime import timedelta
from typing import Any

import pytest

from core.outbox.targets import Target, TargetOperation, pause, resume, targets
from core.rules.codes import BreakerState
from core.rules.errors import NotAllowed, NotFound
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import REFUSAL, Outbox
from tests.support.rows import OTHER_TARGET, TARGET

SECOND = timedelta(seconds=1)


def _operation(target: str = TARGET, **details: Any) -> TargetOperation:
    return TargetOperation(target, **{"operator": "anna", "reason": "it moves", **details})


def _pause(outbox: Outbox, operation: TargetOperation | None = None) -> None:
    operation = operation or _operation()
    outbox.database.transact(lambda tx: pause(tx, operation, outbox.policy.targets))


def _resume(outbox: Outbox, operation: TargetOperation | None = None) -> None:
    operation = operation or _operation()
    outbox.database.transact(lambda tx: resume(tx, operation, outbox.policy.targets))


def _targets(outbox: Outbox) -> dict[str, Target]:
    return {target.notify_url: target for target in outbox.database.read(lambda tx: targets(tx, outbox.policy.targets))}


def test_backlogs_are_counted_for_each_target(outbox: Outbox, clock: TestClock) -> None:
    outbox.add()
    clock.advance(SECOND)
    outbox.add(3)
    outbox.add(1, OTHER_TARGET)
    outbox.record(outbox.claimed(), {1: REFUSAL})
    found = _targets(outbox)

    one, other = found[TARGET], found[OTHER_TARGET]
    assert (one.backlog, one.due, one.given_up) == (3, 0, 1)
    assert (other.backlog, other.due, other.given_up) == (1, 1, 0)
    assert (one.oldest, other.oldest) == (START + SECOND, START + SECOND)
    clock.advance(timedelta(seconds=30))
    assert _targets(outbox)[TARGET].due == 3


def test_what_a_person_has_closed_is_not_counted(outbox: Outbox) -> None:
    outbox.add()
    outbox.record(outbox.claimed(), REFUSAL)
    outbox.set(handled_time=outbox.clock.now(), handled_by="anna", handled_reason="seen")
    assert _targets(outbox)[TARGET].given_up == 0


def test_a_target_of_the_allow_list_is_there_before_anything_was_sent_and_one_off_it_afterwards(outbox: Outbox) -> None:
    outbox.set_target("grpc://127.0.0.1:50099", breaker_state=BreakerState.CLOSED)
    found = _targets(outbox)

    assert list(found) == sorted([TARGET, OTHER_TARGET, "grpc://127.0.0.1:50099"])
    assert [target.is_allowed for target in found.values()] == [True, True, False]
    assert found[TARGET].breaker_state is BreakerState.CLOSED


def test_nothing_of_a_paused_target_is_claimed_until_it_is_resumed(outbox: Outbox, clock: TestClock) -> None:
    outbox.add()
    _pause(outbox)
    assert outbox.claim() is None
    row = outbox.target()
    assert (row.paused_time, row.paused_by, row.paused_reason) == (clock.now(), "anna", "it moves")

    _resume(outbox)
    assert outbox.claim() is not None
    actions = [(entry.action, entry.notify_url, entry.platform_id, entry.reason) for entry in outbox.audit()]
    assert actions == [("pause_target", TARGET, None, "it moves"), ("resume_target", TARGET, None, "it moves")]


def test_new_rows_of_a_paused_target_are_not_born_claimed(outbox: Outbox) -> None:
    _pause(outbox)
    assert outbox._add(1, TARGET, outbox.lease("server"))[1] == []


def test_a_second_pause_keeps_the_first_reason(outbox: Outbox) -> None:
    _pause(outbox)
    with pytest.raises(NotAllowed) as refused:
        _pause(outbox, _operation(operator="ben"))

    assert refused.value.reason == "TARGET_PAUSED"
    assert "anna: it moves" in refused.value.message
    assert len(outbox.audit()) == 1


def test_what_is_not_paused_cannot_be_resumed(outbox: Outbox) -> None:
    with pytest.raises(NotAllowed) as refused:
        _resume(outbox)
    assert refused.value.reason == "TARGET_NOT_PAUSED"
    assert outbox.audit() == []


def test_a_target_nobody_knows_is_not_found(outbox: Outbox) -> None:
    with pytest.raises(NotFound):
        _pause(outbox, _operation("grpc://127.0.0.1:50099"))
    assert outbox.audit() == []


@pytest.mark.parametrize("way", [LOST, DURABLE])
def test_a_commit_that_raised_has_paused_and_resumed_once(outbox: Outbox, way: Commit) -> None:
    with commits(outbox.database, [way]):
        _pause(outbox)
    assert outbox.target().paused_by == "anna"
    with commits(outbox.database, [way]):
        _resume(outbox)
    assert outbox.target().paused_by is None
    assert [entry.action for entry in outbox.audit()] == ["pause_target", "resume_target"]
