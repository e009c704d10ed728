"""claim → call → record, on a real database and against a receiver without a network."""

from datetime import timedelta
from typing import NoReturn

import pytest

from core.delivery.deliver import Delivery
from core.rules.codes import BreakerState, Disposition, ResultStatus, ScheduleStatus
from core.rules.errors import Unavailable
from core.rules.outcome import DEADLINE_EXCEEDED
from paylatch.order.v1.order_notify_service_pb2 import BatchOrderNotifyRequest, BatchOrderNotifyResponse
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.logs import Log
from tests.support.outbox import LEASE, WAITS, Outbox, numbers
from tests.support.receiver import Receiver, failure, item_error, result
from tests.support.rows import OTHER_TARGET, TARGET

NOTIFYING, FAILED, SUCCESS = ScheduleStatus
CLOSED, OPEN, HALF_OPEN = BreakerState
THRESHOLD = 3


def _silent(_: object) -> NoReturn:
    raise failure("DEADLINE_EXCEEDED", "no answer in time")


def _refuse(_: object) -> NoReturn:
    raise failure("ALREADY_EXISTS", "another content")


def _one_of_each(batch: BatchOrderNotifyRequest) -> BatchOrderNotifyResponse:
    delivered, later, refused = batch.requests
    return BatchOrderNotifyResponse(
        results=[
            result(delivered),
            item_error(later, "NOT_FOUND", "ORDER_NOT_FOUND", "no such order"),
            item_error(refused, "ALREADY_EXISTS", "NOTIFY_DIFFERS", "another content"),
        ]
    )


def _statuses(outbox: Outbox) -> list[ScheduleStatus]:
    return [row.notify_status for row in outbox.rows()]


def test_a_claim_is_called_and_recorded(outbox: Outbox, delivery: Delivery, receiver: Receiver) -> None:
    outbox.add(3)
    recorded = delivery.deliver(outbox.claimed())

    assert recorded.acknowledged == 3
    assert receiver.called == [("BatchOrderNotify", ["P-1", "P-2", "P-3"])]
    assert _statuses(outbox) == [SUCCESS] * 3
    assert outbox.result().disposition == Disposition.APPLIED


def test_no_call_is_made_inside_a_transaction(outbox: Outbox, delivery: Delivery, receiver: Receiver) -> None:
    in_a_transaction: list[bool] = []
    receiver.before = lambda: in_a_transaction.append(not outbox.database.pool.is_closed())
    outbox.add()
    delivery.deliver(outbox.claimed())

    assert in_a_transaction == [False]


def test_one_bad_item_fails_none_of_its_neighbours(
    outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log
) -> None:
    receiver.batch = _one_of_each
    outbox.add(3)
    recorded = delivery.deliver(outbox.claimed())

    assert (recorded.acknowledged, recorded.retried, len(recorded.given_up)) == (1, 1, 1)
    assert _statuses(outbox) == [SUCCESS, NOTIFYING, FAILED]
    assert outbox.target().breaker_state == CLOSED


class TestWhenTheTargetIsNotReady:
    @pytest.fixture(autouse=True)
    def _away(self, receiver: Receiver) -> None:
        receiver.ready = False

    def test_nothing_is_sent_and_everything_is_given_back(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver
    ) -> None:
        outbox.add(2)
        recorded = delivery.deliver(outbox.claimed())

        assert receiver.called == []
        assert (recorded.given_back, recorded.retried) == (2, 0)
        assert [(row.notify_count, row.claim_token) for row in outbox.rows()] == [(0, None), (0, None)]
        assert outbox.ledger() == []

    def test_it_counts_for_the_breaker(self, outbox: Outbox, delivery: Delivery, log: Log) -> None:
        outbox.add()
        for failures in (1, 2):
            delivery.deliver(outbox.claimed())
            assert (outbox.target().breaker_state, outbox.target().consecutive_failures) == (CLOSED, failures)
        delivery.deliver(outbox.claimed())

        assert outbox.target().breaker_state == OPEN
        assert outbox.claim() is None
        assert [(line["target"], line["failures"]) for line in log.named("breaker.opened")] == [(TARGET, THRESHOLD)]

    def test_an_outage_of_a_day_burns_no_attempt_and_gives_nothing_up(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver
    ) -> None:
        outbox.add(5)
        for _ in range(100):
            outbox.clock.advance(timedelta(minutes=15))
            claimed = outbox.claim()
            if claimed is not None:
                delivery.deliver(claimed)
        assert [(row.notify_status, row.notify_count) for row in outbox.rows()] == [(NOTIFYING, 0)] * 5

        receiver.ready = True
        outbox.clock.advance(timedelta(seconds=5))
        while (claimed := outbox.claim()) is not None:
            delivery.deliver(claimed)
        assert [(row.notify_status, row.notify_count) for row in outbox.rows()] == [(SUCCESS, 1)] * 5


