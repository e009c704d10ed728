"""How many calls a claim takes, and what is read from their answers (SPEC 5, 7)."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import grpc
import pytest

from core.delivery.call import Answers, OrderNotifyCaller
from core.outbox.lease import Claim, ClaimedRow, Lease
from core.rules import outcome
from core.rules.codes import Disposition
from core.rules.errors import MALFORMED_REQUEST
from core.rules.outcome import BREAKER_CODES, REFUSALS, Delivered, Refused, TryAgain
from paylatch.order.v1.order_notify_service_pb2 import (
    BatchOrderNotifyRequest,
    BatchOrderNotifyResponse,
    BatchOrderNotifyResult,
    OrderNotifyRequest,
    OrderNotifyResponse,
)
from tests.support.clock import START, TestClock
from tests.support.receiver import Receiver, answer_all, applied, failure, item_error, result
from tests.support.rows import OTHER_TARGET, TARGET

DEADLINE = timedelta(seconds=10)
LEASE = timedelta(seconds=30)
DELIVERED = Delivered(Disposition.APPLIED)
EVERY_FAILURE = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
EVERY_FAILURE_OF_A_BATCH = [code for code in EVERY_FAILURE if code is not grpc.StatusCode.UNIMPLEMENTED]

Calling = Callable[..., Answers]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def caller(receiver: Receiver, clock: TestClock) -> OrderNotifyCaller:
    return OrderNotifyCaller(receiver, timedelta(seconds=2), DEADLINE, clock)


@pytest.fixture
def call(caller: OrderNotifyCaller, clock: TestClock) -> Calling:
    """Call with so many rows under one new lease."""

    def call_with(count: int, target: str = TARGET) -> Answers:
        lease = Lease.take("worker", LEASE, clock)
        return caller.call(Claim(target, tuple(_row(number, lease) for number in range(1, count + 1))))

    return call_with


def _row(number: int, lease: Lease) -> ClaimedRow:
    request = OrderNotifyRequest(platform_id="alipay", payment_code=f"P-{number}", order_no=f"O-{number}")
    return ClaimedRow(
        lease=lease,
        schedule_id=number,
        payment_id=number,
        platform_id="alipay",
        payment_code=f"P-{number}",
        content=request.SerializeToString(),
        attempt=1,
        create_time=START,
        claim_time=START,
    )


def _fails(
    code: str, message: str = "no", retry_after: timedelta | None = None
) -> Callable[[object], OrderNotifyResponse]:
    def fail(_: object) -> OrderNotifyResponse:
        raise failure(code, message, retry_after=retry_after)

    return fail


def _batch_fails(code: str, retry_after: timedelta | None = None) -> Callable[[object], BatchOrderNotifyResponse]:
    def fail(_: object) -> BatchOrderNotifyResponse:
        raise failure(code, retry_after=retry_after)

    return fail


def _answers(
    *items: Callable[[Sequence[OrderNotifyRequest]], BatchOrderNotifyResult],
) -> Callable[[BatchOrderNotifyRequest], BatchOrderNotifyResponse]:
    return lambda batch: BatchOrderNotifyResponse(results=[item(batch.requests) for item in items])


def test_many_rows_are_one_call(call: Calling, receiver: Receiver) -> None:
    answers = call(3)

    assert receiver.called == [("BatchOrderNotify", ["P-1", "P-2", "P-3"])]
    assert answers == Answers({1: DELIVERED, 2: DELIVERED, 3: DELIVERED})


def test_one_row_is_one_plain_call(call: Calling, receiver: Receiver) -> None:
    assert call(1) == Answers({1: DELIVERED})
    assert receiver.called == [("OrderNotify", ["P-1"])]


def test_no_row_is_no_call(call: Calling, receiver: Receiver) -> None:
    assert call(0) == Answers()
    assert receiver.called == []


@pytest.mark.parametrize("count", [1, 2])
def test_every_call_has_the_deadline(call: Calling, receiver: Receiver, count: int) -> None:
    call(count)

    assert receiver.timeouts == [10.0]


def test_readiness_is_awaited_within_the_connect_bound(caller: OrderNotifyCaller, receiver: Receiver) -> None:
    assert caller.is_ready(TARGET)
    receiver.ready = False
    assert not caller.is_ready(OTHER_TARGET)
    assert receiver.waited == [(TARGET, 2.0), (OTHER_TARGET, 2.0)]
    assert receiver.called == []


class TestReadingABatch:
    def test_results_are_matched_by_key_in_any_order(self, call: Calling, receiver: Receiver) -> None:
        receiver.batch = _answers(
            lambda requests: result(requests[2], applied(Disposition.IGNORED)),
            lambda requests: item_error(requests[0], "NOT_FOUND", "ORDER_NOT_FOUND", "no such order"),
            lambda requests: result(requests[1], applied(Disposition.DUPLICATE_PAYMENT)),
        )

        assert call(3).outcomes == {
            1: TryAgain(5, "ORDER_NOT_FOUND: no such order"),
            2: Delivered(Disposition.DUPLICATE_PAYMENT),
            3: Delivered(Disposition.IGNORED),
        }

    def test_a_missing_result_is_unknown(self, call: Calling, receiver: Receiver) -> None:
        receiver.batch = _answers(lambda requests: result(requests[1]))

        outcomes = call(2).outcomes
        assert outcomes[1] == TryAgain(outcome.UNKNOWN, "the answer of the batch has no result for this notification")
        assert outcomes[2] == DELIVERED

    def test_a_result_nobody_asked_for_is_no_ones(self, call: Calling, receiver: Receiver) -> None:
        stranger = OrderNotifyRequest(platform_id="alipay", payment_code="P-99")
        receiver.batch = _answers(
            lambda _: result(stranger), lambda requests: result(requests[0]), lambda requests: result(requests[1])
        )

        assert call(2).outcomes == {1: DELIVERED, 2: DELIVERED}

    def test_the_same_code_on_another_platform_is_another_key(self, call: Calling, receiver: Receiver) -> None:
        receiver.batch = _answers(
            lambda requests: BatchOrderNotifyResult(
                platform_id="wechatpay", payment_code=requests[0].payment_code, response=applied()
            ),
            lambda requests: result(requests[1]),
        )

        assert isinstance(call(2).outcomes[1], TryAgain)

    @pytest.mark.parametrize("disposition", Disposition)
    def test_every_known_disposition_acknowledges(
        self, call: Calling, receiver: Receiver, disposition: Disposition
    ) -> None:
        receiver.batch = lambda batch: BatchOrderNotifyResponse(
            results=[result(request, applied(disposition)) for request in batch.requests]
        )

        assert call(2).outcomes == {1: Delivered(disposition), 2: Delivered(disposition)}

    @pytest.mark.parametrize("count", [1, 2])
    @pytest.mark.parametrize("disposition", [0, 6, 99])
    def test_an_unknown_disposition_does_not(
        self, call: Calling, receiver: Receiver, disposition: int, count: int
    ) -> None:
        receiver.single = lambda _: applied(disposition)
        receiver.batch = lambda batch: BatchOrderNotifyResponse(
            results=[result(request, applied(disposition)) for request in batch.requests]
        )

        told = TryAgain(outcome.UNKNOWN, f"the answer has an unknown disposition: {disposition}")
        assert call(count).outcomes == dict.fromkeys(range(1, count + 1), told)

    @pytest.mark.parametrize("code", EVERY_FAILURE, ids=lambda code: code.name)
    def test_an_items_own_error_is_its_own_and_never_the_targets(
        self, call: Calling, receiver: Receiver, code: grpc.StatusCode
    ) -> None:
        receiver.batch = _answers(
            lambda requests: item_error(requests[0], code.name), lambda requests: result(requests[1])
        )
        answers = call(2)

        kind = Refused if code.value[0] in REFUSALS else TryAgain
        assert answers.outcomes == {1: kind(code.value[0], "no"), 2: DELIVERED}
        assert not answers.target_failed

    def test_a_result_with_neither_answer_nor_error_is_unknown(self, call: Calling, receiver: Receiver) -> None:
        receiver.batch = lambda batch: BatchOrderNotifyResponse(
            results=[
                BatchOrderNotifyResult(platform_id=item.platform_id, payment_code=item.payment_code)
                for item in batch.requests
            ]
        )

        assert call(2).outcomes == dict.fromkeys((1, 2), TryAgain(outcome.UNKNOWN, "no details"))


class TestACallThatFails:
    @pytest.mark.parametrize("code", EVERY_FAILURE_OF_A_BATCH, ids=lambda code: code.name)
    def test_as_a_batch_gives_up_no_row_and_comes_again_in_halves(
        self, call: Calling, receiver: Receiver, code: grpc.StatusCode
    ) -> None:
        receiver.batch = _batch_fails(code.name)
        answers = call(5)

        assert answers.outcomes == dict.fromkeys(range(1, 6), TryAgain(code.value[0], "no", batch_limit=2))
        assert answers.target_failed == (code.value[0] in BREAKER_CODES)
        assert len(receiver.called) == 1

    @pytest.mark.parametrize("code", EVERY_FAILURE, ids=lambda code: code.name)
    def test_with_one_row_is_that_rows_own(self, call: Calling, receiver: Receiver, code: grpc.StatusCode) -> None:
        receiver.single = _fails(code.name)
        answers = call(1)

        kind = Refused if code.value[0] in REFUSALS else TryAgain
        assert answers.outcomes == {1: kind(code.value[0], "no")}
        assert answers.target_failed == (code.value[0] in BREAKER_CODES)

    @pytest.mark.parametrize("count", [1, 2])
    def test_tells_how_long_the_receiver_asked_to_wait(self, call: Calling, receiver: Receiver, count: int) -> None:
        wait = timedelta(minutes=7)
        receiver.single = _fails("RESOURCE_EXHAUSTED", retry_after=wait)
        receiver.batch = _batch_fails("RESOURCE_EXHAUSTED", retry_after=wait)

        told = call(count).outcomes[1]
        assert isinstance(told, TryAgain)
        assert told.wait == wait

    def test_tells_reason_and_words(self, call: Calling, receiver: Receiver) -> None:
        def fail(_: object) -> OrderNotifyResponse:
            raise failure("NOT_FOUND", "no such order", reason="ORDER_NOT_FOUND")

        receiver.single = fail
        assert call(1).outcomes == {1: TryAgain(5, "ORDER_NOT_FOUND: no such order")}

    def test_because_it_was_damaged_on_its_way_is_made_again(self, call: Calling, receiver: Receiver) -> None:
        def fail(_: object) -> OrderNotifyResponse:
            raise failure("INVALID_ARGUMENT", reason=MALFORMED_REQUEST)

        receiver.single = fail
        assert call(1).outcomes == {1: TryAgain(outcome.INVALID_ARGUMENT, "MALFORMED_REQUEST: no")}

    def test_without_words_says_so(self, call: Calling, receiver: Receiver) -> None:
        receiver.single = _fails("UNAVAILABLE", "")

        assert call(1).outcomes == {1: TryAgain(outcome.UNAVAILABLE, "no details")}


class TestAReceiverWithoutBatches:
    @pytest.fixture(autouse=True)
    def _without_batches(self, receiver: Receiver) -> None:
        receiver.batch = _batch_fails("UNIMPLEMENTED")

    def test_is_served_one_by_one(self, call: Calling, receiver: Receiver) -> None:
        assert call(2) == Answers({1: DELIVERED, 2: DELIVERED})
        assert [method for method, _ in receiver.called] == ["BatchOrderNotify", "OrderNotify", "OrderNotify"]

    def test_is_not_asked_for_a_batch_again(self, call: Calling, receiver: Receiver) -> None:
        call(2)
        receiver.called.clear()
        call(3)

        assert receiver.called == [("OrderNotify", [f"P-{number}"]) for number in (1, 2, 3)]

    def test_does_not_keep_others_from_batches(self, call: Calling, receiver: Receiver) -> None:
        call(2)
        receiver.called.clear()
        receiver.batch = answer_all
        call(2, target=OTHER_TARGET)

        assert receiver.called == [("BatchOrderNotify", ["P-1", "P-2"])]

    def test_answers_each_row_for_itself(self, call: Calling, receiver: Receiver) -> None:
        def answer(request: OrderNotifyRequest) -> OrderNotifyResponse:
            if request.payment_code == "P-2":
                raise failure("ALREADY_EXISTS")
            return applied()

        receiver.single = answer
        assert call(3).outcomes == {1: DELIVERED, 2: Refused(outcome.ALREADY_EXISTS, "no"), 3: DELIVERED}

    @pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
    def test_that_is_in_trouble_is_left_alone_with_the_rest(self, call: Calling, receiver: Receiver, code: str) -> None:
        receiver.single = _fails(code)
        answers = call(5)

        assert list(answers.outcomes) == [1]
        assert answers.target_failed
        assert len(receiver.called) == 2

    def test_that_takes_its_time_is_not_called_on_a_lease_that_is_too_short(
        self, call: Calling, receiver: Receiver, clock: TestClock
    ) -> None:
        receiver.before = lambda: clock.advance(timedelta(seconds=7))
        answers = call(5)

        assert list(answers.outcomes) == [1, 2]
        assert not answers.target_failed


class TestTheLease:
    @pytest.mark.parametrize("count", [1, 2])
    @pytest.mark.parametrize("left", [DEADLINE, timedelta(0), timedelta(seconds=-5)])
    def test_no_call_begins_when_no_more_is_left_than_the_call_may_take(
        self, caller: OrderNotifyCaller, receiver: Receiver, clock: TestClock, left: timedelta, count: int
    ) -> None:
        lease = Lease.take("worker", LEASE, clock)
        clock.advance(LEASE - left)

        assert caller.call(Claim(TARGET, tuple(_row(number, lease) for number in range(count)))) == Answers()
        assert receiver.called == []

    def test_a_call_begins_when_just_enough_is_left(
        self, caller: OrderNotifyCaller, receiver: Receiver, clock: TestClock
    ) -> None:
        lease = Lease.take("worker", LEASE, clock)
        clock.advance(LEASE - DEADLINE - timedelta(milliseconds=1))

        assert caller.call(Claim(TARGET, (_row(1, lease),))).outcomes == {1: DELIVERED}

    def test_rows_of_an_older_lease_are_left_out_and_the_others_called(
        self, caller: OrderNotifyCaller, receiver: Receiver, clock: TestClock
    ) -> None:
        old = Lease.take("worker", LEASE, clock)
        clock.advance(LEASE - DEADLINE)
        new = Lease.take("worker", LEASE, clock)

        answers = caller.call(Claim(TARGET, (_row(1, old), _row(2, new), _row(3, new))))
        assert list(answers.outcomes) == [2, 3]
        assert receiver.called == [("BatchOrderNotify", ["P-2", "P-3"])]
