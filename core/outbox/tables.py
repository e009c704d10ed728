"""The outbox's tables (SPEC 2). Owns their columns, constraints and indexes; holds no behaviour.

Payment server and scheduler share them. Times are UTC. Nothing here is bound to a database.
"""

from peewee import SQL, BigAutoField, BigIntegerField, BlobField, Check, IntegerField, Model

from core.rules.codes import BreakerState, Disposition, ResultStatus, ScheduleStatus
from core.rules.limits import MAX_OPERATOR, MAX_TEXT
from core.store.fields import CodeField, KeyField, LongTextField, ShortTextField, UtcDateTimeField
from core.store.schema import OFTEN_VACUUMED, WITH_ROOM, PartialIndex

MAX_TARGET = 512
MAX_HOLDER = 128
MAX_TRACE_CONTEXT = 55
"""The length of a traceparent."""
MAX_NOTE = MAX_TEXT + MAX_OPERATOR + 64


class PaymentResult(Model):
    """One row per settled payment: does the order side have it, and what did it do with it?

    handled_note: who closed its schedule undelivered, when and why, kept here when the schedule was purged.
    """

    id = BigAutoField()
    payment_id = BigIntegerField(unique=True)
    notify_status = CodeField(ResultStatus)
    disposition = CodeField(Disposition, null=True)
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()
    handled_note = ShortTextField(max_length=MAX_NOTE, null=True)

    class Meta:
        table_name = "payment_result"
        constraints = (
            SQL("FOREIGN KEY (payment_id) REFERENCES payment (id)"),
            Check("(notify_status = 2) = (disposition IS NOT NULL)"),
        )
        # No index on notify_status: every row changes it once, and where it lies.
        storage = WITH_ROOM


class NotifySchedule(Model):
    """One row per settled payment: the notification, when it is due, and who holds it.

    claim_token, claimed_by, claim_time: set while somebody holds the row; next_notify_time is then the lease's end.
    notify_count: attempts of the present budget. attempt_count: attempts ever, over requeues.
    reopened_attempt: attempt_count at the last reopening; a success of an attempt up to it proves nothing any more.
    lapse_count: leases in a row that ended without a result. batch_limit: the most rows the next call may have.
    trace_context: the W3C traceparent of the report's commit, so that one trace has every attempt; NULL if not traced.
    """

    id = BigAutoField()
    payment_id = BigIntegerField(unique=True)
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    notify_url = ShortTextField(max_length=MAX_TARGET)
    notify_content = BlobField()
    notify_status = CodeField(ScheduleStatus)
    next_notify_time = UtcDateTimeField()
    give_up_time = UtcDateTimeField()
    notify_count = IntegerField(constraints=[Check("notify_count >= 0")])
    attempt_count = IntegerField()
    reopened_attempt = IntegerField(constraints=[Check("reopened_attempt >= 0")])
    lapse_count = IntegerField(constraints=[Check("lapse_count >= 0")])
    batch_limit = IntegerField(null=True, constraints=[Check("batch_limit > 0")])
    claim_token = ShortTextField(max_length=32, null=True)
    claimed_by = ShortTextField(max_length=MAX_HOLDER, null=True)
    claim_time = UtcDateTimeField(null=True)
    last_code = IntegerField(null=True)
    last_message = LongTextField(null=True)
    handled_time = UtcDateTimeField(null=True)
    handled_by = ShortTextField(max_length=MAX_OPERATOR, null=True)
    handled_reason = ShortTextField(max_length=MAX_TEXT, null=True)
    create_time = UtcDateTimeField()
    update_time = UtcDateTimeField()
    trace_context = ShortTextField(max_length=MAX_TRACE_CONTEXT, null=True)

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
            (("order_no",), False),
            # What is finished is in none of these: they stay as small as the work that is left.
            PartialIndex(
                "notify_schedule_due",
                table_name,
                ("notify_url", "next_notify_time", "id"),
                of="notify_status",
                condition="= 1",
            ),
            PartialIndex(
                "notify_schedule_expiring", table_name, ("give_up_time",), of="notify_status", condition="= 1"
            ),
            PartialIndex("notify_schedule_failed", table_name, ("id",), of="notify_status", condition="= 2"),
        )
        storage = WITH_ROOM


class NotifyAttempt(Model):
    """One row per attempt, numbered over requeues. `code` is the gRPC status code; 2 (UNKNOWN) for a lapsed lease."""

    id = BigAutoField()
    schedule_id = BigIntegerField()
    number = IntegerField(constraints=[Check("number > 0")])
    start_time = UtcDateTimeField()
    finish_time = UtcDateTimeField()
    code = IntegerField()
    message = LongTextField()
    made_by = ShortTextField(max_length=MAX_HOLDER)

    class Meta:
        table_name = "notify_attempt"
        constraints = (SQL("FOREIGN KEY (schedule_id) REFERENCES notify_schedule (id)"),)
        indexes = ((("schedule_id", "number"), True),)
        storage = OFTEN_VACUUMED


ATTEMPT_KEY = (NotifyAttempt.schedule_id, NotifyAttempt.number)


class NotifyTarget(Model):
    """One row per target: its breaker, and whether an operator paused it.

    open_until: while OPEN, when a probe may go; while HALF_OPEN, when the probe's lease ends.
    ramp_limit: the most rows one claim may take while the target is coming back; NULL when there is no such limit.
    """

    notify_url = ShortTextField(max_length=MAX_TARGET, primary_key=True)
    breaker_state = CodeField(BreakerState)
    consecutive_failures = IntegerField(constraints=[Check("consecutive_failures >= 0")])
    open_until = UtcDateTimeField(null=True)
    ramp_limit = IntegerField(null=True, constraints=[Check("ramp_limit > 0")])
    paused_time = UtcDateTimeField(null=True)
    paused_by = ShortTextField(max_length=MAX_OPERATOR, null=True)
    paused_reason = ShortTextField(max_length=MAX_TEXT, null=True)

    class Meta:
        table_name = "notify_target"
        constraints = (
            Check("(breaker_state = 1) = (open_until IS NULL)"),
            Check("(paused_time IS NULL) = (paused_by IS NULL)"),
            Check("(paused_time IS NULL) = (paused_reason IS NULL)"),
        )


class OperatorAction(Model):
    """Append-only: who did what, when and why, to a payment's schedule or to a target.

    `action_id` is one call's own, shared by its rows. Either the payment's key or notify_url says what it was done to.
    """

    id = BigAutoField()
    action_id = ShortTextField(max_length=32)
    action = ShortTextField(max_length=32)
    platform_id = KeyField(null=True)
    payment_code = KeyField(null=True)
    operator = ShortTextField(max_length=MAX_OPERATOR)
    reason = ShortTextField(max_length=MAX_TEXT)
    detail = LongTextField()
    create_time = UtcDateTimeField()
    notify_url = ShortTextField(max_length=MAX_TARGET, null=True)

    class Meta:
        table_name = "operator_action"
        constraints = (
            Check("(platform_id IS NULL) = (payment_code IS NULL)", "operator_action_key"),
            Check("(platform_id IS NULL) <> (notify_url IS NULL)", "operator_action_subject"),
        )
        indexes = (
            (("action_id", "platform_id", "payment_code"), True),
            (("platform_id", "payment_code"), False),
        )


TABLES = (PaymentResult, NotifySchedule, NotifyAttempt, NotifyTarget, OperatorAction)
