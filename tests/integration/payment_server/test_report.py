"""ReportPaymentResult's one transaction: payment, result and schedule, all three or none (SPEC 4, step 4)."""

import threading
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from core.outbox.insert import Notification
from core.outbox.tables import NotifySchedule, PaymentResult
from core.rules.codes import PaymentStatus, ResultStatus, ScheduleStatus
from core.rules.errors import InvalidInput, NotAllowed, NotFound, Unavailable
from core.store.database import Database
from core.store.transaction import LostRace, Transaction
from paylatch.order.v1 import order_enums_pb2
from paylatch.order.v1.order_notify_service_pb2 import OrderNotifyRequest
from payment_server.notification import notification_of
from payment_server.report import Answer, OutcomeConflict
from payment_server.tables import Payment
from payment_server.views import PaymentView
from tests.support.clock import START, TestClock
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.outbox import LEASE, numbers
from tests.support.payments import Payments, payments_on, report
from tests.support.rows import OTHER_TARGET

WAITING, SUCCESS, FAILED = PaymentStatus


@pytest.fixture
def payments(payment_database: Database, clock: TestClock) -> Payments:
    """Without room for first attempts: every row is left to the scheduler."""
    return Payments(payment_database, clock, capacity=0)


def _paid(answer: Answer) -> PaymentView:
    assert isinstance(answer, PaymentView), answer
    return answer


class TestTheTriple:
    @pytest.mark.parametrize("status", [SUCCESS, FAILED])
    def test_a_report_writes_payment_result_and_schedule(self, payments: Payments, status: PaymentStatus) -> None:
        payments.create(1)
        view = _paid(*payments.report(1, status=status, trade_no="T-1", failure_reason="" if status else "no"))

        assert payments.triples() == (1, 1, 1)
        assert (view.payment.status, view.payment.trade_no, view.payment.settle_time) == (status, "T-1", START)
        assert view.payment == payments.payment()
        assert view.notify_status == payments.result().notify_status == ResultStatus.UNNOTIFIED
        assert payments.row().notify_status == ScheduleStatus.NOTIFYING

    @pytest.mark.parametrize("writes", [1, 2, 3])
    def test_killed_after_any_of_the_three_writes_none_of_them_is_there(
        self, payments: Payments, monkeypatch: pytest.MonkeyPatch, writes: int
    ) -> None:
        payments.create(1)
        with monkeypatch.context() as patch:
            _kill_after(patch, writes)
            with pytest.raises(KeyboardInterrupt):
                payments.report(1)
        assert payments.triples() == (0, 0, 0)
        assert payments.payment().status == WAITING

        _paid(*payments.report(1))
        assert payments.triples() == (1, 1, 1)

    @pytest.mark.parametrize("way", [LOST, DURABLE])
    def test_a_commit_that_raised_leaves_all_three_once(self, payments: Payments, way: Commit) -> None:
        payments.create(1, 2)
        with commits(payments.database, [way]):
            answers = payments.report(1, 2)

        assert [_paid(answer).payment.status for answer in answers] == [SUCCESS, SUCCESS]
        assert payments.triples() == (2, 2, 2)

    @pytest.mark.parametrize(("way", "there"), [(LOST, 0), (DURABLE, 1)])
    def test_a_result_that_stays_unknown_is_an_error_that_the_same_report_again_decides(
        self, payments: Payments, way: Commit, there: int
    ) -> None:
        payments.create(1)
        with commits(payments.database, [way] * 3):
            (answer,) = payments.report(1)

        assert isinstance(answer, Unavailable)
        assert answer.reason == "RESULT_UNKNOWN"
        assert payments.triples() == (there, there, there)
        _paid(*payments.report(1))
        assert payments.triples() == (1, 1, 1)

    def test_the_notification_says_what_was_paid(self, payments: Payments) -> None:
        payments.create(1, notify_url=OTHER_TARGET)
        settle_time = START - timedelta(minutes=5, microseconds=1)
        payments.report(1, trade_no="T-1", settle_time=settle_time)
        row = payments.row()
        request = OrderNotifyRequest.FromString(bytes(row.notify_content))

        assert (request.platform_id, request.payment_code, request.order_no) == ("alipay", "P-1", "O-1")
        assert (request.amount_minor, request.currency_code) == (1_234, "USD")
        assert (request.outcome, request.trade_no) == (order_enums_pb2.PAYMENT_OUTCOME_SUCCESS, "T-1")
        assert request.settle_time.ToDatetime(settle_time.tzinfo) == settle_time
        assert (row.notify_url, row.order_no) == (OTHER_TARGET, "O-1")

    def test_the_notification_of_a_failure_says_so(self, payments: Payments) -> None:
        payments.create(1)
        payments.report(1, status=FAILED, failure_reason="card declined")
        request = OrderNotifyRequest.FromString(bytes(payments.row().notify_content))

        assert request.outcome == order_enums_pb2.PAYMENT_OUTCOME_FAILED
        assert not request.HasField("trade_no")
        assert payments.payment().failure_reason == "card declined"


