"""`paylatch reconcile` as a person and as cron meet it."""

import json
from typing import Any

import grpc
import pytest
import typer
from typer.testing import CliRunner, Result

from cli.reconcile import reconcile_command
from core.rules.errors import InvalidInput
from paylatch.order.v1 import order_enums_pb2 as order_enums
from paylatch.payment.v1.notify_schedule_service_pb2 import RetryNotifySchedulesRequest
from tests.support.sides import Sides

NOBODY = "127.0.0.1:1"


def invoke(sides: Sides, *arguments: str) -> Result:
    app = typer.Typer()
    app.command("reconcile")(reconcile_command)
    addresses = ["--payment-address", sides.payment_address, "--order-address", sides.order_address]
    return CliRunner().invoke(app, [*addresses, *arguments])


def lines(sides: Sides, *arguments: str) -> list[dict[str, Any]]:
    """What `--json` prints."""
    result = invoke(sides, "--json", *arguments)
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_clean_run_ends_with_the_verdict_and_exit_code_0(sides: Sides) -> None:
    sides.settled(amount=123_456)
    result = invoke(sides)
    assert result.exit_code == 0
    assert result.stdout.endswith(
        "\nClean: 1 payment, all delivered; nothing lost, nothing twice; sums equal: USD 1,234.56.\n"
    )
    assert result.stderr == ""


def test_a_difference_is_shown_with_both_sides_and_the_call_to_make_and_exit_code_1(sides: Sides) -> None:
    sides.give_up(sides.undelivered(), grpc.StatusCode.UNAVAILABLE, "connection refused")
    result = invoke(sides)
    assert result.exit_code == 1
    assert "1. GIVEN_UP  card/P1  order O-P1\n" in result.stdout
    assert "was asked, and does not have it" in result.stdout
    assert (
        f"paylatch notify retry --action requeue --payment-address {sides.payment_address} "
        "--operator WHO --reason WHY card/P1\n"
    ) in result.stdout
    assert "\nNot clean: 1 difference; 1 payment, 0 delivered and 1 not; sums equal: USD 12.34.\n" in result.stdout


def test_money_unaccounted_for_is_said_in_the_verdict(sides: Sides) -> None:
    sides.notifies[sides.settled()].amount_minor = 1_200
    assert invoke(sides).stdout.endswith("1 payment, all delivered; SUMS DIFFER by USD 0.34.\n")


def test_more_than_the_limit_is_counted_and_said_to_be_hidden(sides: Sides) -> None:
    for number in range(3):
        sides.undelivered(f"P{number}")
    result = invoke(sides, "--limit", "1")
    assert "… and 2 more, not listed here: --json lists all" in result.stdout
    assert "Not clean: 3 differences;" in result.stdout


def test_repairs_are_told(sides: Sides) -> None:
    del sides.notifies[sides.settled()]
    result = invoke(sides, "--repair", "--operator", "ana", "--reason", "restored")
    assert result.exit_code == 1
    assert "Repair: 1 payment will be delivered again; run reconcile later to see.\n" in result.stdout
    (request,) = sides.made(RetryNotifySchedulesRequest)
    assert (request.operator, request.reason) == ("ana", "restored")


def test_a_repair_without_anything_to_do_says_so(sides: Sides) -> None:
    assert "Repair: there was nothing it may touch.\n" in invoke(sides, "--repair").stdout


def test_text_of_others_is_drawn_as_text(sides: Sides) -> None:
    key = sides.undelivered()
    sides.schedules[key].last_message = "[red]no\x1b[31m[/nonsense]"
    assert "[red]no [31m[/nonsense]" in invoke(sides).stdout


def test_the_last_line_of_json_is_the_summary_with_its_stable_names(sides: Sides) -> None:
    sides.give_up(sides.undelivered(amount=2**60), grpc.StatusCode.UNAVAILABLE)
    _, found = lines(sides)
    assert list(found) == [
        "type",
        "start_time",
        "since",
        "until",
        "payment_address",
        "order_address",
        "is_clean",
        "verdict",
        "counts",
        "sums",
        "difference_counts",
        "open_matter_counts",
        "closed_counts",
        "repair",
    ]
    assert found["type"] == "summary"
    assert found["counts"] == {
        "payments": 1,
        "succeeded": 1,
        "failed": 0,
        "delivered": 0,
        "undelivered": 1,
        "on_their_way": 0,
        "order_side_only": 0,
        "notifies": 0,
    }
    assert found["sums"] == [
        {
            "currency_code": "USD",
            "settled_minor": 2**60,
            "applied_minor": 0,
            "exceptions_open_minor": 0,
            "exceptions_resolved_minor": 0,
            "undelivered_minor": 2**60,
            "difference_minor": 0,
            "settled": "11529215046068469.76",
            "applied": "0.00",
            "exceptions_open": "0.00",
            "exceptions_resolved": "0.00",
            "undelivered": "11529215046068469.76",
            "difference": "0.00",
        }
    ]
    assert (found["is_clean"], found["difference_counts"], found["repair"]) == (False, {"GIVEN_UP": 1}, None)


