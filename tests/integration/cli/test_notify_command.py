"""`paylatch notify list`, `show` and `retry`."""

import json
from datetime import timedelta

import grpc
import pytest
from typer.testing import CliRunner, Result

from cli.clients import Key
from cli.notify import notify_app
from core.rpc.translate import to_timestamp
from core.rules.errors import FieldViolation, InvalidInput, Unavailable
from paylatch.payment.v1 import payment_enums_pb2 as enums
from paylatch.payment.v1.notify_schedule_pb2 import NotifyAttempt, NotifyScheduleFilter
from paylatch.payment.v1.notify_schedule_service_pb2 import (
    GetNotifyScheduleRequest,
    ListNotifySchedulesRequest,
    RetryNotifySchedulesRequest,
)
from tests.support.sides import LONG_AGO, TARGET, Sides

WHO_AND_WHY = ("--operator", "ana", "--reason", "the receiver is back")


def invoke(sides: Sides, *arguments: str) -> Result:
    # A terminal of this width draws no line of these tests in two.
    return CliRunner().invoke(
        notify_app, [arguments[0], "--payment-address", sides.payment_address, *arguments[1:]], env={"COLUMNS": "200"}
    )


def retry(sides: Sides, *arguments: str) -> Result:
    return invoke(sides, "retry", *WHO_AND_WHY, *arguments)


def test_a_list_shows_how_each_delivery_stands(sides: Sides) -> None:
    sides.give_up(sides.undelivered("P1"), grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")
    sides.undelivered("P2")
    result = invoke(sides, "list")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if "card/" in line]
    assert lines == [
        ["card/P2", "O-P2", "NOTIFYING", "1", "2020-01-01", "12:00:00Z", "UNAVAILABLE", "connection", "refused"],
        ["card/P1", "O-P1", "FAILED", "1", "DEADLINE_EXCEEDED", "too", "slow"],
    ]
    assert result.stdout.endswith("2 schedules\n")


def test_an_empty_list_is_no_error(sides: Sides) -> None:
    result = invoke(sides, "list")
    assert (result.exit_code, result.stdout) == (0, "0 schedules\n")


def test_the_filters_of_a_list_are_those_of_the_rpc(sides: Sides) -> None:
    invoke(
        sides,
        "list",
        *("--status", "failed", "--target", TARGET, "--order-no", "O-1", "--unhandled", "--limit", "7"),
        *("--created-after", "2020-01-01T12:00:00Z", "--created-before", "2020-01-02", "--due-before", "2020-01-03"),
    )
    assert sides.made(ListNotifySchedulesRequest) == [
        ListNotifySchedulesRequest(
            page_size=7,
            status=enums.SCHEDULE_STATUS_FAILED,
            notify_url=TARGET,
            order_no="O-1",
            created_after=to_timestamp(LONG_AGO),
            created_before=to_timestamp(LONG_AGO + timedelta(hours=12)),
            due_before=to_timestamp(LONG_AGO + timedelta(days=1, hours=12)),
            is_handled=False,
        )
    ]


def test_a_long_list_is_read_in_pages_up_to_its_limit_and_can_be_gone_on_with(sides: Sides) -> None:
    for number in range(1_300):
        sides.settled(f"P{number}")
    first = json.loads(invoke(sides, "list", "--limit", "1200", "--json").stdout)
    assert [request.page_size for request in sides.made(ListNotifySchedulesRequest)] == [500, 500, 200]
    assert len(first["schedules"]) == 1_200
    rest = json.loads(
        invoke(sides, "list", "--limit", "1200", "--json", "--page-token", first["next_page_token"]).stdout
    )
    assert [row["payment_code"] for row in rest["schedules"]] == [f"P{number}" for number in range(99, -1, -1)]
    assert rest["next_page_token"] == ""


def test_a_list_that_goes_on_says_how(sides: Sides) -> None:
    sides.settled("P1")
    sides.settled("P2")
    assert invoke(sides, "list", "--limit", "1").stdout.endswith("1 schedule; more follow: --page-token card/P2\n")


def test_show_tells_a_schedule_and_its_attempts(sides: Sides) -> None:
    _attempted(sides)
    result = invoke(sides, "show", "card/P1")
    assert result.exit_code == 0
    assert "NOTIFYING" in result.stdout
    assert "1,500 ms" in result.stdout
    assert "UNAVAILABLE connection refused" in result.stdout


def test_show_before_the_first_attempt_says_so(sides: Sides) -> None:
    sides.schedules[sides.undelivered()].ClearField("last_code")
    assert invoke(sides, "show", "card/P1").stdout.endswith("No attempt has ended yet.\n")


