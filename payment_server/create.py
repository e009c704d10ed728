"""Creating a payment (SPEC 4, step 3). Owns the one transaction of it, and what "the same content" means."""

from dataclasses import asdict, dataclass

from core.rules.codes import PaymentStatus
from core.rules.errors import AlreadyExists
from core.store.database import Database
from core.store.transaction import Row, Transaction
from payment_server.tables import Payment
from payment_server.views import PaymentView, payments_by_key


@dataclass(frozen=True, slots=True)
class NewPayment:
    """The content of a payment to create, already checked."""

    platform_id: str
    payment_code: str
    order_no: str
    amount_minor: int
    currency_code: str
    notify_url: str


class CreatePayment:
    """Creates payments. Idempotent by (platform_id, payment_code)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, new: NewPayment) -> PaymentView:
        """The payment as it is now, created by this call or before.

        Raises:
            AlreadyExists: the key is taken by a payment with other content; nothing changed.
        """
        return self._database.transact(lambda tx: _create(tx, new))


def _create(tx: Transaction, new: NewPayment) -> PaymentView:
    key = (new.platform_id, new.payment_code)
    existing = payments_by_key(tx, [key]).get(key)
    if existing is not None:
        _refuse_other_content(existing.payment, new)
        return existing
    tx.insert(Payment, [_row(tx, new)])
    return payments_by_key(tx, [key])[key]


def _row(tx: Transaction, new: NewPayment) -> dict[str, object]:
    return {
        **asdict(new),
        "status": PaymentStatus.WAITING,
        "trade_no": "",
        "failure_reason": "",
        "create_time": tx.now,
    }


def _refuse_other_content(payment: Row, new: NewPayment) -> None:
    differing = [name for name, value in asdict(new).items() if getattr(payment, name) != value]
    if differing:
        raise AlreadyExists(
            f"payment {new.payment_code!r} on platform {new.platform_id!r} exists with another {', '.join(differing)}",
            reason="PAYMENT_DIFFERS",
            metadata={"fields": ",".join(differing)},
        )
