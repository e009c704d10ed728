"""What waits for a person, as the order server's metrics tell it. Reads by the indexes of what is open."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from peewee import fn

from core.store.database import Database
from core.store.transaction import Row, Transaction
from core.telemetry.catalogue import EXCEPTIONS_OPEN, FOLLOW_UPS_OPEN, OTHER
from core.telemetry.metrics import Metrics, Reading
from order_server.payment_exceptions import EXCEPTIONS
from order_server.tables import OrderFollowUp, OrderPaymentNotify

REST = timedelta(seconds=5)
"""However often the order server is scraped, the tables are read no more often."""


def tell_what_is_open(metrics: Metrics, database: Database, follow_ups: Collection[str]) -> None:
    """Have open payment exceptions and follow-ups of these names read at scrapes."""
    metrics.read(lambda: _readings(*database.read(_count), follow_ups), (EXCEPTIONS_OPEN, FOLLOW_UPS_OPEN), REST)


def _count(tx: Transaction) -> tuple[Sequence[Row], Sequence[Row]]:
    notify, follow_up = OrderPaymentNotify, OrderFollowUp
    exceptions = (
        notify.select(notify.disposition, fn.COUNT(notify.id).alias("open"))
        .where(notify.disposition.in_(EXCEPTIONS), notify.resolution.is_null())
        .group_by(notify.disposition)
    )
    still_needed = (
        follow_up.select(follow_up.name, fn.COUNT(follow_up.id).alias("open"))
        .where(follow_up.resolution.is_null())
        .group_by(follow_up.name)
    )
    return tx.rows(exceptions), tx.rows(still_needed)


def _readings(exceptions: Sequence[Row], still_needed: Sequence[Row], follow_ups: Collection[str]) -> Iterator[Reading]:
    by_disposition = {int(row.disposition): row.open for row in exceptions}
    for disposition in EXCEPTIONS:
        yield Reading(EXCEPTIONS_OPEN, by_disposition.get(disposition, 0), (disposition.name.lower(),))
    by_name = {row.name: row.open for row in still_needed}
    for name in follow_ups:
        yield Reading(FOLLOW_UPS_OPEN, by_name.pop(name, 0), (name,))
    yield Reading(FOLLOW_UPS_OPEN, sum(by_name.values()), (OTHER,))
