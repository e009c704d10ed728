"""`paylatch notify list`, `show` and `explain`: looking, and changing nothing."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from cli.clients import Key, PaymentSide, payment_side
from cli.notify import view
from cli.notify.choices import (
    STATUS,
    CreatedAfter,
    CreatedBefore,
    DueBefore,
    IsHandled,
    OfOrder,
    OfStatus,
    OfTarget,
)
from cli.options import AsJson, PaymentAddress, Platform, optional_stamp, read_keys, resolved_address
from cli.output import console, message_json, print_json, refusal_is_told, show, told_failures
from core.rules.limits import MAX_BATCH
from paylatch.payment.v1.notify_schedule_pb2 import NotifySchedule
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    ExplainNotifyScheduleRequest,
    ExplainNotifyScheduleResponse,
    GetNotifyScheduleRequest,
    GetNotifyScheduleResponse,
    ListNotifySchedulesRequest,
)

Answer = TypeVar("Answer")
Payment = Annotated[str, typer.Argument(metavar="PLATFORM/CODE", help="The payment.")]


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
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """List notification schedules, the newest first."""
    request = ListNotifySchedulesRequest(
        page_token=page_token,
        status=STATUS[status],
        notify_url=target or "",
        order_no=order_no or "",
        created_after=optional_stamp(created_after),
        created_before=optional_stamp(created_before),
        due_before=optional_stamp(due_before),
        is_handled=is_handled,
    )
    with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side:
        schedules, next_page_token = _list(side, request, limit)
    if as_json:
        rows = [message_json(schedule) for schedule in schedules]
        print_json({"schedules": rows, "next_page_token": next_page_token})
    else:
        view.show_list(schedules, next_page_token, console())


def show_command(
    key: Payment,
    *,
    platform: Platform = None,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Show one payment's notification schedule and all its attempts. Exit code 1: there is none."""
    answer = _answer_about(key, platform, payment_address, _get)
    show(answer, view.show_one, as_json=as_json)


def explain_command(
    key: Payment,
    *,
    platform: Platform = None,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Say why one payment's notification is not sent now, and when it will be. Exit code 1: there is none."""
    answer = _answer_about(key, platform, payment_address, _explain)
    show(answer, view.show_explained, as_json=as_json)


def _answer_about(
    key: str, platform: str | None, payment_address: str | None, ask: Callable[[PaymentSide, Key], Answer]
) -> Answer:
    with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side:
        (of_payment,) = read_keys([key], platform)
        with refusal_is_told():
            return ask(side, of_payment)


def _get(side: PaymentSide, key: Key) -> GetNotifyScheduleResponse:
    return side.server.read(side.schedules.GetNotifySchedule, GetNotifyScheduleRequest(**key._asdict()))


def _explain(side: PaymentSide, key: Key) -> ExplainNotifyScheduleResponse:
    return side.server.read(side.schedules.ExplainNotifySchedule, ExplainNotifyScheduleRequest(**key._asdict()))


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
