"""One frame: targets with their backlogs and how these change, and what needs a person with the call to make. Draws."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import enum_text, table, texts, time_text
from cli.top.sample import Count, Open, Outbox, Sample
from core.rpc.translate import from_timestamp
from core.rules.limits import clean_text
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget

_LONGEST_FORECAST = timedelta(days=3)


def frame(now: Sample, before: Sample | None = None, hint: str = "") -> RenderableType:
    """A sample as a person sees it; `before` is the one to compare it with, `hint` stands beside the time."""
    parts: list[RenderableType] = [_headline(now, hint)]
    parts += [Text(clean_text(problem), style="bold red") for problem in now.problems]
    if now.outbox is not None:
        parts.append(_targets(now.outbox, before.outbox if before is not None else None))
    parts.append(_needs_a_person(now.outbox, now.open))
    return Group(*parts)


def _headline(sample: Sample, hint: str) -> Text:
    at = time_text(sample.outbox.time) if sample.outbox is not None else "payment side away"
    return Text.assemble(("paylatch", "bold"), f"  {at}", (f"  {hint}" if hint else "", "dim"))


def _targets(now: Outbox, before: Outbox | None) -> Table:
    figures = ("backlog", "change", "due", "oldest", "empty in", "given up")
    drawn = table("target", *figures, "breaker", "state", right=figures)
    known = {one.notify_url: one for one in before.targets} if before is not None else {}
    seconds = (now.time - before.time).total_seconds() if before is not None else 0.0
    for one in now.targets:
        earlier = known.get(one.notify_url)
        change = (one.backlog - earlier.backlog) / seconds if earlier is not None and seconds > 0 else None
        cells = [one.notify_url, f"{one.backlog:,}", _change(change), f"{one.due_count:,}", _age(one, now)]
        cells += [_forecast(one.backlog, change), f"{one.given_up_count:,}", _breaker(one), _state(one)]
        drawn.add_row(*texts(cells), style="red" if _is_in_trouble(one) else None)
    return drawn


def _change(a_second: float | None) -> str:
    """Rows a second; nothing before there is anything to compare with."""
    return (
        ""
        if a_second is None
        else f"{a_second:+,.0f}/s"
        if abs(a_second) >= 1 or a_second == 0
        else f"{a_second:+.1f}/s"
    )


def _forecast(backlog: int, a_second: float | None) -> str:
    if not backlog or a_second is None or a_second >= 0:
        return ""
    left = (
        timedelta(seconds=round(backlog / -a_second))
        if backlog / -a_second < _LONGEST_FORECAST.total_seconds()
        else None
    )
    return str(left) if left is not None else "days"


def _age(target: NotifyTarget, now: Outbox) -> str:
    if not target.HasField("oldest_create_time"):
        return ""
    age = now.time - from_timestamp(target.oldest_create_time)
    return str(max(timedelta(0), timedelta(seconds=int(age.total_seconds()))))


def _breaker(target: NotifyTarget) -> str:
    return enum_text(enums.BreakerState, target.breaker_state).lower().replace("_", " ")


def _state(target: NotifyTarget) -> str:
    if target.HasField("paused_time"):
        return f"paused by {target.paused_by}"
    return "" if target.is_allowed else "not on the allow-list"


def _is_in_trouble(target: NotifyTarget) -> bool:
    is_unsent = bool(target.backlog) and not target.is_allowed
    return target.given_up_count > 0 or target.breaker_state != enums.BREAKER_STATE_CLOSED or is_unsent


def _needs_a_person(outbox: Outbox | None, still_open: Open | None) -> RenderableType:
    drawn = table("needs a person", "count", "the call to make", right=("count",))
    for what, count, call in _waiting(outbox, still_open):
        drawn.add_row(*texts([what, count, call]), style="bold")
    if drawn.row_count:
        return drawn
    return Text("Nothing that was read needs a person.", style="green")


def _waiting(outbox: Outbox | None, still_open: Open | None) -> Sequence[tuple[str, Count, str]]:
    found: list[tuple[str, Count, str]] = []
    if outbox is not None:
        given_up = Count(sum(target.given_up_count for target in outbox.targets))
        found.append(("notifications given up", given_up, "paylatch notify list --status failed"))
        found.append(("payments reported both ways", outbox.conflicts, "paylatch reconcile"))
    if still_open is not None:
        found.append(("payment exceptions", still_open.exceptions, "paylatch exceptions list"))
        found.append(("follow-ups of paid orders", still_open.follow_ups, "paylatch follow-ups list"))
    return [one for one in found if one[1].number]
