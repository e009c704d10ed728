"""The spans of a delivery: an attempt for each row, in the trace of its own report, and one for each call.

A call that carries many rows belongs to none of their traces: it is one of its own, linked to each of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never

import grpc

from core.outbox.lease import Claim, ClaimedRow
from core.rpc.status import code_name, code_of
from core.rules.outcome import Delivered, Outcome, Refused, TryAgain
from core.telemetry.tracing import TRACEPARENT, Kind, Span, Tracing, spans

Metadata = tuple[tuple[str, str], ...]


class Attempts:
    """The attempts of one claim. claim: the same, each row with the context of its attempt. Empty when off."""

    def __init__(self, tracing: Tracing, claim: Claim, started: Mapping[int, Span]) -> None:
        self._tracing = tracing
        self._spans = started
        rows = (row._replace(trace_context=_context(started, row)) for row in claim.rows)
        self.claim = Claim(claim.target, tuple(rows)) if started else claim

    @contextmanager
    def recording(self, outcomes: Mapping[int, Outcome]) -> Iterator[None]:
        """While the block records what came of the calls. A row that has no outcome was not called."""
        for schedule_id, attempt in self._spans.items():
            _tell(attempt, outcomes.get(schedule_id))
        delivered, failed = self._contexts(outcomes, delivered=True), self._contexts(outcomes, delivered=False)
        with (
            spans(self._tracing, "notify.acknowledge", delivered),
            spans(self._tracing, "notify.record_failure", failed),
        ):
            yield

    def _contexts(self, outcomes: Mapping[int, Outcome], *, delivered: bool) -> Mapping[int, str | None]:
        return {
            schedule_id: attempt.context
            for schedule_id, attempt in self._spans.items()
            if isinstance(outcomes.get(schedule_id), Delivered) is delivered
        }


@contextmanager
def attempts(tracing: Tracing, claim: Claim) -> Iterator[Attempts]:
    """The attempts that are made and recorded in the block."""
    traced = {row.schedule_id: row for row in claim.rows if row.trace_context is not None}
    with spans(tracing, "notify.attempt", {id_: row.trace_context for id_, row in traced.items()}) as started:
        for schedule_id, attempt in started.items():
            _name(attempt, claim.target, traced[schedule_id])
        yield Attempts(tracing, claim, started)


@contextmanager
def call(tracing: Tracing, method: str, rows: Sequence[ClaimedRow]) -> Iterator[Metadata | None]:
    """While the block calls with `rows`; the metadata to send. A call with one row is part of its attempt."""
    if not tracing.is_on:
        yield None
        return
    contexts = [row.trace_context for row in rows if row.trace_context is not None]
    parent, links = (contexts[0], ()) if len(rows) == len(contexts) == 1 else (None, contexts)
    span = tracing.start(method, parent, Kind.CLIENT, links)
    span.set(rows=len(rows))
    try:
        yield ((TRACEPARENT, span.context),) if span.context else None
    except grpc.RpcError as error:
        span.fail(code_name(code_of(error)))
        raise
    finally:
        span.end()


def _context(started: Mapping[int, Span], row: ClaimedRow) -> str | None:
    return started[row.schedule_id].context if row.schedule_id in started else None


def _name(attempt: Span, target: str, row: ClaimedRow) -> None:
    attempt.set(
        target=target,
        platform_id=row.platform_id,
        payment_code=row.payment_code,
        attempt=row.attempt,
        holder=row.lease.holder,
    )


def _tell(attempt: Span, outcome: Outcome | None) -> None:
    match outcome:
        case Delivered():
            attempt.set(disposition=outcome.disposition.name)
        case TryAgain() | Refused():
            attempt.fail(code_name(outcome.code))
        case None:
            attempt.fail("NOT_CALLED")
        case _:
            assert_never(outcome)
