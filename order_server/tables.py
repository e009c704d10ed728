"""The tables of the order database (SPEC 2). Owns columns, indexes and what the schema forbids; holds no behaviour.

Times are UTC. Nothing here is bound to a database. No foreign keys: every row that names an `order_no` is written in a
transaction that holds the order's row, no order is ever deleted, and each key would cost a look-up per notification.
"""

from peewee import BigAutoField, BigIntegerField, Check, Model, SmallIntegerField

from core.rules.codes import (
    Disposition,
    ExceptionResolution,
    ItemKind,
    NotifyOutcome,
    OrderPaymentStatus,
    OrderStatus,
)
from core.rules.limits import MAX_AMOUNT_MINOR, MAX_ITEMS, MAX_OPERATOR, MAX_QUANTITY, MAX_TEXT, MAX_TRADE_NO
from core.store.fields import CodeField, KeyField, LongTextField, ShortTextField, UtcDateTimeField
from core.store.schema import WITH_ROOM, PartialIndex
from order_server.rules import FollowUpResolution, StatusName

MAX_ON_HAND = 10**12
"""The most units of one sku that can be on hand."""


class Order(Model):
    """An order and its two statuses. paid_* name the one payment that paid it; items are in `order_item`."""

    id = BigAutoField()
    order_no = KeyField(unique=True)
    amount_minor = BigIntegerField(constraints=[Check(f"amount_minor BETWEEN 1 AND {MAX_AMOUNT_MINOR}")])
    currency_code = ShortTextField(max_length=3)
    order_status = CodeField(OrderStatus)
    payment_status = CodeField(OrderPaymentStatus)
    paid_platform_id = KeyField(null=True)
    paid_payment_code = KeyField(null=True)
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()

    class Meta:
        table_name = "order"
        constraints = (
            # Paid, processing and completed orders are paid, others are not; a paid one names its payment.
            Check("(order_status IN (2, 3, 4)) = (payment_status = 2)"),
            Check("(payment_status = 2) = (paid_platform_id IS NOT NULL)"),
            Check("(payment_status = 2) = (paid_payment_code IS NOT NULL)"),
        )
        # No status is indexed: every payment changes both, and PostgreSQL rewrites an order's index entries if one is.
        indexes = ((("create_time", "id"), False),)
        storage = WITH_ROOM


class OrderItem(Model):
    """One line of an order. Written with it, never changed. A sku may stand on several lines."""

    id = BigAutoField()
    order_no = KeyField()
    line = SmallIntegerField(constraints=[Check(f"line BETWEEN 1 AND {MAX_ITEMS}")])
    sku = KeyField()
    quantity = SmallIntegerField(constraints=[Check(f"quantity BETWEEN 1 AND {MAX_QUANTITY}")])
    kind = CodeField(ItemKind)

    class Meta:
        table_name = "order_item"
        indexes = ((("order_no", "line"), True),)


class OrderPaymentNotify(Model):
    """One notification as it came first, what became of it, and how a person closed it if it was an exception.

    status: how the payment ended. trade_no: empty if the notification had none.
    """

    id = BigAutoField()
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    status = CodeField(NotifyOutcome)
    amount_minor = BigIntegerField(constraints=[Check(f"amount_minor BETWEEN 1 AND {MAX_AMOUNT_MINOR}")])
    currency_code = ShortTextField(max_length=3)
    trade_no = ShortTextField(max_length=MAX_TRADE_NO)
    settle_time = UtcDateTimeField(null=True)
    disposition = CodeField(Disposition)
    create_time = UtcDateTimeField()
    resolution = CodeField(ExceptionResolution, null=True)
    resolved_by = ShortTextField(max_length=MAX_OPERATOR, null=True)
    resolved_time = UtcDateTimeField(null=True)
    resolved_reason = ShortTextField(max_length=MAX_TEXT, null=True)

    class Meta:
        table_name = "order_payment_notify"
        constraints = (
            # Only exceptions are resolved, only an amount mismatch is accepted, always by somebody for a reason.
            Check("resolution IS NULL OR disposition IN (2, 3, 4)"),
            Check("resolution IS NULL OR resolution <> 2 OR disposition = 4"),
            Check("(resolution IS NULL) = (resolved_by IS NULL)"),
            Check("(resolution IS NULL) = (resolved_time IS NULL)"),
            Check("(resolution IS NULL) = (resolved_reason IS NULL)"),
        )
        indexes = (
            (("platform_id", "payment_code"), True),
            (("order_no",), False),
            (("create_time", "id"), False),
            # Nearly every notification is applied, and so in no page of it.
            PartialIndex(
                "order_payment_notify_exceptions",
                table_name,
                ("resolution", "id"),
                of="disposition",
                condition="IN (2, 3, 4)",
            ),
        )


