"""The payment database as first released. Frozen: a later change is a later migration."""

from typing import Any

from peewee import (
    SQL,
    BigAutoField,
    BigIntegerField,
    BlobField,
    Check,
    IntegerField,
    Model,
    SmallIntegerField,
)

from core.store.fields import KeyField, LongTextField, ShortTextField, UtcDateTimeField


class Payment(Model):
    id = BigAutoField()
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    amount_minor = BigIntegerField(constraints=[Check("amount_minor BETWEEN 1 AND 1000000000000000")])
    currency_code = ShortTextField(max_length=3, constraints=[Check("currency_code LIKE '___'")])
    notify_url = ShortTextField(max_length=512)
    status = SmallIntegerField(constraints=[Check("status IN (0, 1, 2)")])
    trade_no = ShortTextField(max_length=128)
    failure_reason = ShortTextField(max_length=512)
    create_time = UtcDateTimeField()
    settle_time = UtcDateTimeField(null=True)
    conflict_status = SmallIntegerField(null=True, constraints=[Check("conflict_status IN (0, 1, 2)")])
    conflict_trade_no = ShortTextField(max_length=128, null=True)
    conflict_time = UtcDateTimeField(null=True)

    class Meta:
        table_name = "payment"
        constraints = (
            Check("(status = 0) = (settle_time IS NULL)"),
            Check("(conflict_status IS NULL) = (conflict_time IS NULL)"),
            Check("conflict_status IS NULL OR conflict_status + status = 3"),
        )
        indexes = (
            (("platform_id", "payment_code"), True),
            (("order_no",), False),
            (("status", "settle_time"), False),
            (("create_time",), False),
            (("conflict_time",), False),
        )


class PaymentResult(Model):
    id = BigAutoField()
    payment_id = BigIntegerField(unique=True)
    notify_status = SmallIntegerField(constraints=[Check("notify_status IN (1, 2)")])
    disposition = SmallIntegerField(null=True, constraints=[Check("disposition IN (1, 2, 3, 4, 5)")])
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()

    class Meta:
        table_name = "payment_result"
        constraints = (
            SQL("FOREIGN KEY (payment_id) REFERENCES payment (id)"),
            Check("(notify_status = 2) = (disposition IS NOT NULL)"),
        )


class NotifySchedule(Model):
    id = BigAutoField()
    payment_id = BigIntegerField(unique=True)
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    notify_url = ShortTextField(max_length=512)
    notify_content = BlobField()
    notify_status = SmallIntegerField(constraints=[Check("notify_status IN (1, 2, 3)")])
    next_notify_time = UtcDateTimeField()
    give_up_time = UtcDateTimeField()
    notify_count = IntegerField(constraints=[Check("notify_count >= 0")])
    attempt_count = IntegerField()
    reopened_attempt = IntegerField(constraints=[Check("reopened_attempt >= 0")])
    lapse_count = IntegerField(constraints=[Check("lapse_count >= 0")])
    batch_limit = IntegerField(null=True, constraints=[Check("batch_limit > 0")])
    claim_token = ShortTextField(max_length=32, null=True)
    claimed_by = ShortTextField(max_length=128, null=True)
    claim_time = UtcDateTimeField(null=True)
    last_code = IntegerField(null=True)
    last_message = LongTextField(null=True)
    handled_time = UtcDateTimeField(null=True)
    handled_by = ShortTextField(max_length=64, null=True)
    handled_reason = ShortTextField(max_length=512, null=True)
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()

    class Meta:
        table_name = "notify_schedule"
        constraints = (
            SQL("FOREIGN KEY (payment_id) REFERENCES payment (id)"),
            Check("attempt_count >= notify_count"),
            Check("(claim_token IS NULL) = (claim_time IS NULL)"),
            Check("(claim_token IS NULL) = (claimed_by IS NULL)"),
            Check("claim_token IS NULL OR notify_status = 1"),
            Check("(handled_time IS NULL) = (handled_by IS NULL)"),
            Check("(handled_time IS NULL) = (handled_reason IS NULL)"),
            Check("handled_time IS NULL OR notify_status = 2"),
            Check("attempt_count >= reopened_attempt"),
        )
        indexes = (
            (("platform_id", "payment_code"), True),
            (("notify_status", "notify_url", "next_notify_time", "id"), False),
            (("notify_status", "give_up_time"), False),
            (("order_no",), False),
        )


class NotifyAttempt(Model):
    id = BigAutoField()
    schedule_id = BigIntegerField()
    number = IntegerField(constraints=[Check("number > 0")])
    start_time = UtcDateTimeField()
    finish_time = UtcDateTimeField()
    code = IntegerField()
    message = LongTextField()
    made_by = ShortTextField(max_length=128)

    class Meta:
        table_name = "notify_attempt"
        constraints = (SQL("FOREIGN KEY (schedule_id) REFERENCES notify_schedule (id)"),)
        indexes = ((("schedule_id", "number"), True),)


class NotifyTarget(Model):
    notify_url = ShortTextField(max_length=512, primary_key=True)
    breaker_state = SmallIntegerField(constraints=[Check("breaker_state IN (1, 2, 3)")])
    consecutive_failures = IntegerField(constraints=[Check("consecutive_failures >= 0")])
    open_until = UtcDateTimeField(null=True)
    ramp_limit = IntegerField(null=True, constraints=[Check("ramp_limit > 0")])
    paused_time = UtcDateTimeField(null=True)
    paused_by = ShortTextField(max_length=64, null=True)
    paused_reason = ShortTextField(max_length=512, null=True)

    class Meta:
        table_name = "notify_target"
        constraints = (
            Check("(breaker_state = 1) = (open_until IS NULL)"),
            Check("(paused_time IS NULL) = (paused_by IS NULL)"),
            Check("(paused_time IS NULL) = (paused_reason IS NULL)"),
        )


class OperatorAction(Model):
    id = BigAutoField()
    action_id = ShortTextField(max_length=32)
    action = ShortTextField(max_length=32)
    platform_id = KeyField()
    payment_code = KeyField()
    operator = ShortTextField(max_length=64)
    reason = ShortTextField(max_length=512)
    detail = LongTextField()
    create_time = UtcDateTimeField()

    class Meta:
        table_name = "operator_action"
        indexes = (
            (("action_id", "platform_id", "payment_code"), True),
            (("platform_id", "payment_code"), False),
        )


TABLES = (Payment, PaymentResult, NotifySchedule, NotifyAttempt, NotifyTarget, OperatorAction)


def up(migrator: Any, db: Any) -> None:
    """Create the tables, referenced ones first."""
    with db.bind_ctx(TABLES):
        for table in TABLES:
            table.create_table(safe=db.safe_create_index)
