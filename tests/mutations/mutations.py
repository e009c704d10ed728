"""Ways to break the product, each an exact replacement of text, and what it would do to a user."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """In one file, `old` becomes `new`, everywhere it stands."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """One way to break it. why: what would happen."""

    name: str
    why: str
    edits: Sequence[Edit]


def _one(name: str, why: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(name, why, [Edit(file, old, new)])


MUTATIONS: Sequence[Mutation] = (
    _one(
        "drop the token check",
        "a worker that woke up too late overwrites what another one holds",
        "core/outbox/record.py",
        "if row.claim_token == claimed[row.id].lease.token]",
        "if row.claim_token is not None]",
    ),
    _one(
        "acknowledge before the order commits",
        "a crash between the two leaves a payment that is notified and an order that is not paid",
        "core/delivery/deliver.py",
        "            answers = self._caller.call(attempts.claim)",
        """            from core.rules.codes import Disposition
            self._record(claim, Answers({row.schedule_id: Delivered(Disposition.APPLIED) for row in claim.rows}))
            answers = self._caller.call(attempts.claim)""",
    ),
    Mutation(
        "make the three writes two transactions",
        "a crash between the two leaves a settled payment that nobody will ever notify",
        [
            Edit(
                "payment_server/report.py",
                "        settlement.claims = insert_schedules(tx, notifications, self._policy, lease)",
                "        settlement.claims = notifications",
            ),
            Edit(
                "payment_server/report.py",
                "            room.fill(settlement.claims)",
                """            later = settlement.claims
            if later:
                room.fill(self._database.transact(lambda tx: insert_schedules(tx, later, self._policy, room.lease)))""",
            ),
        ],
    ),
    Mutation(
        "forget the unique key",
        "a notification that comes twice acts twice",
        [
            Edit(
                "core/store/migrations/order/0001_order_tables.py",
                '            (("platform_id", "payment_code"), True),',
                '            (("platform_id", "payment_code"), False),',
            ),
            Edit(
                "order_server/ledger.py",
                "        first = self._known.get(notification.key)",
                "        first = None",
            ),
        ],
    ),
    _one(
        "take a commit that raised for one that worked",
        "a report is answered OK, and is not there",
        "core/store/database.py",
        "            raise CommitUnknown from error",
        "            return",
    ),
    _one(
        "take an unknown disposition for a delivery",
        "what a later version of the order side did with the money is taken for applied",
        "core/delivery/call.py",
        '        return TryAgain(UNKNOWN, f"the answer has an unknown disposition: {response.disposition}")',
        "        return Delivered(Disposition.APPLIED)",
    ),
    _one(
        "claim without pushing the due time",
        "two workers have the same row under way at once",
        "core/outbox/claim.py",
        '            "next_notify_time": tx.now + lease.length,',
        '            "next_notify_time": tx.now,',
    ),
    _one(
        "give back after the call was invoked",
        "a receiver that stays silent is called without end",
        "core/delivery/call.py",
        "            return Answers({row.schedule_id: outcome for row in rows}, code in BREAKER_CODES)",
        "            return Answers({}, code in BREAKER_CODES)",
    ),
    _one(
        "let an operator take what a worker holds",
        "two calls of one notification are under way at once",
        "core/outbox/operate.py",
        "    if row.claim_token is not None and row.next_notify_time > tx.now:",
        "    if False:",
    ),
    _one(
        "believe a success from before a reopening",
        "a payment that the restored order database lacks is marked delivered again",
        "core/outbox/record.py",
        "    return is_same and claimed.attempt > row.reopened_attempt",
        "    return is_same",
    ),
    _one(
        "forget lapses in the ledger",
        "attempts that killed their sender are nowhere to be seen",
        "core/outbox/lapse.py",
        "    ledger.note_unknown(tx, [(row, _message(row)) for row in rows])",
        "    return",
    ),
    _one(
        "swallow the item that an answer lacks",
        "a payment the order side never took down is marked delivered",
        "core/delivery/call.py",
        '        return TryAgain(UNKNOWN, "the answer of the batch has no result for this notification")',
        "        return Delivered(Disposition.APPLIED)",
    ),
    _one(
        "match a batch's answers by their place",
        "one payment is given the disposition of another",
        "core/delivery/call.py",
        "        results = {(result.platform_id, result.payment_code): result for result in response.results}",
        "        results = {row.key: result for row, result in zip(rows, response.results, strict=False)}",
    ),
    Mutation(
        "purge what is not finished",
        "a payment that is still to be delivered is forgotten",
        [
            Edit(
                "core/outbox/purge.py",
                "    return row.update_time < before and (row.notify_status == ScheduleStatus.SUCCESS or is_closed)",
                "    return row.update_time < before",
            ),
            Edit(
                "core/outbox/purge.py",
                "table.update_time < before, (table.notify_status == ScheduleStatus.SUCCESS) | closed)",
                "table.update_time < before)",
            ),
            Edit(
                "core/outbox/purge.py",
                "if row.notify_status == ScheduleStatus.FAILED or row.payment_id in delivered]",
                "if True]",
            ),
        ],
    ),
    _one(
        "pay an order with any amount",
        "an order of a thousand is paid with one",
        "order_server/rules.py",
        "    if (notification.amount_minor, notification.currency_code) != (order.amount_minor, order.currency_code):",
        "    if False:",
    ),
    _one(
        "pay a paid order again",
        "the second payment is applied as well, and nobody gives the money back",
        "order_server/rules.py",
        "    if order.paid_by not in (None, notification.key):",
        "    if False:",
    ),
    _one(
        "pay a cancelled order",
        "goods leave for an order that nobody wants",
        "order_server/rules.py",
        "    if cancelled:",
        "    if False:",
    ),
    _one(
        "forget the status log",
        "nobody can say when and why an order became paid",
        "order_server/order_changes.py",
        "        tx.insert(OrderStatusLog, [row for change in changes for row in _log_rows(tx, change)])",
        "        pass",
    ),
    _one(
        "issue a voucher twice",
        "each paid order gives away double",
        "order_server/issue_vouchers.py",
        "                for _ in range(need.quantity)",
        "                for _ in range(2 * need.quantity)",
    ),
    _one(
        "drop a follow-up that fails",
        "a customer waits for vouchers that are on no list",
        "order_server/follow_ups.py",
        "            return [Unmet(need, str(error)) for need in needs]",
        "            return []",
    ),
    _one(
        "expire what a worker holds",
        "a payment is given up while its call is under way",
        "core/outbox/expire.py",
        "    nobody_holds = NotifySchedule.claim_token.is_null() | (NotifySchedule.next_notify_time <= tx.now)",
        "    nobody_holds = NotifySchedule.id > 0",
    ),
    _one(
        "give up without an alarm",
        "a payment stands open, and nobody is told",
        "scheduler/passes.py",
        "            alarm(self._log, recorded.given_up)",
        "            pass",
    ),
    _one(
        "claim without counting",
        "a row that kills its sender is tried without end",
        "core/outbox/claim.py",
        '            "notify_count": row.notify_count + 1,',
        '            "notify_count": row.notify_count,',
    ),
    _one(
        "never claim what a dead worker held",
        "a payment whose sender died stays open for ever",
        "core/outbox/claim.py",
        "    due = _in_turn(tx, in_window.where(NotifySchedule.next_notify_time <= tx.now), policy)",
        """    unheld = NotifySchedule.claim_token.is_null()
    due = _in_turn(tx, in_window.where(NotifySchedule.next_notify_time <= tx.now, unheld), policy)""",
    ),
    _one(
        "never probe a target that failed",
        "an outage of a minute becomes one for ever",
        "core/outbox/breaker.py",
        "    return 1 if _become_prober(tx, row, policy) else 0",
        "    return 0",
    ),
    _one(
        "lose the outcome that contradicts",
        "a platform took money, said so, and nothing of it is left",
        "payment_server/report.py",
        "            self._database.transact(lambda tx: _write_conflict(tx, report))",
        "            pass",
    ),
    _one(
        "give a group's members each other's answers",
        "a platform is told that another payment was settled",
        "payment_server/group.py",
        "        for member, answer in zip(group, answers, strict=True):",
        "        for member, answer in zip(group, reversed(answers), strict=True):",
    ),
    _one(
        "claim without a lease's end for first attempts",
        "the scheduler sends a second time while the first call is under way",
        "core/outbox/insert.py",
        '        "next_notify_time": tx.now + lease.length if lease else tx.now,',
        '        "next_notify_time": tx.now,',
    ),
)
"""Each must turn the simulation red."""
