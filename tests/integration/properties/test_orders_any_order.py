"""Whatever happens to orders, in whatever order and how often: they end as SPEC 5 says, and money adds up."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from core.rpc.status import reason_of
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1 import order_service_pb2 as pb
from paylatch.order.v1.order_notify_service_pb2 import OrderNotifyRequest, OrderNotifyResponse
from paylatch.order.v1.order_payment_pb2 import OrderPaymentNotify
from tests.integration.order_server.order_side import (
    ACT,
    APPLIED,
    DECISION,
    FAILED,
    NEW_FAILED,
    NEW_UNPAID,
    PAID_PAID,
    SUCCESS,
    VOUCHER,
    OrderSide,
    StartOrderSide,
    item,
    notification,
)
from tests.integration.properties.order_model import EXCEPTIONS, Order, OrderModel, Reply, Told

ORDERS = ("O-0", "O-1", "O-2")
# Mostly one thing for each code, so that the same is told again and again.
USUAL = [
    Told(f"P-{number}", order_no, outcome, amount, currency)
    for number, (order_no, (outcome, amount, currency)) in enumerate(
        itertools.product(
            ORDERS,
            [
                (SUCCESS, 1_000, "USD"),
                (SUCCESS, 1_000, "USD"),
                (FAILED, 1_000, "USD"),
                (FAILED, 1_000, "USD"),
                (SUCCESS, 999, "USD"),
                (SUCCESS, 1_000, "EUR"),
            ],
        )
    )
]
CODES = st.sampled_from([told.code for told in USUAL])
ORDER_NOS = st.sampled_from(ORDERS)
UNUSUAL = st.builds(
    Told,
    CODES,
    st.one_of(ORDER_NOS, st.just("O-9")),
    st.sampled_from([SUCCESS, FAILED]),
    st.sampled_from([1_000, 999]),
    st.sampled_from(["USD", "EUR"]),
)
TOLD = st.one_of(st.sampled_from(USUAL), st.sampled_from(USUAL), UNUSUAL)
NEW_ORDERS = st.builds(Order, st.just(1_000), st.just("USD"), goods=st.integers(0, 3), vouchers=st.integers(0, 2))
RESOLUTIONS = st.sampled_from([enums.EXCEPTION_RESOLUTION_RETURNED, enums.EXCEPTION_RESOLUTION_ACCEPTED])
ACTS = st.sampled_from(["StartPayment", "ProcessOrder", "CompleteOrder", "CancelOrder"])


class Shop:
    """An order side whose orders, payments and skus are an example's own: `tag` stands before every name."""

    def __init__(self, side: OrderSide, tag: str) -> None:
        self.side = side
        self.tag = tag
        self.book = self.name("book")

    def name(self, name: str) -> str:
        return f"{self.tag}.{name}"

    def create(self, order_no: str, order: Order) -> None:
        lines = [item(self.book, order.goods)] if order.goods else []
        gifts = [item(self.name("gift"), order.vouchers, VOUCHER)] if order.vouchers else []
        self.side.create(self.name(order_no), *lines, *gifts, amount=order.amount)

    def message(self, told: Told) -> OrderNotifyRequest:
        code, order_no, outcome, amount, currency = told
        return notification(self.name(code), self.name(order_no), outcome, amount, currency)

    def notify(self, told: Told) -> Reply | str:
        answer: Reply | str = reason_or(lambda: _reply(self.side.notifies.OrderNotify(self.message(told))))
        return answer

    def batch(self, batch: Sequence[Told]) -> list[Reply | str]:
        results = self.side.batch(*map(self.message, batch))
        assert [result.payment_code for result in results] == [self.name(told.code) for told in batch]
        return [
            _reply(result.response) if result.HasField("response") else str(result.error.reason) for result in results
        ]

    def taken_down(self, order_no: str) -> Sequence[OrderPaymentNotify]:
        request = pb.ListOrderPaymentNotifiesRequest(order_no=self.name(order_no), page_size=1_000)
        return self.side.orders.ListOrderPaymentNotifies(request).order_payment_notifies


def _reply(response: OrderNotifyResponse) -> Reply:
    return Reply(response.disposition, response.is_repeated, response.order_status, response.payment_status)


