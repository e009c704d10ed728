"""The log lines of notifications: a batch's successes are one line, every other outcome is a line of its own (SPEC 10).

Event names are stable: alerts are built on them. `order_notify.content_conflict` is an alarm.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from core.logs import Logger
from core.rules.codes import Disposition
from core.rules.errors import AlreadyExists, NotFound, PaylatchError
from core.telemetry.catalogue import ANSWERS
from core.telemetry.metrics import NO_METRICS, Metrics
from order_server.ledger import Notified
from order_server.rules import Notification

_REPEATED, _CONFLICT, _NOT_FOUND, _FAILED = "repeated", "content_conflict", "order_not_found", "failed"
_ANSWERS = (*(disposition.name.lower() for disposition in Disposition), _REPEATED, _CONFLICT, _NOT_FOUND, _FAILED)


class NotifyLog:
    """Tells what became of each notification of a batch, once it is committed, and counts it."""

    def __init__(self, log: Logger, metrics: Metrics = NO_METRICS) -> None:
        # Bound once: an unbound structlog logger is put together anew at every line.
        self._log = log.bind()
        self._metrics = metrics
        for answer in _ANSWERS:
            metrics.count(ANSWERS, answer, by=0)
        self._tells_all = self._log.is_enabled_for(logging.DEBUG)

    def answers(self, notifications: Sequence[Notification], answers: Sequence[Notified | Exception]) -> None:
        """Log what `answers` say of `notifications`. A crash is left to whoever answers the call."""
        successes: Counter[str] = Counter()
        for notification, answer in zip(notifications, answers, strict=True):
            if isinstance(answer, PaylatchError):
                self._error(notification, answer)
            elif isinstance(answer, Notified):
                self._notified(notification, answer, successes)
        if successes:
            self._log.info("order_notify.batch", items=len(notifications), **successes)
        if self._metrics.is_on:
            for name, count in Counter(map(_name_of, answers)).items():
                self._metrics.count(ANSWERS, name, by=count)

    def split(self, items: int, error: Exception) -> None:
        """Log that a batch failed as a whole and is run again one by one."""
        self._log.warning("order_notify.batch_split", items=items, exc_info=error)

    def _notified(self, notification: Notification, answer: Notified, successes: Counter[str]) -> None:
        if answer.differs:
            self._line("warning", "order_notify.details_differ", notification)
        if answer.is_repeated:
            successes["repeated"] += 1
            self._detail("order_notify.repeated", notification)
        elif answer.disposition is Disposition.APPLIED:
            successes["applied"] += 1
            self._detail("order_notify.applied", notification)
        elif answer.disposition is Disposition.IGNORED:
            self._line("info", "order_notify.ignored", notification)
        else:
            self._line("warning", "order_notify.payment_exception", notification, disposition=answer.disposition.name)

    def _error(self, notification: Notification, error: PaylatchError) -> None:
        if isinstance(error, AlreadyExists):
            self._line("error", "order_notify.content_conflict", notification, message=error.message)
        elif isinstance(error, NotFound):
            self._line("warning", "order_notify.order_not_found", notification)
        else:
            self._line("warning", "order_notify.failed", notification, reason=error.reason)

    def _detail(self, event: str, notification: Notification) -> None:
        """A line that is only told at DEBUG: not even put together otherwise, there is one for every notification."""
        if self._tells_all:
            self._line("debug", event, notification)

    def _line(self, level: str, event: str, notification: Notification, **more: str) -> None:
        getattr(self._log, level)(
            event,
            **notification.key.fields(),
            order_no=notification.order_no,
            outcome=notification.outcome.name,
            **more,
        )


def _name_of(answer: Notified | Exception) -> str:
    """What the answer is counted as."""
    match answer:
        case AlreadyExists():
            return _CONFLICT
        case NotFound():
            return _NOT_FOUND
        case Notified(is_repeated=True):
            return _REPEATED
        case Notified():
            return answer.disposition.name.lower()
        case _:
            return _FAILED
