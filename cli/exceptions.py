"""`paylatch exceptions`: payments that could not simply be applied, over RPC (SPEC 5). Never opens a database."""

from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import typer
from rich.console import Console

from cli.clients import key_of, order_side, pages
from cli.options import AsJson, DryRun, Operator, OrderAddress, Platform, Reason, read_keys, resolved_address
from cli.output import (
    console,
    count,
    enum_text,
    message_json,
    money,
    print_json,
    refusal_is_told,
    say,
    stamp_text,
    table,
    texts,
    told_failures,
)
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1.order_payment_pb2 import PaymentException
from paylatch.order.v1.order_service_pb2 import ListPaymentExceptionsRequest, ResolvePaymentExceptionRequest


class Resolution(StrEnum):
    """How an exception is closed."""

    RETURNED = "returned"
    ACCEPTED = "accepted"


_RESOLUTION = MappingProxyType(
    {
        Resolution.RETURNED: enums.EXCEPTION_RESOLUTION_RETURNED,
        Resolution.ACCEPTED: enums.EXCEPTION_RESOLUTION_ACCEPTED,
    }
)

exceptions_app = typer.Typer(no_args_is_help=True, help="Payments that could not simply be applied: whose money is it?")


@exceptions_app.command("list")
def list_command(
    *,
    order_no: Annotated[str | None, typer.Option(help="Only those of this order.")] = None,
    include_resolved: Annotated[bool, typer.Option("--all", help="Those that were resolved too.")] = False,
    order_address: OrderAddress = None,
    as_json: AsJson = False,
) -> None:
    """List payment exceptions that stand open, the newest first."""
    request = ListPaymentExceptionsRequest(order_no=order_no or "", include_resolved=include_resolved)
    with told_failures(), order_side(resolved_address(order_address, "order")) as side:
        listed = pages(side.server, side.orders.ListPaymentExceptions, request, MAX_PAGE_SIZE)
        found = [one for page in listed for one in page.payment_exceptions]
    if as_json:
        print_json({"payment_exceptions": [message_json(one) for one in found]})
    else:
        _show(found, console())


@exceptions_app.command("resolve")
def resolve_command(
    key: Annotated[str, typer.Argument(metavar="PLATFORM/CODE", help="The payment.")],
    *,
    resolution: Annotated[
        Resolution, typer.Option(help="returned: the money goes back. accepted: an amount that differs pays the order.")
    ],
    operator: Operator,
    reason: Reason,
    platform: Platform = None,
    dry_run: DryRun = False,
    order_address: OrderAddress = None,
    as_json: AsJson = False,
) -> None:
    """Close a payment exception with a reason. Exit code 1: there is none, or it cannot be closed so; see why."""
    with told_failures(), order_side(resolved_address(order_address, "order")) as side:
        (of_payment,) = read_keys([key], platform)
        request = ResolvePaymentExceptionRequest(
            **of_payment._asdict(),
            resolution=_RESOLUTION[resolution],
            operator=operator,
            reason=reason,
            validate_only=dry_run,
        )
        with refusal_is_told():
            answer = side.server.call(side.orders.ResolvePaymentException, request)
    if as_json:
        print_json(message_json(answer))
    else:
        would = "would be" if dry_run else "is"
        say(console(), f"{of_payment} {would} resolved: {resolution}; {_order(answer.payment_exception)}")


def _show(found: list[PaymentException], to: Console) -> None:
    if found:
        drawn = table("payment", "what", "paid", "order", "since", "resolved")
        for one in found:
            what = enum_text(enums.Disposition, one.disposition)
            paid = money(one.amount_minor, one.currency_code)
            drawn.add_row(*texts([key_of(one), what, paid, _order(one), stamp_text(one.create_time), _resolved(one)]))
        to.print(drawn)
    say(to, count(len(found), "payment exception"))


def _order(one: PaymentException) -> str:
    status = enum_text(enums.OrderStatus, one.order_status)
    return f"{one.order_no} over {money(one.order_amount_minor, one.order_currency_code)}, {status}"


def _resolved(one: PaymentException) -> str:
    if not one.HasField("resolution"):
        return ""
    resolution = enum_text(enums.ExceptionResolution, one.resolution)
    return f"{resolution} by {one.resolved_by}: {one.resolve_reason}"