class TestTheSameAgain:
    @pytest.mark.parametrize("status", [SUCCESS, FAILED])
    def test_a_second_identical_report_changes_nothing(self, payments: Payments, status: PaymentStatus) -> None:
        payments.create(1)
        payments.report(1, status=status, trade_no="T-1")
        before = payments.payment(), payments.result(), payments.row()
        payments.clock.advance(timedelta(days=1))
        view = _paid(*payments.report(1, status=status, trade_no="T-1"))

        assert (payments.payment(), payments.result(), payments.row()) == before
        assert view.payment == before[0]
        assert payments.log.named("payment.trade_no_differs") == []

    def test_another_trade_no_is_logged_and_the_first_kept(self, payments: Payments) -> None:
        payments.create(1)
        payments.report(1, trade_no="T-1")
        payments.report(1, trade_no="T-2")

        (line,) = payments.log.named("payment.trade_no_differs")
        assert (line["kept"], line["reported"]) == ("T-1", "T-2")
        assert payments.payment().trade_no == "T-1"

    def test_a_report_without_a_trade_no_does_not_differ(self, payments: Payments) -> None:
        payments.create(1)
        payments.report(1, trade_no="T-1")
        payments.report(1)

        assert payments.log.named("payment.trade_no_differs") == []

    def test_it_is_answered_with_what_the_order_side_did_by_then(self, payments: Payments) -> None:
        payments.settle(1)
        payments.delivery.deliver(payments.claimed())
        view = _paid(*payments.report(1))

        assert view.notify_status == ResultStatus.NOTIFIED
        assert view.disposition is not None


