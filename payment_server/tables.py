"""The payment table (SPEC 2). Owns its columns, constraints and indexes; holds no behaviour."""

from peewee import BigAutoField, BigIntegerField, Check, Model

from core.outbox import tables as outbox
from core.rules.codes import PaymentStatus
from core.rules.limits import MAX_AMOUNT_MINOR, MAX_TEXT, MAX_TRADE_NO
from core.store.fields import CodeField, KeyField, ShortTextField, UtcDateTimeField
from core.store.schema import OFTEN_VACUUMED, NamedIndex, PartialIndex


class Payment(Model):
    """One payment on one platform. A record of money: never purged.

    conflict_*: the first outcome reported that contradicts the settled one (SPEC 9); a person decides.
    """

    id = BigAutoField()
    platform_id = KeyField()
    payment_code = KeyField()
    order_no = KeyField()
    amount_minor = BigIntegerField(constraints=[Check(f"amount_minor BETWEEN 1 AND {MAX_AMOUNT_MINOR}")])
    currency_code = ShortTextField(max_length=3, constraints=[Check("currency_code LIKE '___'")])
    notify_url = ShortTextField(max_length=outbox.MAX_TARGET)
    status = CodeField(PaymentStatus)
    trade_no = ShortTextField(max_length=MAX_TRADE_NO)
    failure_reason = ShortTextField(max_length=MAX_TEXT)
    create_time = UtcDateTimeField()
    settle_time = UtcDateTimeField(null=True)
    conflict_status = CodeField(PaymentStatus, null=True)
    conflict_trade_no = ShortTextField(max_length=MAX_TRADE_NO, null=True)
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
            NamedIndex("payment_settled", table_name, ("settle_time", "id")),
            NamedIndex("payment_created", table_name, ("create_time", "id")),
            PartialIndex("payment_waiting", table_name, ("id",), of="status", condition="= 0"),
            PartialIndex("payment_conflicted", table_name, ("id",), of="conflict_time", condition="IS NOT NULL"),
        )
        storage = OFTEN_VACUUMED


TABLES = (Payment, *outbox.TABLES)
