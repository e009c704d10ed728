"""`paylatch notify targets`, `pause` and `resume`: the receivers, and stopping to send to one."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from cli.clients import PaymentSide, pages, payment_side
from cli.notify import view
from cli.options import AsJson, DryRun, Operator, PaymentAddress, Reason, resolved_address
from cli.output import console, message_json, print_json, refusal_is_told, show, told_failures
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    ListNotifyTargetsRequest,
    PauseNotifyTargetRequest,
    ResumeNotifyTargetRequest,
)

Target = Annotated[str, typer.Argument(metavar="TARGET", help="Its address, grpc://host:port.")]


def targets_command(*, payment_address: PaymentAddress = None, as_json: AsJson = False) -> None:
    """List the receivers: backlog, oldest, given up, breaker, paused."""
    with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side:
        request = ListNotifyTargetsRequest()
        listed = list(pages(side.server, side.schedules.ListNotifyTargets, request, MAX_PAGE_SIZE))
    targets = [target for page in listed for target in page.targets]
    if as_json:
        print_json({"targets": [message_json(target) for target in targets]})
    else:
        view.show_targets(targets, listed[-1].read_time, console())


def _command(
    told: str, became: str, request_of: Callable[..., Any], method_of: Callable[[PaymentSide], Any]
) -> Callable[..., None]:
    """The command that makes of a receiver what it `became`. told: its help."""

    def command(
        target: Target,
        *,
        operator: Operator,
        reason: Reason,
        dry_run: DryRun = False,
        payment_address: PaymentAddress = None,
        as_json: AsJson = False,
    ) -> None:
        request = request_of(notify_url=target, operator=operator, reason=reason, validate_only=dry_run)
        with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side, refusal_is_told():
            answer = side.server.call(method_of(side), request)
        words = f"would be {became}" if dry_run else f"is {became}"
        show(answer.target, partial(view.say_target, words), as_json=as_json)

    command.__doc__ = told
    return command


pause_command = _command(
    """Stop sending to a receiver until it is resumed. Schedules grow older meanwhile.

    Exit code 1: it is paused already, or there is no such receiver.
    """,
    "paused",
    PauseNotifyTargetRequest,
    lambda side: side.schedules.PauseNotifyTarget,
)
resume_command = _command(
    "Send to a paused receiver again. Exit code 1: it is not paused, or there is no such receiver.",
    "sent to again",
    ResumeNotifyTargetRequest,
    lambda side: side.schedules.ResumeNotifyTarget,
)