def test_show_tells_who_closed_a_schedule_and_who_holds_it(sides: Sides) -> None:
    schedule = sides.schedules[sides.undelivered("P1")]
    schedule.status, schedule.handled_by, schedule.handled_reason = enums.SCHEDULE_STATUS_FAILED, "ana", "paid in cash"
    schedule.handled_time.CopyFrom(to_timestamp(LONG_AGO))
    assert "2020-01-01 12:00:00Z by ana: paid in cash" in invoke(sides, "show", "card/P1").stdout
    schedule = sides.schedules[sides.undelivered("P2")]
    schedule.is_claimed, schedule.claimed_by = True, "scheduler-1"
    assert "now, by scheduler-1" in invoke(sides, "show", "card/P2").stdout


def test_show_in_json_is_the_answer_of_the_rpc(sides: Sides) -> None:
    _attempted(sides)
    found = json.loads(invoke(sides, "show", "card/P1", "--json").stdout)
    assert found["schedule"]["status"] == "SCHEDULE_STATUS_NOTIFYING"
    assert [attempt["code"] for attempt in found["attempts"]] == [14]


def test_show_of_an_unknown_payment_is_one_line_and_exit_code_1(sides: Sides) -> None:
    result = invoke(sides, "show", "card/none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"paylatch: the payment server at {sides.payment_address} answered NOT_FOUND: NOTIFY_SCHEDULE_NOT_FOUND: "
        "there is no notify schedule of card/none\n"
    )


def test_show_takes_a_platform_with_a_slash_apart(sides: Sides) -> None:
    sides.settled("b/1", platform="a/b")
    assert invoke(sides, "show", "--platform", "a/b", "b/1").exit_code == 0
    assert [(request.platform_id, request.payment_code) for request in sides.made(GetNotifyScheduleRequest)] == [
        ("a/b", "b/1")
    ]


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("requeue", enums.RETRY_ACTION_REQUEUE),
        ("due-now", enums.RETRY_ACTION_DUE_NOW),
        ("reopen", enums.RETRY_ACTION_REOPEN),
        ("restore", enums.RETRY_ACTION_RESTORE),
    ],
)
def test_retry_asks_for_exactly_what_was_said(sides: Sides, action: str, asked: "enums.RetryAction.ValueType") -> None:
    retry(sides, "--action", action, "--notify-url", TARGET, "--dry-run", "card/P1", "alipay/P/2", "card/P1")
    assert sides.made(RetryNotifySchedulesRequest) == [
        RetryNotifySchedulesRequest(
            action=asked,
            keys=[Key("card", "P1").message, Key("alipay", "P/2").message],
            notify_url=TARGET,
            operator="ana",
            reason="the receiver is back",
            validate_only=True,
        )
    ]


def test_retry_by_filter_asks_for_the_filter_and_its_limit(sides: Sides) -> None:
    sides.give_up(sides.undelivered(), grpc.StatusCode.UNAVAILABLE)
    result = retry(
        sides,
        *("--action", "requeue", "--status", "failed", "--target", TARGET, "--order-no", "O-P1", "--limit", "10"),
        *("--created-after", "2020-01-01", "--created-before", "2020-01-02"),
    )
    assert result.exit_code == 0
    (request,) = sides.made(RetryNotifySchedulesRequest)
    assert request.limit == 10
    assert request.filter == NotifyScheduleFilter(
        status=enums.SCHEDULE_STATUS_FAILED,
        notify_url=TARGET,
        order_no="O-P1",
        created_after=to_timestamp(LONG_AGO - timedelta(hours=12)),
        created_before=to_timestamp(LONG_AGO + timedelta(hours=12)),
    )
    assert not request.HasField("notify_url")


def test_retry_of_all_asks_with_an_empty_filter(sides: Sides) -> None:
    retry(sides, "--action", "due-now", "--all", "--limit", "1000")
    (request,) = sides.made(RetryNotifySchedulesRequest)
    assert request.HasField("filter")
    assert request.filter == NotifyScheduleFilter()


def test_retry_tells_what_changed_and_exit_code_0(sides: Sides) -> None:
    sides.undelivered()
    result = retry(sides, "--action", "due-now", "card/P1")
    assert result.exit_code == 0
    assert result.stdout.endswith("due-now: 1 of 1 schedule changed\n")


def test_retry_tells_why_a_schedule_did_not_change_and_exit_code_1(sides: Sides) -> None:
    sides.undelivered()
    result = retry(sides, "--action", "due-now", "card/P1", "card/none")
    assert result.exit_code == 1
    assert "NOTIFY_SCHEDULE_NOT_FOUND: there is no notify schedule of card/none" in result.stdout
    assert result.stdout.endswith("due-now: 1 of 2 schedules changed\n")