def reason_or(call: Callable[[], Any]) -> Any:
    """What `call` gives, or the reason for which it was refused."""
    try:
        return call()
    except grpc.RpcError as error:
        return reason_of(error)


class OrdersUnderWay(RuleBasedStateMachine):
    """Three orders, one stocked sku. Each answer is the model's, and so is all that is there in the end."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop
        self.model = OrderModel()

    @initialize(orders=st.lists(NEW_ORDERS, min_size=3, max_size=3), on_hand=st.integers(0, 4))
    def open_the_shop(self, orders: list[Order], on_hand: int) -> None:
        self.stock(on_hand)
        for number, order in enumerate(orders):
            self.model.orders[f"O-{number}"] = order
            self.shop.create(f"O-{number}", order)

    @rule(on_hand=st.integers(0, 4))
    def stock(self, on_hand: int) -> None:
        self.shop.side.stock(self.shop.book, on_hand)
        self.model.on_hand = on_hand

    @rule(told=TOLD)
    def notify(self, told: Told) -> None:
        assert self.shop.notify(told) == self.model.notify(told)

    @rule(batch=st.lists(TOLD, min_size=1, max_size=8))
    def notify_many(self, batch: list[Told]) -> None:
        assert self.shop.batch(batch) == [self.model.notify(told) for told in batch]

    @rule(act=ACTS, order_no=ORDER_NOS)
    def move(self, act: str, order_no: str) -> None:
        request = getattr(pb, f"{act}Request")(order_no=self.shop.name(order_no), **ACT)

        def call() -> tuple[int, int]:
            order = getattr(self.shop.side.orders, act)(request).order
            return order.order_status, order.payment_status

        assert reason_or(call) == self.model.move(act, order_no)

    @rule(code=CODES, resolution=RESOLUTIONS)
    def resolve(self, code: str, resolution: Any) -> None:
        request = pb.ResolvePaymentExceptionRequest(
            platform_id="alipay",
            payment_code=self.shop.name(code),
            resolution=resolution,
            operator="alice",
            reason="as the test wants it",
        )
        orders = self.shop.side.orders

        answer = reason_or(lambda: orders.ResolvePaymentException(request).payment_exception.resolution)
        assert answer == self.model.resolve(code, resolution)

    @rule(act=st.sampled_from(["RetryOrderFollowUp", "ResolveOrderFollowUp"]), order_no=ORDER_NOS)
    def see_to_a_shortage(self, act: str, order_no: str) -> None:
        key = {"order_no": self.shop.name(order_no), "name": "take_inventory", "sku": self.shop.book}
        request = getattr(pb, f"{act}Request")(**key, **DECISION)
        call = getattr(self.shop.side.orders, act)

        answer = reason_or(lambda: call(request).order_follow_up.resolution)
        assert answer == (self.model.retry(order_no) if act == "RetryOrderFollowUp" else self.model.close(order_no))

    def teardown(self) -> None:
        for order_no, order in self.model.orders.items():
            self._check_order(order_no, order)
            self._check_one_effect(order_no)
        if self.model.orders:
            assert self.shop.side.on_hand(self.shop.book) == self.model.on_hand
            assert self._money() == self.model.money()

    def _check_order(self, order_no: str, order: Order) -> None:
        shop, name = self.shop, self.shop.name(order_no)
        assert shop.side.statuses(name) == order.statuses
        assert shop.side.order(name).paid_payment_code == (shop.name(order.paid_by) if order.paid_by else "")
        assert len(shop.side.status_log(name)) == order.changes
        assert len(shop.side.vouchers(name)) == order.issued
        follow_ups = shop.side.follow_ups(order_no=name, include_resolved=True)
        assert [one.resolution for one in follow_ups] == ([] if order.follow_up is None else [order.follow_up])

    def _check_one_effect(self, order_no: str) -> None:
        """FAULTS 2: one payment has paid a paid order, and none another."""
        order = self.shop.side.order(self.shop.name(order_no))
        paid = [one.payment_code for one in self.shop.taken_down(order_no) if _has_paid(one)]
        assert paid == ([order.paid_payment_code] if order.HasField("paid_payment_code") else [])

    def _money(self) -> Counter[str]:
        """FAULTS 8: what was applied, and what waits or waited for a person."""
        money: Counter[str] = Counter()
        for order_no in self.model.orders:
            for notify in self.shop.taken_down(order_no):
                if notify.outcome == SUCCESS and notify.disposition in {APPLIED, *EXCEPTIONS}:
                    money[notify.currency_code] += notify.amount_minor
        return money


def _has_paid(notify: OrderPaymentNotify) -> bool:
    is_applied = notify.outcome == SUCCESS and notify.disposition == APPLIED
    return is_applied or notify.resolution == enums.EXCEPTION_RESOLUTION_ACCEPTED


@pytest.fixture
def shops(start_order_side: StartOrderSide) -> Iterator[Shop]:
    """A shop for each example."""
    side = start_order_side()
    return (Shop(side, f"e{number}") for number in itertools.count())


def test_any_sequence_ends_as_the_model_says(shops: Iterator[Shop], plan: settings) -> None:
    class Example(OrdersUnderWay):
        def __init__(self) -> None:
            super().__init__(next(shops))

    run_state_machine_as_test(Example, settings=plan)


# Of each payment one thing is told; for O-0 and O-1 as many as one likes fit, or none.
FACTS = st.lists(
    st.builds(
        lambda number, order_no, outcome, amount: Told(f"P-{number}", order_no, outcome, amount, "USD"),
        st.integers(0, 9),
        st.sampled_from(["O-0", "O-1"]),
        st.sampled_from([SUCCESS, SUCCESS, FAILED]),
        st.sampled_from([1_000, 1_000, 999]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda told: told.code,
)


@st.composite
def _arrivals(draw: st.DrawFn, facts: Sequence[Told]) -> list[list[Told]]:
    """Every fact at least once, some again, in any order, in batches of any size."""
    again = draw(st.lists(st.sampled_from(facts), max_size=len(facts)))
    told = draw(st.permutations([*facts, *again]))
    ends = sorted(draw(st.sets(st.integers(1, len(told)), max_size=4)) | {len(told)})
    return [told[begin:end] for begin, end in itertools.pairwise([0, *ends])]


CASES = FACTS.flatmap(lambda facts: st.tuples(st.just(facts), _arrivals(facts), _arrivals(facts)))
Case = tuple[list[Told], list[list[Told]], list[list[Told]]]


def test_any_order_of_arrival_and_any_duplication_ends_in_the_same_status(
    shops: Iterator[Shop], plan: settings
) -> None:
    @settings(plan)
    @given(CASES)
    def hold(case: Case) -> None:
        facts, *arrivals = case
        for batches in arrivals:
            shop = _opened(next(shops))
            replies = [reply for batch in batches for reply in shop.batch(batch)]
            for order_no in ("O-0", "O-1"):
                _check_end(shop, order_no, facts)
            assert sum(not reply.is_repeated for reply in replies if isinstance(reply, Reply)) == len(facts)

    hold()


def test_a_batch_answers_as_its_items_one_by_one(shops: Iterator[Shop], plan: settings) -> None:
    @settings(plan)
    @given(st.lists(TOLD, min_size=1, max_size=12))
    def hold(told: list[Told]) -> None:
        one_by_one, together = _opened(next(shops)), _opened(next(shops))

        assert together.batch(told) == [one_by_one.notify(each) for each in told]

    hold()


def _opened(shop: Shop) -> Shop:
    for order_no in ("O-0", "O-1"):
        shop.create(order_no, Order(1_000, "USD", goods=1, vouchers=1))
    return shop


def _check_end(shop: Shop, order_no: str, facts: Sequence[Told]) -> None:
    own = [told for told in facts if told.order_no == order_no]
    fits = any(told.outcome == SUCCESS and told.amount == 1_000 for told in own)
    failed = any(told.outcome == FAILED for told in own)
    assert shop.side.statuses(shop.name(order_no)) == (PAID_PAID if fits else NEW_FAILED if failed else NEW_UNPAID)
    applied = [one for one in shop.taken_down(order_no) if one.outcome == SUCCESS and one.disposition == APPLIED]
    assert len(applied) == fits
