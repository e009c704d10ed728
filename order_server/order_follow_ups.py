"""What paid orders still need: listing it, trying it again, closing it by a person's decision (SPEC 6)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from core.logs import Logger
from core.rules.errors import NotAllowed, NotFound, Precondition
from core.store.database import Database
from core.store.paging import Page, PageRequest, narrowed, newest_first
from core.store.rehearsal import carry_out
from core.store.transaction import LostRace, Row, Transaction
from order_server.follow_ups import FollowUps, Need
from order_server.rules import FollowUpResolution
from order_server.tables import OrderFollowUp


class FollowUpKey(NamedTuple):
    """Which follow-up of which order, for which sku."""

    order_no: str
    name: str
    sku: str

    def __str__(self) -> str:
        return "/".join(self)

    def fields(self) -> dict[str, str]:
        """The parts by name, for log lines and error details."""
        return {"order_no": self.order_no, "name": self.name, "sku": self.sku}


@dataclass(frozen=True, slots=True)
class FollowUpFilter:
    """Which follow-ups; None does not filter."""

    order_no: str | None = None
    name: str | None = None
    include_resolved: bool = False


@dataclass(frozen=True, slots=True)
class FollowUpAct:
    """Something a person does to a follow-up: who and why. validate_only: a dry run."""

    key: FollowUpKey
    operator: str
    reason: str
    validate_only: bool = False


class OrderFollowUps:
    """The use cases on follow-ups that went wrong."""

    def __init__(self, database: Database, follow_ups: FollowUps, log: Logger) -> None:
        self._database = database
        self._follow_ups = follow_ups
        self._log = log

    def find(self, wanted: FollowUpFilter, page: PageRequest) -> Page[Row]:
        """A page of follow-ups, newest first."""
        return self._database.read(lambda tx: _list(tx, wanted, page))

    def retry(self, act: FollowUpAct) -> Row:
        """Try what is missing: the row, closed as RETRIED, or still open with the new error. NotFound.

        A row that is closed already is answered as it is.
        """
        row = self._database.transact(
            lambda tx: carry_out(tx, lambda: self._retry(tx, act), validate_only=act.validate_only)
        )
        self._tell("order_follow_up.retried", act, row)
        return row

    def resolve(self, act: FollowUpAct) -> Row:
        """Close a follow-up as it is. Closing again changes nothing.

        Raises:
            NotFound: there is none.
            NotAllowed: a retry has done it.
        """
        row = self._database.transact(
            lambda tx: carry_out(tx, lambda: _resolve(tx, act), validate_only=act.validate_only)
        )
        self._tell("order_follow_up.closed", act, row)
        return row

    def _retry(self, tx: Transaction, act: FollowUpAct) -> Row:
        row = _held(tx, act.key)
        if row.resolution is not None:
            return row
        error = self._follow_ups.try_again(tx, row.name, Need(row.order_no, row.sku, row.wanted - row.done))
        if error is None:
            _write(tx, row, {"done": row.wanted} | _closing(tx, act, FollowUpResolution.RETRIED))
        else:
            _write(tx, row, {"error": error})
        return _held(tx, act.key)

    def _tell(self, event: str, act: FollowUpAct, row: Row) -> None:
        self._log.info(
            event,
            **act.key.fields(),
            operator=act.operator,
            is_open=row.resolution is None,
            validate_only=act.validate_only,
        )


def _list(tx: Transaction, wanted: FollowUpFilter, page: PageRequest) -> Page[Row]:
    query = narrowed(
        OrderFollowUp.select(),
        (wanted.order_no, OrderFollowUp.order_no == wanted.order_no),
        (wanted.name, OrderFollowUp.name == wanted.name),
        (None if wanted.include_resolved else True, OrderFollowUp.resolution.is_null()),
    )
    return newest_first(tx, OrderFollowUp, query, page)


def _resolve(tx: Transaction, act: FollowUpAct) -> Row:
    row = _held(tx, act.key)
    if row.resolution is FollowUpResolution.RETRIED:
        raise _done_already(act.key)
    if row.resolution is None:
        _write(tx, row, _closing(tx, act, FollowUpResolution.CLOSED))
    return _held(tx, act.key)


def _held(tx: Transaction, key: FollowUpKey) -> Row:
    fields = (OrderFollowUp.order_no, OrderFollowUp.name, OrderFollowUp.sku)
    rows = tx.by_keys(OrderFollowUp, fields, [key], lock=True)
    if not rows:
        message = f"there is no follow-up {key}"
        raise NotFound(message, reason="FOLLOW_UP_NOT_FOUND", metadata=key.fields())
    return rows[0]


def _closing(tx: Transaction, act: FollowUpAct, resolution: FollowUpResolution) -> dict[str, Any]:
    return {
        "resolution": resolution,
        "resolved_by": act.operator,
        "resolved_time": tx.now,
        "resolved_reason": act.reason,
    }


def _write(tx: Transaction, row: Row, columns: dict[str, Any]) -> None:
    still_open = (OrderFollowUp.id == row.id) & OrderFollowUp.resolution.is_null()
    if tx.change(OrderFollowUp.update(update_time=tx.now, **columns).where(still_open)) != 1:
        raise LostRace("follow-up")


def _done_already(key: FollowUpKey) -> NotAllowed:
    message = f"follow-up {key} was done by a retry, there is nothing left to close"
    return NotAllowed(
        message,
        reason="ALREADY_RESOLVED",
        violations=[Precondition("FOLLOW_UP", str(key), message)],
        metadata={"resolution": FollowUpResolution.RETRIED.name},
    )
