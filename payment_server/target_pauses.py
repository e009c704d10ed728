"""An operator pauses or resumes a target (SPEC 7, 9). Owns the one transaction of it."""

from collections.abc import Callable, Iterable

from core.logs import Logger
from core.outbox import targets
from core.outbox.policy import OutboxPolicy
from core.outbox.targets import Target, TargetOperation
from core.store.database import Database
from core.store.rehearsal import carry_out
from core.store.transaction import Transaction

_Change = Callable[[Transaction, TargetOperation, Iterable[str]], None]


class TargetPauses:
    """Each change is audited in its own transaction, and none is made twice."""

    def __init__(self, database: Database, policy: OutboxPolicy, log: Logger) -> None:
        self._database = database
        self._allowed = policy.targets
        self._log = log

    def pause(self, operation: TargetOperation, *, validate_only: bool) -> Target:
        """Stop sending to it; the target after that.

        Raises:
            NotFound: it is neither on the allow-list nor was it ever used.
            NotAllowed: it is paused already.
        """
        return self._carry_out("operator.paused", targets.pause, operation, validate_only=validate_only)

    def resume(self, operation: TargetOperation, *, validate_only: bool) -> Target:
        """Send to it again; the target after that.

        Raises:
            NotFound: it is neither on the allow-list nor was it ever used.
            NotAllowed: it is not paused.
        """
        return self._carry_out("operator.resumed", targets.resume, operation, validate_only=validate_only)

    def _carry_out(self, event: str, change: _Change, operation: TargetOperation, *, validate_only: bool) -> Target:
        def work(tx: Transaction) -> Target:
            change(tx, operation, self._allowed)
            every = targets.targets(tx, self._allowed)
            return next(target for target in every if target.notify_url == operation.notify_url)

        target = self._database.transact(lambda tx: carry_out(tx, lambda: work(tx), validate_only=validate_only))
        if not validate_only:
            self._log.info(event, target=operation.notify_url, operator=operation.operator)
        return target
