"""`paylatch follow-ups`: what paid orders still need, over RPC (SPEC 6). Never opens a database."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.clients import OrderSide, order_side, pages
from cli.options import AsJson, DryRun, Operator, OrderAddress, Reason, resolved_address
from cli.output import (
    ExitCode,
    console,
    count,
    enum_text,
    message_json,
    print_json,
    refusal_is_told,
    say,
    show,
    stamp_text,
    table,
    texts,
    told_failures,
)
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.order.v1 import order_enums_pb2 as enums
from paylatch.order.v1.order_pb2 import OrderFollowUp
from paylatch.order.v1.order_service_pb2 import (
    ListOrderFollowUpsRequest,
    ResolveOrderFollowUpRequest,
    RetryOrderFollowUpRequest,
)

follow_ups_app = typer.Typer(no_args_is_help=True, help="What paid orders still need: goods, vouchers.")

OrderNo = Annotated[str, typer.Argument(help="The order.")]
Name = Annotated[str, typer.Argument(help="The follow-up, as the list names it.")]
Sku = Annotated[str, typer.Argument(help="The sku.")]


@follow_ups_app.command("list")
def list_command(
    *,
    order_no: Annotated[str | None, typer.Option(help="Only those of this order.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    include_resolved: Annotated[bool, typer.Option("--all", help="Those that are done or closed too.")] = False,
    order_address: OrderAddress = None,
    as_json: AsJson = False,
) -> None:
    """List follow-ups that stand open, the newest first."""
    request = ListOrderFollowUpsRequest(order_no=order_no or "", name=name or "", include_resolved=include_resolved)
    with told_failures(), order_side(resolved_address(order_address, "order")) as side:
        listed = pages(side.server, side.orders.ListOrderFollowUps, request, MAX_PAGE_SIZE)
        found = [one for page in listed for one in page.order_follow_ups]
    if as_json:
        print_json({"order_follow_ups": [message_json(one) for one in found]})
    else:
        _show(found, console())


def _add_command(verb: str, told: str, request_of: Callable[..., Any], method_of: Callable[[OrderSide], Any]) -> None:
    """Add a command that has something done about one follow-up. told: its help."""

    def command(
        order_no: OrderNo,
        name: Name,
        sku: Sku,
        *,
        operator: Operator,
        reason: Reason,
        dry_run: DryRun = False,
        order_address: OrderAddress = None,
        as_json: AsJson = False,
    ) -> None:
        request = request_of(
            order_no=order_no, name=name, sku=sku, operator=operator, reason=reason, validate_only=dry_run
        )
        with told_failures(), order_side(resolved_address(order_address, "order")) as side, refusal_is_told():
            answer = side.server.call(method_of(side), request)
        show(answer.order_follow_up, partial(_tell, dry_run), as_json=as_json)
        raise typer.Exit(ExitCode.OK if answer.order_follow_up.HasField("resolution") else ExitCode.NOT_ALL)

    follow_ups_app.command(verb, help=told)(command)


_add_command(
    "retry",
    "Try a follow-up again. Exit code 1: there is none, or it is still open; see why.",
    RetryOrderFollowUpRequest,
    lambda side: side.orders.RetryOrderFollowUp,
)
_add_command(
    "resolve",
    """Close a follow-up that is not needed any more, or was done by hand.

    Exit code 1: there is none, or it is closed already.
    """,
    ResolveOrderFollowUpRequest,
    lambda side: side.orders.ResolveOrderFollowUp,
)


def _show(found: list[OrderFollowUp], to: Console) -> None:
    if found:
        drawn = table("order", "name", "sku", "done", "since", "state", right=("done",))
        for one in found:
            done = f"{one.done:,} of {one.wanted:,}"
            drawn.add_row(*texts([one.order_no, one.name, one.sku, done, stamp_text(one.create_time), _state(one)]))
        to.print(drawn)
    say(to, count(len(found), "follow-up"))


def _tell(dry_run: bool, one: OrderFollowUp, to: Console) -> None:
    would = "would be: " if dry_run else ""
    done = f"{one.done:,} of {one.wanted:,} done"
    say(to, f"{one.order_no} {one.name} {one.sku} {would}{done}; {_state(one)}")


def _state(one: OrderFollowUp) -> str:
    if not one.HasField("resolution"):
        return f"open: {one.error}"
    resolution = enum_text(enums.FollowUpResolution, one.resolution).lower()
    return f"{resolution} by {one.resolved_by}: {one.resolve_reason}"
