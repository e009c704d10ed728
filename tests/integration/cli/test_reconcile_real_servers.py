"""Real servers and databases, one of them set back to a backup: what differs is named and mended, nothing doubled."""

import json
from datetime import timedelta

from typer.testing import CliRunner

from cli.notify import notify_app
from cli.reconcile import Listener, ReconcileOptions, Report, reconcile
from cli.reconcile.findings import Class, Finding, Kind, Repair
from core.store.migrate import Schema
from paylatch.order.v1.order_enums_pb2 import ORDER_STATUS_PAID
from tests.integration.cli.both_servers import BothServers, key
from tests.integration.cli.proposed_calls import follow
from tests.support.clock import TestClock

WHO_AND_WHY = ("--operator", "ana", "--reason", "the money went back by hand")


def kinds(report: Report) -> dict[str, Kind]:
    """What was found of each payment."""
    return {finding.pair.key.payment_code: finding.kind for finding in report.findings.listed}


def test_everything_delivered_is_clean(both: BothServers) -> None:
    both.settle("A", "B")
    both.create("F")
    both.report("F", failed=True)
    both.deliver()
    report = both.reconcile()
    assert report.is_clean
    assert (report.counts.succeeded, report.counts.failed, report.counts.delivered) == (2, 1, 3)
    assert report.sums["USD"].applied == 2_000


def test_an_order_database_set_back_is_made_up_for_and_nothing_is_doubled(both: BothServers) -> None:
    both.create("kept", "lost", "purged")
    both.report("kept")
    both.deliver()
    backup = both.backup(Schema.ORDER)
    both.report("lost", "purged")
    both.deliver()
    both.forget_schedule("purged")
    assert both.reconcile().is_clean

    both.restore(Schema.ORDER, backup)
    report = both.reconcile(repair=True)
    assert kinds(report) == {"lost": Kind.LOST_BY_ORDER_SIDE, "purged": Kind.LOST_BY_ORDER_SIDE}
    assert report.repair is not None
    assert {kind: asked.changed for kind, asked in report.repair.by_repair.items()} == {
        Repair.REOPEN: 1,
        Repair.RESTORE: 1,
    }
    assert report.sums["USD"].undelivered == 2_000

    both.deliver()
    healed = both.reconcile(repair=True)
    assert healed.is_clean
    assert healed.counts.delivered == 3
    assert both.order("lost").order_status == ORDER_STATUS_PAID


def test_a_payment_whose_very_order_was_lost_stays_visible_until_the_order_is_back(both: BothServers) -> None:
    backup = both.backup(Schema.ORDER)
    both.settle("A")
    both.restore(Schema.ORDER, backup)
    assert kinds(both.reconcile(repair=True)) == {"A": Kind.LOST_BY_ORDER_SIDE}
    both.deliver()
    (finding,) = both.reconcile(repair=True).findings.listed
    assert finding.kind is Kind.ORDER_MISSING
    assert "ORDER_NOT_FOUND" in finding.pair.schedule.last_message if finding.pair.schedule else False
    both.create("A")
    both.deliver()
    assert both.reconcile().is_clean


def test_a_repair_leaves_alone_what_a_person_closed_after_it_was_read(both: BothServers, clock: TestClock) -> None:
    both.create("A")
    both.stop_order_server()
    both.report("A")
    clock.advance(timedelta(days=4))
    both.scheduler.expiry.run_once()
    both.start_order_server()

    def close(finding: Finding) -> None:
        clock.advance(timedelta(milliseconds=1))
        done = CliRunner().invoke(notify_app, ["abandon", "card/A", *both.addresses[:2], *WHO_AND_WHY])
        assert done.exit_code == 0, done.output

    report = reconcile(both.clients, ReconcileOptions(clock=clock, repair=True), Listener(on_finding=close))
    assert report.repair is not None
    assert [refusal.reason for refusal in report.repair.refusals] == ["CHANGED_SINCE"]
    (finding,) = both.reconcile(repair=True).findings.listed
    assert finding.kind is Kind.ABANDONED


def test_a_payment_database_set_back_is_named_and_the_proposed_calls_mend_it(both: BothServers) -> None:
    both.create("kept", "undelivered", "pending")
    both.report("kept")
    both.deliver()
    both.report("undelivered")
    backup = both.backup(Schema.PAYMENT)
    both.deliver()
    both.report("pending")
    both.settle("unknown")
    both.deliver()
    assert both.reconcile().is_clean

    both.restore(Schema.PAYMENT, backup)
    report = both.reconcile(repair=True)
    assert kinds(report) == {
        "undelivered": Kind.ACKNOWLEDGE_MISSING,
        "pending": Kind.PAYMENT_UNSETTLED,
        "unknown": Kind.PAYMENT_UNKNOWN,
    }
    assert report.sums["USD"].difference == -2_000
    assert report.repair is not None
    assert report.repair.by_repair == {}

    for finding in report.findings.listed:
        if finding.kind in {Kind.PAYMENT_UNKNOWN, Kind.PAYMENT_UNSETTLED}:
            follow(finding.step.call)
    both.deliver()
    healed = both.reconcile()
    assert healed.is_clean
    assert healed.counts.delivered == 4


def test_payment_exceptions_stand_open_and_their_money_is_accounted_for(both: BothServers) -> None:
    both.settle("short", amount=1_000, paid=900)
    both.create("cancelled")
    both.cancel("cancelled")
    both.report("cancelled")
    both.deliver()
    report = both.reconcile(repair=True)
    assert kinds(report) == {"short": Kind.PAYMENT_EXCEPTION, "cancelled": Kind.PAYMENT_EXCEPTION}
    assert report.findings.of_class(Class.DIFFERENCE) == {}
    assert (report.sums["USD"].exceptions_open, report.sums["USD"].difference) == (1_900, 0)
    assert report.repair is not None
    assert report.repair.by_repair == {}


def test_notify_shows_what_the_real_server_has(both: BothServers) -> None:
    both.settle("A")
    address = ["--payment-address", both.payment_address, "--json"]
    listed = json.loads(CliRunner().invoke(notify_app, ["list", "--status", "success", *address]).stdout)
    shown = json.loads(CliRunner().invoke(notify_app, ["show", str(key("A")), *address]).stdout)
    assert listed["schedules"] == [shown["schedule"]]
    assert [attempt["code"] for attempt in shown["attempts"]] == [0]
    refused = CliRunner().invoke(
        notify_app,
        ["retry", str(key("A")), "--action", "requeue", "--operator", "ana", "--reason", "why", *address],
    )
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["results"][0]["error"]["reason"] == "ILLEGAL_EVENT"


def test_a_refused_request_tells_every_wrong_field(both: BothServers) -> None:
    refused = CliRunner().invoke(
        notify_app,
        [
            *("retry", "--all", "--limit", "5", "--action", "reopen", "--operator", "", "--reason", ""),
            *("--payment-address", both.payment_address),
        ],
    )
    assert refused.exit_code == 2
    first, *fields = refused.stderr.splitlines()
    assert first.endswith("answered INVALID_ARGUMENT: INVALID_FIELDS")
    assert {field.split(":")[0].strip() for field in fields} == {"operator", "reason", "filter"}
