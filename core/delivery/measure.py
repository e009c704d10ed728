"""What delivering comes to, counted by target: a few counts for each batch, none while metrics are off."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import assert_never

from core.outbox.breaker import BreakerChange
from core.outbox.lease import ClaimedRow
from core.outbox.record import GivenUp, Recorded
from core.rpc.status import code_name
from core.rules.codes import BreakerState
from core.rules.outcome import OK, Delivered, Outcome, Refused, TryAgain
from core.telemetry.catalogue import (
    ATTEMPTS,
    BREAKER_OPENED,
    DELIVERY_SECONDS,
    GIVEN_BACK,
    GIVEN_UP,
    LAPSED,
    OTHER,
    STALE,
)
from core.telemetry.metrics import NO_METRICS, Metrics

_FROM_THE_START = (GIVEN_BACK, LAPSED, STALE, GIVEN_UP, BREAKER_OPENED)


class DeliveryMetrics:
    """See the module. targets: the allow-list; whatever else is counted as `other`."""

    def __init__(self, metrics: Metrics, targets: Iterable[str]) -> None:
        self._metrics = metrics
        self._targets = frozenset(targets)
        for target in sorted(self._targets):
            for metric in _FROM_THE_START:
                metrics.count(metric, target, by=0)

    def called(
        self, target: str, rows: Sequence[ClaimedRow], outcomes: Mapping[int, Outcome], recorded_at: datetime
    ) -> None:
        """Attempts were recorded, at this time of the database."""
        if not self._metrics.is_on:
            return
        label = self._label(target)
        for (outcome, code), count in Counter(map(_outcome_and_code, outcomes.values())).items():
            self._metrics.count(ATTEMPTS, label, outcome, code, by=count)
        waited = [
            (recorded_at - row.create_time).total_seconds()
            for row in rows
            if isinstance(outcomes[row.schedule_id], Delivered)
        ]
        if waited:
            self._metrics.observe(DELIVERY_SECONDS, waited, label)

    def recorded(self, target: str, recorded: Recorded) -> None:
        """A claim or a recording changed this."""
        if not self._metrics.is_on:
            return
        counts = {GIVEN_BACK: recorded.given_back, LAPSED: recorded.lapsed, STALE: recorded.stale}
        for metric, count in counts.items():
            if count:
                self._metrics.count(metric, self._label(target), by=count)
        self.given_up(recorded.given_up)

    def given_up(self, rows: Iterable[GivenUp]) -> None:
        """These were given up."""
        for target, count in Counter(row.target for row in rows).items():
            self._metrics.count(GIVEN_UP, self._label(target), by=count)

    def breaker(self, change: BreakerChange | None) -> None:
        """A breaker may have opened."""
        if change is not None and change.state is BreakerState.OPEN:
            self._metrics.count(BREAKER_OPENED, self._label(change.target))

    def _label(self, target: str) -> str:
        return target if target in self._targets else OTHER


NO_DELIVERY_METRICS = DeliveryMetrics(NO_METRICS, ())
"""Of a delivery that nobody measures."""


def _outcome_and_code(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Delivered():
            return "delivered", code_name(OK)
        case TryAgain():
            return "failed", code_name(outcome.code)
        case Refused():
            return "refused", code_name(outcome.code)
        case _:
            assert_never(outcome)