class TestWhenTheTargetIsSilent:
    @pytest.fixture(autouse=True)
    def _silent(self, receiver: Receiver) -> None:
        receiver.single = receiver.batch = _silent

    def test_the_attempt_counts_for_the_budget_and_for_the_breaker(self, outbox: Outbox, delivery: Delivery) -> None:
        outbox.add()
        delivery.deliver(outbox.claimed())

        assert (outbox.row().notify_count, outbox.row().last_code) == (1, DEADLINE_EXCEEDED)
        assert outbox.target().consecutive_failures == 1

    def test_it_costs_the_calls_before_the_breaker_opens_and_the_probes(
        self, outbox: Outbox, delivery: Delivery
    ) -> None:
        outbox.add(THRESHOLD * 100 + 50)
        for _ in range(THRESHOLD):
            delivery.deliver(outbox.claimed())
        assert outbox.claim() is None
        assert sum(row.notify_count for row in outbox.rows()) == THRESHOLD * 100

        outbox.clock.advance(timedelta(seconds=1))
        delivery.deliver(outbox.claimed())
        assert outbox.claim() is None
        assert sum(row.notify_count for row in outbox.rows()) == THRESHOLD * 100 + 1

    def test_other_targets_go_on(self, outbox: Outbox, delivery: Delivery, receiver: Receiver) -> None:
        outbox.add(THRESHOLD)
        outbox.add(1, OTHER_TARGET)
        for _ in range(THRESHOLD):
            outbox.target_failed()
        assert outbox.claim(TARGET) is None

        receiver.single = Receiver().single
        delivery.deliver(outbox.claimed(OTHER_TARGET))
        assert _statuses(outbox) == [*[NOTIFYING] * THRESHOLD, SUCCESS]


@pytest.mark.parametrize("code", ["NOT_FOUND", "INTERNAL", "ABORTED", "INVALID_ARGUMENT", "UNKNOWN"])
def test_any_other_answer_closes_the_breaker(
    outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log, code: str
) -> None:
    def answer(_: object) -> NoReturn:
        raise failure(code)

    receiver.single = answer
    outbox.add()
    outbox.target_failed(times=THRESHOLD)
    outbox.clock.advance(timedelta(seconds=1))
    delivery.deliver(outbox.claimed())

    assert outbox.target().breaker_state == CLOSED
    assert [line["target"] for line in log.named("breaker.closed")] == [TARGET]


def test_rows_there_was_no_time_left_for_are_given_back_and_say_nothing_of_the_target(
    outbox: Outbox, delivery: Delivery, receiver: Receiver
) -> None:
    outbox.add(2)
    claimed = outbox.claimed()
    outbox.clock.advance(LEASE - timedelta(seconds=10))
    recorded = delivery.deliver(claimed)

    assert receiver.called == []
    assert recorded.given_back == 2
    assert (outbox.target().breaker_state, outbox.target().consecutive_failures) == (CLOSED, 0)
    assert numbers(outbox.claim()) == [1, 2]


def test_a_claim_can_be_given_back_without_a_call(outbox: Outbox, delivery: Delivery, log: Log) -> None:
    outbox.add(2)

    assert delivery.give_back(outbox.claimed()).given_back == 2
    assert [(line["target"], line["count"]) for line in log.named("notify.given_back")] == [(TARGET, 2)]
    assert outbox.target().consecutive_failures == 0


