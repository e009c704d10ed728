"""Schedules and attempts for a person, and what became of a request. Draws; decides nothing."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.clients import code_name, key_of
from cli.describe import last_attempt
from cli.notify.choices import Action
from cli.notify.retry import Asked
from cli.output import count, enum_text, message_json, say, stamp_text, table, texts
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifyAttempt, NotifySchedule
from paylatch.payment.v1.notify_schedule_service_pb2 import GetNotifyScheduleResponse, RetryNotifySchedulesResult


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


def show_asked(action: Action, asked: Asked, console: Console, *, dry_run: bool) -> None:
    """Draw what became of each schedule, and how many changed."""
    if asked.results:
        drawn = table("payment", "result", "next")
        for result in asked.results:
            drawn.add_row(*texts([key_of(result), *_became(result)]), style="red" if result.HasField("error") else None)
        console.print(drawn)
    would = "would change" if dry_run else "changed"
    say(console, f"{action}: {asked.changed_count:,} of {count(len(asked.results), 'schedule')} {would}")


def asked_json(action: Action, asked: Asked, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "action": action.value,
        "dry_run": dry_run,
        "changed_count": asked.changed_count,
        "results": [message_json(result) for result in asked.results],
        "failure": str(asked.failure) if asked.failure else None,
    }


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


def _became(result: RetryNotifySchedulesResult) -> tuple[str, str]:
    if result.HasField("error"):
        return f"{result.error.reason}: {result.error.message}", ""
    return _status(result.schedule), _next(result.schedule)
