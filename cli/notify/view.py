"""Schedules and attempts for a person, and what became of a request. Draws; decides nothing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from cli.clients import code_name, key_of
from cli.describe import last_attempt
from cli.notify.ask import Asked
from cli.output import count, enum_text, message_json, say, stamp_text, table, texts
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifyAttempt, NotifySchedule, NotifyScheduleResult
from paylatch.payment.v1.notify_schedule_service_pb2 import ExplainNotifyScheduleResponse, GetNotifyScheduleResponse
from paylatch.payment.v1.notify_target_pb2 import NotifyTarget

SHOWN = 20
"""Schedules listed of an act on many."""


def show_list(schedules: Sequence[NotifySchedule], next_page_token: str, console: Console) -> None:
    """Draw a list, and say how to go on."""
    if schedules:
        drawn = table("payment", "order", "status", "attempts", "next", "last attempt", right=("attempts",))
        for one in schedules:
            cells = [key_of(one), one.order_no, _status(one), one.notify_count, _next(one), last_attempt(one)]
            drawn.add_row(*texts(cells))
        console.print(drawn)
    more = f"; more follow: --page-token {next_page_token}" if next_page_token else ""
    say(console, count(len(schedules), "schedule") + more, whole=True)


def show_one(answer: GetNotifyScheduleResponse, console: Console) -> None:
    """Draw one schedule and its attempts."""
    console.print(_details(answer.schedule))
    if not answer.attempts:
        say(console, "No attempt has ended yet.")
        return
    drawn = table("#", "started", "took", "result", "by", title="Attempts", right=("#", "took"))
    for attempt in answer.attempts:
        result = f"{code_name(attempt.code)} {attempt.message}".rstrip()
        drawn.add_row(*texts([attempt.number, stamp_text(attempt.start_time), _took(attempt), result, attempt.made_by]))
    console.print(drawn)


def show_asked(act: str, asked: Asked, console: Console, *, dry_run: bool) -> None:
    """Draw what became of the schedules, refusals first and not more than a person reads, and how many changed."""
    if asked.results:
        drawn = table("payment", "result", "next")
        for result in sorted(asked.results, key=lambda result: not result.HasField("error"))[:SHOWN]:
            drawn.add_row(*texts([key_of(result), *_became(result)]), style="red" if result.HasField("error") else None)
        console.print(drawn)
    if len(asked.results) > SHOWN:
        say(console, f"… and {len(asked.results) - SHOWN:,} more, not listed here: --json lists all")
    would = "would change" if dry_run else "changed"
    say(console, f"{act}: {asked.changed_count:,} of {count(len(asked.results), 'schedule')} {would}")


def asked_json(act: str, asked: Asked, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "action": act,
        "dry_run": dry_run,
        "changed_count": asked.changed_count,
        "results": [message_json(result) for result in asked.results],
        "failure": str(asked.failure) if asked.failure else None,
    }


def show_explained(answer: ExplainNotifyScheduleResponse, console: Console) -> None:
    """Draw a schedule, all that hinders it, and the attempts it has left."""
    console.print(_details(answer.schedule))
    if answer.hindrances:
        drawn = table("not sent now because", "until", "")
        for one in answer.hindrances:
            until = stamp_text(one.until) if one.HasField("until") else ""
            drawn.add_row(*texts([enum_text(enums.HindranceKind, one.kind), until, one.description]))
        console.print(drawn)
    else:
        due_for = _since(answer.schedule.next_notify_time, answer.read_time)
        say(console, f"Nothing hinders it, and it has been due for {due_for}: a scheduler takes it with its next poll.")
        say(console, "If that time grows, no scheduler works: start one.")
    if answer.planned_attempts:
        drawn = table("attempt", "planned", "earliest", "latest", title="If each fails", right=("attempt",))
        for attempt in answer.planned_attempts:
            times = [attempt.planned_time, attempt.earliest_time, attempt.latest_time]
            drawn.add_row(*texts([attempt.number, *map(stamp_text, times)]))
        console.print(drawn)


def show_targets(targets: Sequence[NotifyTarget], now: Timestamp, console: Console) -> None:
    """Draw every receiver."""
    figures = ("backlog", "due", "oldest", "given up")
    drawn = table("target", *figures, "breaker", "state", right=figures)
    for one in targets:
        cells = [one.notify_url, *(f"{number:,}" for number in (one.backlog, one.due_count))]
        drawn.add_row(*texts([*cells, _age(one, now), f"{one.given_up_count:,}", _breaker(one), _state(one)]))
    console.print(drawn)


def say_target(became: str, target: NotifyTarget, console: Console) -> None:
    """One line: what a receiver has become, and what waits for it."""
    say(console, f"{target.notify_url} {became}; {count(target.backlog, 'schedule')} on the way to it")


def _age(target: NotifyTarget, now: Timestamp) -> str:
    if not target.HasField("oldest_create_time"):
        return ""
    return _since(target.oldest_create_time, now)


def _since(time: Timestamp, now: Timestamp) -> str:
    return str(timedelta(seconds=max(0, now.seconds - time.seconds)))


def _breaker(target: NotifyTarget) -> str:
    state = enum_text(enums.BreakerState, target.breaker_state).lower()
    until = f" until {stamp_text(target.breaker_until)}" if target.HasField("breaker_until") else ""
    ramp = f", {count(target.ramp_limit, 'row')} a call" if target.HasField("ramp_limit") else ""
    return f"{state}{until}{ramp}"


def _state(target: NotifyTarget) -> str:
    allowed = [] if target.is_allowed else ["not on the allow-list"]
    if target.HasField("paused_time"):
        since = stamp_text(target.paused_time)
        allowed.append(f"paused since {since} by {target.paused_by}: {target.paused_reason}")
    return "; ".join(allowed)


def _details(schedule: NotifySchedule) -> Table:
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    rows = [
        ("payment", key_of(schedule)),
        ("order", schedule.order_no),
        ("target", schedule.notify_url),
        ("status", _status(schedule)),
        ("attempts", schedule.notify_count),
        ("next", _next(schedule)),
        ("given up at", stamp_text(schedule.give_up_time)),
        ("last attempt", last_attempt(schedule)),
        ("inserted", stamp_text(schedule.create_time)),
        ("handled", _handled(schedule)),
    ]
    for name, value in rows:
        if value != "":
            drawn.add_row(*texts([name, value]))
    return drawn


def _status(schedule: NotifySchedule) -> str:
    status = enum_text(enums.ScheduleStatus, schedule.status)
    return f"{status}, handled" if schedule.HasField("handled_time") else status


def _next(schedule: NotifySchedule) -> str:
    if schedule.status != enums.SCHEDULE_STATUS_NOTIFYING:
        return ""
    if schedule.is_claimed:
        return f"now, by {schedule.claimed_by}"
    return stamp_text(schedule.next_notify_time)


def _handled(schedule: NotifySchedule) -> str:
    if not schedule.HasField("handled_time"):
        return ""
    return f"{stamp_text(schedule.handled_time)} by {schedule.handled_by}: {schedule.handled_reason}"


def _took(attempt: NotifyAttempt) -> str:
    milliseconds = (attempt.finish_time.ToNanoseconds() - attempt.start_time.ToNanoseconds()) / 1e6
    return f"{milliseconds:,.0f} ms"


def _became(result: NotifyScheduleResult) -> tuple[str, str]:
    if result.HasField("error"):
        return f"{result.error.reason}: {result.error.message}", ""
    return _status(result.schedule), _next(result.schedule)