def test_a_dry_run_says_what_would_change(sides: Sides) -> None:
    sides.undelivered()
    result = retry(sides, "--action", "due-now", "--dry-run", "card/P1")
    assert result.stdout.endswith("due-now: 1 of 1 schedule would change\n")


def test_retry_in_json_is_one_document(sides: Sides) -> None:
    sides.undelivered()
    found = json.loads(retry(sides, "--action", "due-now", "card/P1", "card/none", "--json").stdout)
    assert list(found) == ["action", "dry_run", "changed_count", "results", "failure"]
    assert (found["action"], found["changed_count"], found["failure"]) == ("due-now", 1, None)
    assert found["results"][1]["error"]["reason"] == "NOTIFY_SCHEDULE_NOT_FOUND"


def test_more_than_500_keys_are_asked_for_in_batches(sides: Sides) -> None:
    keys = [str(sides.undelivered(f"P{number}")) for number in range(501)]
    assert retry(sides, "--action", "due-now", *keys).exit_code == 0
    assert [len(request.keys) for request in sides.made(RetryNotifySchedulesRequest)] == [500, 1]


def test_a_batch_that_fails_after_another_tells_what_was_done_and_exit_code_2(sides: Sides) -> None:
    keys = [str(sides.undelivered(f"P{number}")) for number in range(501)]
    sides.before["RetryNotifySchedules"] = [lambda: None, _fail]
    result = retry(sides, "--action", "due-now", "--json", *keys)
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert (found["changed_count"], len(found["results"])) == (500, 500)
    assert "RESULT_UNKNOWN" in found["failure"]
    assert "RESULT_UNKNOWN" in result.stderr


def test_a_change_whose_answer_was_lost_is_not_asked_for_again(sides: Sides) -> None:
    sides.before["RetryNotifySchedules"] = [_fail]
    result = retry(sides, "--action", "due-now", "card/P1")
    assert result.exit_code == 2
    assert len(sides.made(RetryNotifySchedulesRequest)) == 1


def test_every_wrong_field_is_a_line_of_its_own_and_exit_code_2(sides: Sides) -> None:
    def refuse() -> None:
        raise InvalidInput([FieldViolation("notify_url", "must be allowed"), FieldViolation("reason", "is ''")])

    sides.before["RetryNotifySchedules"] = [refuse]
    result = retry(sides, "--action", "requeue", "card/P1")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"paylatch: the payment server at {sides.payment_address} answered INVALID_ARGUMENT: INVALID_FIELDS\n"
        "  notify_url: must be allowed\n"
        "  reason: is ''\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say which: keys as PLATFORM/CODE"),
        (["--limit", "5"], "say which: keys as PLATFORM/CODE"),
        (["--all"], "--limit says how many at most"),
        (["--status", "failed"], "--limit says how many at most"),
        (["card/P1", "--status", "failed"], "give either keys, or filters"),
        (["card/P1", "--limit", "5"], "give either keys, or filters"),
        (["P1"], "'P1' must be PLATFORM/CODE"),
    ],
)
def test_what_to_retry_must_be_said_and_said_once(sides: Sides, arguments: list[str], told: str) -> None:
    result = retry(sides, "--action", "requeue", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert sides.requests == []


@pytest.mark.parametrize("missing", ["--operator", "--reason", "--action"])
def test_who_and_why_must_be_said(sides: Sides, missing: str) -> None:
    given = {"--operator": "ana", "--reason": "why", "--action": "requeue"}
    del given[missing]
    result = invoke(sides, "retry", "card/P1", *(word for option in given.items() for word in option))
    assert result.exit_code == 2
    assert missing in result.stderr


def test_a_server_that_is_not_there_is_one_clear_line(sides: Sides) -> None:
    for command in (["list"], ["show", "card/P1"], ["retry", "--action", "requeue", *WHO_AND_WHY, "card/P1"]):
        result = invoke(sides, *command, "--payment-address", "127.0.0.1:1")
        assert result.exit_code == 2
        assert result.stderr == (
            "paylatch: the payment server at 127.0.0.1:1 cannot be reached: "
            "start it (paylatch up), or say with --payment-address where it is\n"
        )


def _attempted(sides: Sides) -> None:
    sides.attempts[sides.undelivered()] = [
        NotifyAttempt(
            number=1,
            start_time=to_timestamp(LONG_AGO),
            finish_time=to_timestamp(LONG_AGO + timedelta(seconds=1.5)),
            code=grpc.StatusCode.UNAVAILABLE.value[0],
            message="connection refused",
            made_by="scheduler-1",
        )
    ]


def _fail() -> None:
    raise Unavailable("the commit is unknown", reason="RESULT_UNKNOWN")
