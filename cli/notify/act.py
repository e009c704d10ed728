"""`paylatch notify retry` and `abandon`: by keys, or by filters and a limit. Each is audited under --operator."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from cli.clients import CannotRun, payment_side
from cli.notify import view
from cli.notify.ask import Asked, Request, ask_by_filter, ask_by_keys
from cli.notify.choices import (
    ACTION,
    STATUS,
    Action,
    CreatedAfter,
    CreatedBefore,
    OfOrder,
    OfStatus,
    OfTarget,
    Status,
)
from cli.options import (
    AsJson,
    DryRun,
    Operator,
    PaymentAddress,
    Platform,
    Reason,
    duration,
    moment,
    optional_stamp,
    read_keys,
    resolved_address,
)
from cli.output import console, print_json, tell_failure, told_failures
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.payment.v1.notify_schedule_pb2 import NotifyScheduleFilter
from paylatch.payment.v1.notify_schedule_service_pb2 import AbandonNotifySchedulesRequest, RetryNotifySchedulesRequest

Keys = Annotated[list[str] | None, typer.Argument(metavar="[PLATFORM/CODE]...", help="The payments.")]
IsAll = Annotated[bool, typer.Option("--all", help="No keys and no filter: all the command is for.")]
Limit = Annotated[
    int | None, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Without keys: at most so many, the oldest first.")
]
UnchangedSince = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Leave alone what has changed since then: since you looked."),
]


def retry_command(
    keys: Keys = None,
    *,
    action: Annotated[Action, typer.Option(help="What to do; reopen and restore take keys only.")],
    operator: Operator,
    reason: Reason,
    platform: Platform = None,
    status: OfStatus = None,
    target: OfTarget = None,
    order_no: OfOrder = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    is_all: IsAll = False,
    limit: Limit = None,
    notify_url: Annotated[str | None, typer.Option(help="Deliver to this target from now on.")] = None,
    spread_over: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Make them due one by one over this long: 10m."),
    ] = None,
    unchanged_since: UnchangedSince = None,
    dry_run: DryRun = False,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Have notifications tried again: by keys, or by filters and --limit.

    requeue: given-up ones, from the start. due-now: waiting ones, at once. reopen: delivered ones the order side lost.
    restore: settled payments whose schedule is missing.

    Exit code 0: all of them changed. 1: some did not, see why. 2: it could not be asked, or not to the end.
    """
    request = RetryNotifySchedulesRequest(
        action=ACTION[action],
        notify_url=notify_url,
        operator=operator,
        reason=reason,
        validate_only=dry_run,
        unchanged_since=optional_stamp(unchanged_since),
        spread_over=None if spread_over is None else Duration(seconds=int(spread_over.total_seconds())),
    )
    chosen = _filter(status, target, order_no, created_after, created_before)
    with told_failures():
        _check_selection(bool(keys), chosen != NotifyScheduleFilter(), is_all, limit)
        asked = _ask(request, _Which(keys or [], platform, chosen, limit or 0), payment_address)
    _show_asked(action.value, asked, dry_run=dry_run, as_json=as_json)


def abandon_command(
    keys: Keys = None,
    *,
    operator: Operator,
    reason: Reason,
    platform: Platform = None,
    status: OfStatus = None,
    target: OfTarget = None,
    order_no: OfOrder = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    is_all: IsAll = False,
    limit: Limit = None,
    unchanged_since: UnchangedSince = None,
    dry_run: DryRun = False,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Close notifications that shall not be tried any more: by keys, or by filters and --limit.

    Without --status, those given up that nobody has handled. The payment and its order stay as they are.

    Exit code 0: all of them closed. 1: some were not, see why. 2: it could not be asked, or not to the end.
    """
    request = AbandonNotifySchedulesRequest(
        operator=operator,
        reason=reason,
        validate_only=dry_run,
        unchanged_since=optional_stamp(unchanged_since),
    )
    chosen = _filter(status, target, order_no, created_after, created_before)
    with told_failures():
        _check_selection(bool(keys), chosen != NotifyScheduleFilter(), is_all, limit)
        asked = _ask(request, _Which(keys or [], platform, chosen, limit or 0), payment_address)
    _show_asked("abandon", asked, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Which:
    """The schedules that are meant: by key, or else the oldest `limit` that the filter finds."""

    keys: list[str]
    platform: str | None
    chosen: NotifyScheduleFilter
    limit: int


def _filter(
    status: Status | None,
    target: str | None,
    order_no: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
) -> NotifyScheduleFilter:
    return NotifyScheduleFilter(
        status=STATUS[status],
        notify_url=target or "",
        order_no=order_no or "",
        created_after=optional_stamp(created_after),
        created_before=optional_stamp(created_before),
    )


def _ask(request: Request, which: _Which, payment_address: str | None) -> Asked:
    with payment_side(resolved_address(payment_address, "operator")) as side:
        if which.keys:
            return ask_by_keys(side, request, read_keys(which.keys, which.platform))
        return ask_by_filter(side, request, which.chosen, which.limit)


def _check_selection(has_keys: bool, has_filter: bool, is_all: bool, limit: int | None) -> None:
    if has_keys and (has_filter or is_all or limit is not None):
        raise CannotRun("give either keys, or filters with --limit, and not both")
    if not has_keys and not has_filter and not is_all:
        raise CannotRun(
            "say which: keys as PLATFORM/CODE, or filters such as --target, or --all; the latter with --limit"
        )
    if not has_keys and limit is None:
        raise CannotRun(f"without keys --limit says how many at most: 1 to {MAX_PAGE_SIZE}")


def _show_asked(act: str, asked: Asked, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(view.asked_json(act, asked, dry_run=dry_run))
    else:
        view.show_asked(act, asked, console(), dry_run=dry_run)
    if asked.failure:
        tell_failure(asked.failure)
    raise typer.Exit(asked.exit_code)