class OrderStatusLog(Model):
    """One change of one of an order's statuses: from where to where, by whom and why. Append-only.

    change_id: of the call that made it; none for what a notification did, which has its key.
    """

    id = BigAutoField()
    order_no = KeyField()
    status_name = CodeField(StatusName)
    from_status = SmallIntegerField()
    to_status = SmallIntegerField()
    operator = ShortTextField(max_length=MAX_OPERATOR)
    description = ShortTextField(max_length=MAX_TEXT)
    change_id = ShortTextField(max_length=32, null=True)
    create_time = UtcDateTimeField()

    class Meta:
        table_name = "order_status_log"
        indexes = ((("order_no", "id"), False),)


class OrderFollowUp(Model):
    """What a paid order still needs. Open until a retry succeeds or a person closes it.

    wanted, done: units. error: why the rest is not done, at the last try.
    """

    id = BigAutoField()
    order_no = KeyField()
    name = KeyField()
    sku = KeyField()
    wanted = BigIntegerField(constraints=[Check("wanted > 0")])
    done = BigIntegerField()
    error = LongTextField()
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()
    resolution = CodeField(FollowUpResolution, null=True)
    resolved_by = ShortTextField(max_length=MAX_OPERATOR, null=True)
    resolved_time = UtcDateTimeField(null=True)
    resolved_reason = ShortTextField(max_length=MAX_TEXT, null=True)

    class Meta:
        table_name = "order_follow_up"
        constraints = (
            Check("done BETWEEN 0 AND wanted"),
            # A retry closes a follow-up only when nothing is missing; it is closed by somebody for a reason.
            Check("resolution IS NULL OR resolution <> 1 OR done = wanted"),
            Check("(resolution IS NULL) = (resolved_by IS NULL)"),
            Check("(resolution IS NULL) = (resolved_time IS NULL)"),
            Check("(resolution IS NULL) = (resolved_reason IS NULL)"),
        )
        indexes = (
            (("order_no", "name", "sku"), True),
            (("resolution", "id"), False),
        )


class Inventory(Model):
    """How many units of a sku are on hand. A sku without a row is not stocked.

    updated_by, update_time, reason: of the last SetInventory; what paid orders take leaves them as they are.
    """

    id = BigAutoField()
    sku = KeyField(unique=True)
    on_hand = BigIntegerField(constraints=[Check(f"on_hand BETWEEN 0 AND {MAX_ON_HAND}")])
    updated_by = ShortTextField(max_length=MAX_OPERATOR)
    update_time = UtcDateTimeField()
    reason = ShortTextField(max_length=MAX_TEXT)

    class Meta:
        table_name = "inventory"


class Voucher(Model):
    """One voucher code, issued to the order that paid for it."""

    id = BigAutoField()
    code = KeyField(unique=True)
    order_no = KeyField()
    sku = KeyField()
    create_time = UtcDateTimeField()

    class Meta:
        table_name = "voucher"
        indexes = ((("order_no", "id"), False),)


TABLES = (Order, OrderItem, OrderPaymentNotify, OrderStatusLog, OrderFollowUp, Inventory, Voucher)