def test_a_clean_run_in_json_is_the_summary_alone(sides: Sides) -> None:
    sides.settled()
    (found,) = lines(sides)
    assert (found["type"], found["is_clean"]) == ("summary", True)


def test_a_finding_in_json_has_both_sides_as_the_contract_spells_them(sides: Sides) -> None:
    sides.give_up(sides.undelivered(), grpc.StatusCode.UNAVAILABLE)
    finding, _ = lines(sides)
    assert list(finding) == [
        "type",
        "kind",
        "class",
        "platform_id",
        "payment_code",
        "order_no",
        "payment_side",
        "order_side",
        "next_step",
        "next_call",
        "repair",
    ]
    assert (finding["type"], finding["kind"], finding["class"]) == ("finding", "GIVEN_UP", "DIFFERENCE")
    assert (finding["platform_id"], finding["payment_code"]) == ("card", "P1")
    assert finding["payment_side"]["payment"]["status"] == "PAYMENT_STATUS_SUCCESS"
    assert finding["payment_side"]["schedule"]["is_claimed"] is False
    assert finding["order_side"] == {"notify": None}
    assert finding["repair"] == "REQUEUE"


def test_open_matters_are_apart_from_differences_in_json(sides: Sides) -> None:
    key = sides.settled()
    sides.payments[key].disposition = order_enums.DISPOSITION_AMOUNT_MISMATCH
    sides.notifies[key].disposition = order_enums.DISPOSITION_AMOUNT_MISMATCH
    sides.notifies[key].is_paying_key = False
    finding, found = lines(sides)
    assert (found["difference_counts"], found["open_matter_counts"]) == ({}, {"PAYMENT_EXCEPTION": 1})
    assert "or take the amount as good: --resolution accepted" in finding["next_step"]


def test_repairs_in_json_say_what_was_asked_for(sides: Sides) -> None:
    del sides.notifies[sides.settled()]
    assert lines(sides, "--repair")[-1]["repair"] == {
        "operator": "reconcile",
        "asked": [{"repair": "REOPEN", "asked": 1, "changed": 1, "refused": 0, "unknown": 0}],
        "refusals": [],
        "failures": [],
    }


def test_json_has_every_finding_whatever_the_limit(sides: Sides) -> None:
    for number in range(30):
        sides.undelivered(f"P{number}")
    assert [line["type"] for line in lines(sides, "--limit", "1")] == ["finding"] * 30 + ["summary"]


def test_a_run_that_fails_in_the_middle_has_no_summary_and_its_findings_so_far(sides: Sides) -> None:
    sides.undelivered()
    sides.before["ListOrderPaymentNotifies"] = [_fail]
    result = invoke(sides, "--json")
    assert result.exit_code == 2
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["finding"]


def test_a_window_of_time_is_told(sides: Sides) -> None:
    sides.settled()
    window = ("--since", "2020-01-01", "--until", "2020-02-01T12:00:00+01:00")
    (found,) = lines(sides, *window)
    assert (found["since"], found["until"]) == ("2020-01-01T00:00:00.000000Z", "2020-02-01T11:00:00.000000Z")
    assert "Compared 1 payment settled from 2020-01-01 00:00:00Z on and before 2020-02-01 11:00:00Z" in invoke(
        sides, *window
    ).stdout.replace("\n", " ")


@pytest.mark.parametrize("side", ["payment", "order"])
def test_a_server_that_is_not_there_is_one_clear_line_and_exit_code_2(sides: Sides, side: str) -> None:
    result = invoke(sides, f"--{side}-address", NOBODY, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"paylatch: the {side} server at {NOBODY} cannot be reached: "
        f"start it (paylatch up), or say with --{side}-address where it is\n"
    )


def test_an_address_that_is_none_is_one_clear_line_and_exit_code_2(sides: Sides) -> None:
    result = invoke(sides, "--payment-address", "somewhere")
    assert result.exit_code == 2
    assert result.stderr == (
        "paylatch: the address of the payment server is 'somewhere': must be host:port, such as 127.0.0.1:50051, "
        "or grpcs://host:port for TLS\n"
    )


def test_a_wrong_setting_is_one_clear_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_PAYMENT_ADDRESS", "somewhere")
    app = typer.Typer()
    app.command("reconcile")(reconcile_command)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert result.stderr == (
        "paylatch: PAYLATCH_PAYMENT_ADDRESS is 'somewhere': must be host:port, such as 127.0.0.1:50051\n"
    )


def test_a_server_that_fails_is_told_and_exit_code_2(sides: Sides) -> None:
    sides.before["ListPayments"] = [_fail]
    result = invoke(sides, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(
        f"paylatch: the payment server at {sides.payment_address} answered INVALID_ARGUMENT"
    )


def test_a_grace_that_is_no_duration_is_refused(sides: Sides) -> None:
    result = invoke(sides, "--grace", "soon")
    assert result.exit_code == 2
    assert "must be a number and a unit" in result.stderr


def _fail() -> None:
    raise InvalidInput([])