class TestACrash:
    def test_between_call_and_record_leaves_a_lease_that_lapses_and_the_call_is_repeated(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outbox.add()
        claimed = outbox.claimed(holder="killed")
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "_record", _killed)
            with pytest.raises(KeyboardInterrupt):
                delivery.deliver(claimed)
        assert outbox.row().claim_token is not None
        assert outbox.claim() is None

        outbox.clock.advance(LEASE)
        delivery.deliver(outbox.claimed())
        assert receiver.called == [("OrderNotify", ["P-1"])] * 2
        assert outbox.row().notify_status == SUCCESS
        assert [(attempt.number, attempt.made_by) for attempt in outbox.ledger()] == [(1, "killed"), (2, "worker")]

    def test_inside_the_call_leaves_it_too(self, outbox: Outbox, delivery: Delivery, receiver: Receiver) -> None:
        receiver.before = _killed
        outbox.add()
        with pytest.raises(KeyboardInterrupt):
            delivery.deliver(outbox.claimed())
        receiver.before = lambda: None

        outbox.clock.advance(LEASE)
        delivery.deliver(outbox.claimed())
        assert (outbox.row().notify_status, outbox.row().notify_count) == (SUCCESS, 2)

    def test_of_the_database_while_recording_is_told_and_the_call_is_repeated(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver
    ) -> None:
        outbox.add()
        claimed = outbox.claimed()
        with commits(outbox.database, [LOST] * 3), pytest.raises(Unavailable):
            delivery.deliver(claimed)

        outbox.clock.advance(LEASE)
        delivery.deliver(outbox.claimed())
        assert outbox.row().notify_status == SUCCESS

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_of_the_recording_commit_leaves_one_acknowledgement(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, way: Commit
    ) -> None:
        outbox.add()
        claimed = outbox.claimed()
        with commits(outbox.database, [way]):
            delivery.deliver(claimed)

        assert len(receiver.called) == 1
        assert outbox.row().notify_status == SUCCESS
        assert outbox.result().notify_status == ResultStatus.NOTIFIED
        assert len(outbox.ledger()) == 1


def _killed(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class TestTheLog:
    def test_a_success_is_one_line_a_batch_and_one_a_row_at_debug(
        self, outbox: Outbox, delivery: Delivery, log: Log
    ) -> None:
        outbox.add(3)
        delivery.deliver(outbox.claimed())

        assert log.events("info", "warning", "error") == ["notify.delivered"]
        assert log.named("notify.delivered")[0]["count"] == 3
        assert [line["payment_code"] for line in log.named("notify.row_delivered")] == ["P-1", "P-2", "P-3"]

    def test_every_other_outcome_is_a_line_of_its_own(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log
    ) -> None:
        receiver.batch = _one_of_each
        outbox.add(3)
        delivery.deliver(outbox.claimed())
        failed = [(line["payment_code"], line["code"], line["attempt"]) for line in log.named("notify.failed")]

        assert failed == [("P-2", 5, 1), ("P-3", 6, 1)]

    def test_giving_up_is_an_alarm_that_names_the_payment_and_the_reason(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log
    ) -> None:
        receiver.single = _refuse
        outbox.add()
        delivery.deliver(outbox.claimed())

        assert log.named("notify.given_up") == [
            {
                "log_level": "error",
                "platform_id": "alipay",
                "payment_code": "P-1",
                "target": TARGET,
                "attempts": 1,
                "code": 6,
                "reason": "refused by the order side: another content",
            }
        ]

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_the_alarm_is_raised_whatever_becomes_of_the_commit(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log, way: Commit
    ) -> None:
        receiver.single = _refuse
        outbox.add()
        claimed = outbox.claimed()
        with commits(outbox.database, [way]):
            delivery.deliver(claimed)

        assert outbox.row().notify_status == FAILED
        assert log.events("error").count("notify.given_up") == (2 if way is LOST else 1)

    def test_a_stale_failure_is_counted_in_it(
        self, outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log
    ) -> None:
        receiver.single = _silent
        outbox.add()
        late = outbox.claimed()
        receiver.before = lambda: [outbox.clock.advance(LEASE), outbox.claimed(holder="quick")]
        before = delivery.deliver(late)

        assert before.stale == 1
        assert [(line["target"], line["count"]) for line in log.named("notify.stale")] == [(TARGET, 1)]
        assert outbox.row().claimed_by == "quick"


def test_a_notification_that_always_fails_ends_with_a_person_after_ten_calls(
    outbox: Outbox, delivery: Delivery, receiver: Receiver, log: Log
) -> None:
    def answer(_: object) -> NoReturn:
        raise failure("NOT_FOUND", "no such order")

    receiver.single = answer
    outbox.add()
    started = outbox.clock.now()
    while outbox.row().notify_status == NOTIFYING:
        outbox.wait_until_due()
        delivery.deliver(outbox.claimed())

    assert len(receiver.called) == 10
    assert outbox.clock.now() - started == sum(WAITS, timedelta(0)) == timedelta(hours=65, minutes=21, seconds=15)
    assert len(log.named("notify.given_up")) == 1
