"""The commands `paylatch notify list`, `show` and `retry`. Each reads its options, calls, and shows the answer."""

from datetime import datetime
from typing import Annotated

import grpc
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from cli.clients import CallFailed, CannotRun, Key, PaymentSide, payment_side
from cli.notify import view
from cli.notify.choices import (
    ACTION,
    STATUS,
    Action,
    Address,
    AsJson,
    CreatedAfter,
    CreatedBefore,
    DueBefore,
    IsHandled,
    OfOrder,
    OfStatus,
    OfTarget,
    Platform,
)
from cli.notify.retry import Asked, retry_by_filter, retry_by_keys
from cli.options import read_keys, resolved_address
from cli.output import ExitCode, console, message_json, print_json, tell_failure, told_failures
from core.rpc.translate import to_timestamp
from core.rules.limits import MAX_BATCH, MAX_PAGE_SIZE
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule, NotifyScheduleFilter
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    GetNotifyScheduleRequest,
    GetNotifyScheduleResponse,
    ListNotifySchedulesRequest,
    RetryNotifySchedulesRequest,
)

_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]

notify_app = typer.Typer(
    no_args_is_help=True, help="Notifications: which have not arrived, why, and trying them again."
)


@notify_app.command("list")
def list_command(
    *,
    status: OfStatus = None,
    target: OfTarget = None,
    order_no: OfOrder = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    due_before: DueBefore = None,
    is_handled: IsHandled = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    page_token: Annotated[str, typer.Option(help="Go on where a list with the same filters ended.")] = "",
    payment_address: Address = None,
    as_json: AsJson = False,
) -> None:
    """List notification schedules, the newest first."""
    request = ListNotifySchedulesRequest(
        page_token=page_token,
        status=STATUS[status],
        notify_url=target or "",
        order_no=order_no or "",
        created_after=_stamp(created_after),
        created_before=_stamp(created_before),
        due_before=_stamp(due_before),
        is_handled=is_handled,
    )
    with told_failures(), payment_side(resolved_address(payment_address, "payment")) as side:
        schedules, next_page_token = _list(side, request, limit)
    if as_json:
        rows = [message_json(schedule) for schedule in schedules]
        print_json({"schedules": rows, "next_page_token": next_page_token})
    else:
        view.show_list(schedules, next_page_token, console())


@notify_app.command("show")
def show_command(
    key: Annotated[str, typer.Argument(metavar="PLATFORM/CODE", help="The payment.")],
    *,
    platform: Platform = None,
    payment_address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show one payment's notification schedule and all its attempts. Exit code 1: there is none."""
    with told_failures(), payment_side(resolved_address(payment_address, "payment")) as side:
        (of_payment,) = read_keys([key], platform)
        answer = _get(side, of_payment)
    if as_json:
        print_json(message_json(answer))
    else:
        view.show_one(answer, console())


@notify_app.command("retry")
def retry_command(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[PLATFORM/CODE]...", help="The payments.")] = None,
    *,
    action: Annotated[Action, typer.Option(help="What to do; reopen and restore take keys only.")],
    operator: Annotated[str, typer.Option(help="Who asks. Recorded.")],
    reason: Annotated[str, typer.Option(help="Why. Recorded.")],
    platform: Platform = None,
    status: OfStatus = None,
    target: OfTarget = None,
    order_no: OfOrder = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    is_all: Annotated[bool, typer.Option("--all", help="No keys and no filter: all the action is for.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Without keys: at most so many, the oldest first.")
    ] = None,
    notify_url: Annotated[str | None, typer.Option(help="Deliver to this target from now on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    payment_address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Have notifications tried again: by keys, or by filters and --limit.

    requeue: given-up ones, from the start. due-now: waiting ones, at once. reopen: delivered ones the order side lost.
    restore: settled payments whose schedule is missing.

    Exit code 0: all of them changed. 1: some did not, see why. 2: it could not be asked, or not to the end.
    """
    chosen = NotifyScheduleFilter(
        status=STATUS[status],
        notify_url=target or "",
        order_no=order_no or "",
        created_after=_stamp(created_after),
        created_before=_stamp(created_before),
    )
    request = RetryNotifySchedulesRequest(
        action=ACTION[action], notify_url=notify_url, operator=operator, reason=reason, validate_only=dry_run
    )
    with told_failures(), payment_side(resolved_address(payment_address, "payment")) as side:
        _check_selection(bool(keys), chosen != NotifyScheduleFilter(), is_all, limit)
        if keys:
            asked = retry_by_keys(side, request, read_keys(keys, platform))
        else:
            asked = retry_by_filter(side, request, chosen, limit or 0)
    _show_asked(action, asked, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(asked.exit_code)


def _list(side: PaymentSide, request: ListNotifySchedulesRequest, limit: int) -> tuple[list[NotifySchedule], str]:
    """At most `limit` schedules, and the token of those that follow."""
    found: list[NotifySchedule] = []
    while True:
        request.page_size = min(MAX_BATCH, limit - len(found))
        page = side.server.read(side.schedules.ListNotifySchedules, request)
        found += page.schedules
        if not page.next_page_token or len(found) >= limit:
            return found, page.next_page_token
        request.page_token = page.next_page_token


def _get(side: PaymentSide, key: Key) -> GetNotifyScheduleResponse:
    try:
        return side.server.read(side.schedules.GetNotifySchedule, GetNotifyScheduleRequest(**key._asdict()))
    except CallFailed as failure:
        if failure.code != _NOT_FOUND:
            raise
        tell_failure(failure)
        raise typer.Exit(ExitCode.NOT_ALL) from failure


def _check_selection(has_keys: bool, has_filter: bool, is_all: bool, limit: int | None) -> None:
    if has_keys and (has_filter or is_all or limit is not None):
        raise CannotRun("give either keys, or filters with --limit, and not both")
    if not has_keys and not has_filter and not is_all:
        raise CannotRun(
            "say which: keys as PLATFORM/CODE, or filters such as --target, or --all; the latter with --limit"
        )
    if not has_keys and limit is None:
        raise CannotRun(f"without keys --limit says how many at most: 1 to {MAX_PAGE_SIZE}")


def _show_asked(action: Action, asked: Asked, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(view.asked_json(action, asked, dry_run=dry_run))
    else:
        view.show_asked(action, asked, console(), dry_run=dry_run)
    if asked.failure:
        tell_failure(asked.failure)


def _stamp(time: datetime | None) -> Timestamp | None:
    return to_timestamp(time) if time is not None else None
