"""The order database as first released. Frozen: a later change is a later migration."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, Check, Model, SmallIntegerField

from core.store.fields import KeyField, LongTextField, ShortTextField, UtcDateTimeField


class Order(Model):
    id = BigAutoField()
    order_no = KeyField(unique=True)
    amount_minor = BigIntegerField(constraints=[Check("amount_minor BETWEEN 1 AND 1000000000000000")])
    currency_code = ShortTextField(max_length=3)
    order_status = SmallIntegerField(constraints=[Check("order_status IN (1, 2, 3, 4, 5)")])
    payment_status = SmallIntegerField(constraints=[Check("payment_status IN (0, 1, 2, 3)")])
    paid_platform_id = KeyField(null=True)
    paid_payment_code = KeyField(null=True)
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()

    class Meta:
        table_name = "order"
        constraints = (
            Check("(order_status IN (2, 3, 4)) = (payment_status = 2)"),
            Check("(payment_status = 2) = (paid_platform_id IS NOT NULL)"),
            Check("(payment_status = 2) = (paid_payment_code IS NOT NULL)"),
        )
        indexes = ((("create_time", "id"), False),)


class OrderItem(Model):
    id = BigAutoField()
    order_no = KeyField()
    line = SmallIntegerField(constraints=[Check("line BETWEEN 1 AND 100")])
    sku = KeyField()
    quantity = SmallIntegerField(constraints=[Check("quantity BETWEEN 1 AND 1000")])
    kind = SmallIntegerField(constraints=[Check("kind IN (1, 2)")])

    class Meta:
        table_name = "order_item"
        indexes = ((("order_no", "line"), True),)


class OrderPaymentNotify(Model):
    id = BigAutoField()
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    status = SmallIntegerField(constraints=[Check("status IN (1, 10)")])
    amount_minor = BigIntegerField(constraints=[Check("amount_minor BETWEEN 1 AND 1000000000000000")])
    currency_code = ShortTextField(max_length=3)
    trade_no = ShortTextField(max_length=128)
    settle_time = UtcDateTimeField(null=True)
    disposition = SmallIntegerField(constraints=[Check("disposition IN (1, 2, 3, 4, 5)")])
    create_time = UtcDateTimeField()
    resolution = SmallIntegerField(null=True, constraints=[Check("resolution IN (1, 2)")])
    resolved_by = ShortTextField(max_length=64, null=True)
    resolved_time = UtcDateTimeField(null=True)
    resolved_reason = ShortTextField(max_length=512, null=True)

    class Meta:
        table_name = "order_payment_notify"
        constraints = (
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
            (("disposition", "resolution", "id"), False),
        )


class OrderStatusLog(Model):
    id = BigAutoField()
    order_no = KeyField()
    status_name = SmallIntegerField(constraints=[Check("status_name IN (1, 2)")])
    from_status = SmallIntegerField()
    to_status = SmallIntegerField()
    operator = ShortTextField(max_length=64)
    description = ShortTextField(max_length=512)
    change_id = ShortTextField(max_length=32, null=True)
    create_time = UtcDateTimeField()

    class Meta:
        table_name = "order_status_log"
        indexes = ((("order_no", "id"), False),)


class OrderFollowUp(Model):
    id = BigAutoField()
    order_no = KeyField()
    name = KeyField()
    sku = KeyField()
    wanted = BigIntegerField(constraints=[Check("wanted > 0")])
    done = BigIntegerField()
    error = LongTextField()
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()
    resolution = SmallIntegerField(null=True, constraints=[Check("resolution IN (1, 2)")])
    resolved_by = ShortTextField(max_length=64, null=True)
    resolved_time = UtcDateTimeField(null=True)
    resolved_reason = ShortTextField(max_length=512, null=True)

    class Meta:
        table_name = "order_follow_up"
        constraints = (
            Check("done BETWEEN 0 AND wanted"),
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
    id = BigAutoField()
    sku = KeyField(unique=True)
    on_hand = BigIntegerField(constraints=[Check("on_hand BETWEEN 0 AND 1000000000000")])
    updated_by = ShortTextField(max_length=64)
    update_time = UtcDateTimeField()
    reason = ShortTextField(max_length=512)

    class Meta:
        table_name = "inventory"


class Voucher(Model):
    id = BigAutoField()
    code = KeyField(unique=True)
    order_no = KeyField()
    sku = KeyField()
    create_time = UtcDateTimeField()

    class Meta:
        table_name = "voucher"
        indexes = ((("order_no", "id"), False),)


TABLES = (Order, OrderItem, OrderPaymentNotify, OrderStatusLog, OrderFollowUp, Inventory, Voucher)


def up(migrator: Any, db: Any) -> None:
    """Create the tables."""
    with db.bind_ctx(TABLES):
        for table in TABLES:
            table.create_table(safe=db.safe_create_index)
