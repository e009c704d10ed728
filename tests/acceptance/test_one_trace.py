"""One trace shows a payment's whole way, through a failed attempt, across three processes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from paylatch.payment.v1.payment_enums_pb2 import SCHEDULE_STATUS_SUCCESS
from tests.support.processes import IMPATIENT, System, eventually
from tests.support.shop import Shop

Span = Mapping[str, Any]

ORDER = "ORDER-1"
OTHERS = [f"ORDER-{number}" for number in range(2, 12)]


def test_one_trace_runs_from_the_report_through_a_failed_attempt_to_the_orders_commit(tmp_path: Path) -> None:
    trace_file = tmp_path / "spans.jsonl"
    with System(tmp_path, {**IMPATIENT, "trace_file": str(trace_file)}) as system, Shop(system.settings) as shop:
        system.start()
        shop.create_payments([ORDER])
        shop.report_one(ORDER)
        eventually(lambda: shop.schedule(ORDER).attempts)
        shop.create_orders([ORDER])
        eventually(lambda: shop.schedule(ORDER).schedule.status == SCHEDULE_STATUS_SUCCESS)
        for name in system.addresses:
            assert system[name].stop() == 0

    trace = _one_trace(trace_file, ORDER)
    report = _one(trace, "paylatch.payment.v1.PaymentService/ReportPaymentResult", "payment-server")
    assert report["parent_id"] is None
    commit = _one(trace, "payment.commit", "payment-server", child_of=report)
    attempts = _all(trace, "notify.attempt", child_of=commit)
    failed, delivered = attempts[0], attempts[-1]
    assert _process(failed) == "payment-server"
    assert (failed["status"]["status_code"], failed["status"]["description"]) == ("ERROR", "NOT_FOUND")
    assert _one(trace, "notify.record_failure", "payment-server", child_of=failed)

    assert _process(delivered) == "scheduler"
    assert delivered["attributes"]["paylatch.disposition"] == "APPLIED"
    assert delivered["attributes"]["paylatch.attempt"] == len(attempts) > 1
    call = _one(trace, "OrderNotify", "scheduler", child_of=delivered)
    served = _one(trace, "paylatch.order.v1.OrderNotifyService/OrderNotify", "order-server", child_of=call)
    order_commit = _one(trace, "order_notify.commit", "order-server", child_of=served)
    assert order_commit["attributes"]["paylatch.disposition"] == "APPLIED"
    acknowledge = _one(trace, "notify.acknowledge", "scheduler", child_of=delivered)

    way = [report, commit, failed, delivered, order_commit, acknowledge]
    begins = [span["start_time"] for span in way]
    assert begins == sorted(begins)


def test_in_a_batch_every_notification_keeps_its_own_trace_and_the_call_is_linked_to_all(tmp_path: Path) -> None:
    trace_file = tmp_path / "spans.jsonl"
    with System(tmp_path, {**IMPATIENT, "trace_file": str(trace_file)}) as system, Shop(system.settings) as shop:
        system.start("payment-server", "order-server")
        shop.create_orders(OTHERS)
        shop.create_payments(OTHERS)
        system["order-server"].stop()
        for order_no in OTHERS:
            shop.report_one(order_no)
        system.start("order-server", "scheduler")
        eventually(lambda: shop.are_notified(OTHERS))
        for name in system.addresses:
            assert system[name].stop() == 0

    spans = _spans(trace_file)
    calls = {span["context"]["span_id"]: span for span in spans if span["name"] == "BatchOrderNotify"}
    assert any(len(call["links"]) > 1 for call in calls.values())
    linked = {link["context"]["trace_id"] for call in calls.values() for link in call["links"]}
    for order_no in OTHERS:
        trace = _one_trace(trace_file, order_no)
        attempt = _all(trace, "notify.attempt", child_of=_one(trace, "payment.commit", "payment-server"))[-1]
        assert _one(trace, "notify.acknowledge", _process(attempt), child_of=attempt)
        assert _one(trace, "order_notify.commit", "order-server")
        is_alone = any(span["name"] == "OrderNotify" for span in trace)
        assert is_alone or attempt["context"]["trace_id"] in linked


def _spans(file: Path) -> list[Span]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _one_trace(file: Path, payment_code: str) -> list[Span]:
    """All spans of the one trace that has attempts of this payment."""
    spans = _spans(file)
    code = "paylatch.payment_code"
    (trace_id,) = {s["context"]["trace_id"] for s in spans if s["attributes"].get(code) == payment_code}
    return [span for span in spans if span["context"]["trace_id"] == trace_id]


def _all(trace: Iterable[Span], name: str, child_of: Span | None = None) -> list[Span]:
    found = [span for span in trace if span["name"] == name and (child_of is None or _is_child(span, child_of))]
    return sorted(found, key=lambda span: str(span["start_time"]))


def _one(trace: Iterable[Span], name: str, process: str, child_of: Span | None = None) -> Span:
    (found,) = [span for span in _all(trace, name, child_of) if _process(span) == process]
    return found


def _is_child(span: Span, parent: Span) -> bool:
    return bool(span["parent_id"] == parent["context"]["span_id"])


def _process(span: Span) -> str:
    return str(span["resource"]["attributes"]["service.name"])
