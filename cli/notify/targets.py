"""`paylatch notify targets`, `pause` and `resume`: the receivers, and stopping to send to one."""

from typing import Annotated

import typer

from cli.clients import pages, payment_side
from cli.notify import view
from cli.options import AsJson, DryRun, Operator, PaymentAddress, Reason, resolved_address
from cli.output import console, message_json, print_json, refusal_is_told, told_failures
from core.rules.limits import MAX_PAGE_SIZE
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    ListNotifyTargetsRequest,
    PauseNotifyTargetRequest,
    ResumeNotifyTargetRequest,
)
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget

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


def pause_command(
    target: Target,
    *,
    operator: Operator,
    reason: Reason,
    dry_run: DryRun = False,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Stop sending to a receiver until it is resumed. Schedules grow older meanwhile.

    Exit code 1: it is paused already, or there is no such receiver.
    """
    request = PauseNotifyTargetRequest(notify_url=target, operator=operator, reason=reason, validate_only=dry_run)
    with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side, refusal_is_told():
        answer = side.server.call(side.schedules.PauseNotifyTarget, request)
    _show(answer.target, "would be paused" if dry_run else "is paused", as_json=as_json)


def resume_command(
    target: Target,
    *,
    operator: Operator,
    reason: Reason,
    dry_run: DryRun = False,
    payment_address: PaymentAddress = None,
    as_json: AsJson = False,
) -> None:
    """Send to a paused receiver again. Exit code 1: it is not paused, or there is no such receiver."""
    request = ResumeNotifyTargetRequest(notify_url=target, operator=operator, reason=reason, validate_only=dry_run)
    with told_failures(), payment_side(resolved_address(payment_address, "operator")) as side, refusal_is_told():
        answer = side.server.call(side.schedules.ResumeNotifyTarget, request)
    _show(answer.target, "would be sent to again" if dry_run else "is sent to again", as_json=as_json)


def _show(target: NotifyTarget, became: str, *, as_json: bool) -> None:
    if as_json:
        print_json(message_json(target))
    else:
        view.say_target(target, became, console())