class TestTheOppositeOutcome:
    @pytest.mark.parametrize(("first", "second"), [(SUCCESS, FAILED), (FAILED, SUCCESS)])
    def test_is_refused_but_written_down_and_alarmed(
        self, payments: Payments, first: PaymentStatus, second: PaymentStatus
    ) -> None:
        payments.settle(1, status=first)
        schedule = payments.row()
        payments.clock.advance(timedelta(minutes=1))
        (answer,) = payments.report(1, status=second, trade_no="T-2")
        payment = payments.payment()

        assert isinstance(answer, NotAllowed)
        assert (answer.reason, answer.metadata["current_status"]) == ("OUTCOME_CONFLICT", first.name)
        assert (payment.status, payment.settle_time) == (first, START)
        assert (payment.conflict_status, payment.conflict_trade_no) == (second, "T-2")
        assert payment.conflict_time == START + timedelta(minutes=1)
        assert [line["log_level"] for line in payments.log.named("payment.conflict")] == ["error"]
        assert payments.row() == schedule

    def test_reported_again_is_refused_and_alarmed_again_and_the_first_conflict_is_kept(
        self, payments: Payments
    ) -> None:
        payments.settle(1)
        payments.report(1, status=FAILED, trade_no="T-2")
        payments.clock.advance(timedelta(days=1))
        (answer,) = payments.report(1, status=FAILED, trade_no="T-3")

        assert isinstance(answer, OutcomeConflict)
        assert (payments.payment().conflict_trade_no, payments.payment().conflict_time) == ("T-2", START)
        assert len(payments.log.named("payment.conflict")) == 2

    def test_is_written_down_whatever_becomes_of_the_first_commit(self, payments: Payments) -> None:
        payments.settle(1)
        with commits(payments.database, [Commit.WORKS, LOST]):
            payments.report(1, status=FAILED)

        assert payments.payment().conflict_status == FAILED

    def test_is_not_answered_as_refused_when_it_can_not_be_written_down(self, payments: Payments) -> None:
        payments.settle(1)
        with commits(payments.database, [Commit.WORKS, LOST, LOST, LOST]):
            (answer,) = payments.report(1, status=FAILED)

        assert isinstance(answer, Unavailable)
        assert payments.payment().conflict_status is None
        payments.report(1, status=FAILED)
        assert payments.payment().conflict_status == FAILED

    def test_success_and_failure_at_once_settle_one_way(self, payments: Payments) -> None:
        payments.create(1)
        barrier = threading.Barrier(8)
        answers: list[Answer] = []

        def tell(status: PaymentStatus) -> None:
            barrier.wait()
            answers.extend(payments.report(1, status=status))

        threads = [threading.Thread(target=tell, args=(status,)) for status in [SUCCESS, FAILED] * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert payments.triples() == (1, 1, 1)
        assert sum(isinstance(answer, PaymentView) for answer in answers) == 4
        assert sum(isinstance(answer, OutcomeConflict) for answer in answers) == 4
        assert payments.payment().conflict_status is not None


class TestWhatWasReallyPaid:
    @pytest.mark.parametrize(
        ("told", "fields"),
        [
            ({"amount_minor": 1_235}, ["amount_minor"]),
            ({"currency_code": "EUR"}, ["currency_code"]),
            ({"amount_minor": 1, "currency_code": "EUR"}, ["amount_minor", "currency_code"]),
        ],
    )
    def test_another_amount_is_refused_and_settles_nothing(
        self, payments: Payments, told: dict[str, Any], fields: list[str]
    ) -> None:
        payments.create(1)
        (answer,) = payments.report(1, **told)

        assert isinstance(answer, InvalidInput)
        assert [violation.field for violation in answer.violations] == fields
        assert payments.triples() == (0, 0, 0)

    def test_the_payments_own_amount_is_taken(self, payments: Payments) -> None:
        payments.create(1)

        _paid(*payments.report(1, amount_minor=1_234, currency_code="USD"))


class TestABatch:
    def test_answers_each_report_on_its_own_and_in_order(self, payments: Payments) -> None:
        payments.create(1, 2, 3)
        payments.report(2, status=FAILED)
        answers = payments.report_results(
            [report(3), report(9), report(2), report(1, amount_minor=5), report(1), report(3)]
        )

        assert [type(answer) for answer in answers] == [
            PaymentView,
            NotFound,
            OutcomeConflict,
            InvalidInput,
            PaymentView,
            PaymentView,
        ]
        assert payments.triples() == (3, 3, 3)

    def test_takes_reports_of_one_payment_in_their_order(self, payments: Payments) -> None:
        payments.create(1)
        first, same, opposite = payments.report_results(
            [report(1, FAILED, trade_no="T-1"), report(1, FAILED, trade_no="T-1"), report(1, SUCCESS, trade_no="T-2")]
        )

        assert _paid(first) == _paid(same)
        assert isinstance(opposite, OutcomeConflict)
        assert (payments.payment().status, payments.payment().conflict_status) == (FAILED, SUCCESS)
        assert payments.triples() == (1, 1, 1)

    def test_of_nothing_is_nothing(self, payments: Payments) -> None:
        assert payments.report_results([]) == []

    def test_is_one_transaction(self, payments: Payments) -> None:
        payments.create(*range(1, 51))
        with commits(payments.database, [Commit.WORKS] * 50) as still_to_come:
            payments.report(*range(1, 51))
        assert len(still_to_come) == 49

    def test_that_crashes_is_run_again_one_by_one_and_only_the_poison_is_told(
        self, payments: Payments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payments.create(1, 2, 3)
        _poison(monkeypatch, "P-2")
        first, poison, third = payments.report(1, 2, 3)

        assert [_paid(first).payment.status, _paid(third).payment.status] == [SUCCESS, SUCCESS]
        assert isinstance(poison, ArithmeticError)
        assert payments.triples() == (2, 2, 2)
        assert [line["count"] for line in payments.log.named("payment.group_failed")] == [3]

    def test_that_lost_every_race_is_run_again_one_by_one(
        self, payments: Payments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payments.create(1, 2)
        compare_and_set = Transaction.compare_and_set

        def lose_as_a_group(tx: Transaction, status: Any, move: Any, rows: Any, **how: Any) -> None:
            if len(rows) > 1:
                raise LostRace("others were faster")
            compare_and_set(tx, status, move, rows, **how)

        monkeypatch.setattr(Transaction, "compare_and_set", lose_as_a_group)
        assert all(isinstance(answer, PaymentView) for answer in payments.report(1, 2))
        assert payments.triples() == (2, 2, 2)

    def test_whose_database_is_away_is_told_so_once_for_all(self, payments: Payments) -> None:
        payments.create(1, 2)
        with commits(payments.database, [LOST] * 3) as still_to_come:
            answers = payments.report(1, 2)

        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert still_to_come == []
        assert payments.triples() == (0, 0, 0)


class TestTheFirstAttempt:
    def test_a_row_is_born_claimed_by_its_server_and_delivered_by_it(
        self, payment_database: Database, clock: TestClock
    ) -> None:
        with payments_on(payment_database, clock) as payments:
            payments.settle(1)
            payments.finish_first_attempts()

            assert payments.row().notify_status == ScheduleStatus.SUCCESS
            assert [attempt.made_by for attempt in payments.ledger()] == ["payment-server@a"]
            assert payments.result().notify_status == ResultStatus.NOTIFIED

    def test_never_delays_the_answer(self, payment_database: Database, clock: TestClock) -> None:
        with payments_on(payment_database, clock) as payments:
            may_end = threading.Event()
            payments.receiver.before = lambda: may_end.wait(10)
            payments.settle(1)

            assert payments.payment().status == SUCCESS
            assert payments.claim() is None, "the scheduler does not race it"
            may_end.set()

    def test_a_row_without_room_is_due_at_once(self, payments: Payments) -> None:
        payments.settle(1)

        assert (payments.row().claim_token, payments.row().next_notify_time) == (None, START)
        assert numbers(payments.claim()) == [1]

    def test_a_server_that_dies_leaves_its_row_to_the_scheduler_after_the_lease(
        self, payment_database: Database, clock: TestClock
    ) -> None:
        with payments_on(payment_database, clock) as payments:
            payments.receiver.before = _kill
            payments.settle(1)
            payments.finish_first_attempts()
            assert payments.claim() is None

            clock.advance(LEASE)
            assert numbers(payments.claim()) == [1]
            assert [attempt.made_by for attempt in payments.ledger()] == ["payment-server@a"]

    def test_a_report_whose_commit_was_unknown_leaves_its_row_to_the_scheduler_after_the_lease(
        self, payment_database: Database, clock: TestClock
    ) -> None:
        with payments_on(payment_database, clock) as payments:
            payments.create(1)
            with commits(payment_database, [DURABLE]):
                payments.report(1)
            payments.finish_first_attempts()
            assert payments.receiver.called == []

            clock.advance(LEASE)
            payments.delivery.deliver(payments.claimed())
            assert payments.row().notify_status == ScheduleStatus.SUCCESS


def _kill() -> NoReturn:
    raise RuntimeError("killed inside its call")


def _kill_after(patch: pytest.MonkeyPatch, writes: int) -> None:
    """The process is killed after so many of the transaction's three writes."""
    written = set()
    insert, compare_and_set = Transaction.insert, Transaction.compare_and_set

    def note(table: object) -> None:
        if table in {Payment, PaymentResult, NotifySchedule}:
            written.add(table)
            if len(written) == writes:
                raise KeyboardInterrupt

    def insert_and_note(tx: Transaction, model: Any, rows: Any) -> None:
        insert(tx, model, rows)
        note(model)

    def set_and_note(tx: Transaction, status: Any, move: Any, rows: Any, **how: Any) -> None:
        compare_and_set(tx, status, move, rows, **how)
        note(status.model)

    patch.setattr(Transaction, "insert", insert_and_note)
    patch.setattr(Transaction, "compare_and_set", set_and_note)


def _poison(patch: pytest.MonkeyPatch, payment_code: str) -> None:
    """The notification of this payment can not be made."""

    def make(payment: Any, **how: Any) -> Notification:
        if payment.payment_code == payment_code:
            raise ArithmeticError("a poison payment")
        return notification_of(payment, **how)

    patch.setattr("payment_server.report.notification_of", make)
