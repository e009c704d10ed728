import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from core.telemetry.catalogue import CALL_SECONDS, CALLS, DUE, GIVEN_UP, PROCESSES, PURGED, SCHEDULES, Kind, Metric
from core.telemetry.metrics import NO_METRICS, Reading, RegistryMetrics
from tests.support.clock import TestClock

EVERY = sorted({metric for metrics in PROCESSES.values() for metric in metrics}, key=lambda metric: metric.name)
UNITS = {Kind.COUNTER: "_total", Kind.HISTOGRAM: "_seconds"}


@pytest.fixture
def errors() -> list[Exception]:
    return []


@pytest.fixture
def metrics(clock: TestClock, errors: list[Exception]) -> RegistryMetrics:
    return RegistryMetrics(CollectorRegistry(), EVERY, clock, errors.append)


def _samples(metrics: RegistryMetrics) -> dict[str, float]:
    text = generate_latest(metrics.registry).decode()
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_metric_has_the_projects_prefix_its_units_suffix_a_help_and_no_id_for_a_label(metric: Metric) -> None:
    assert re.fullmatch(r"paylatch_[a-z_]+", metric.name)
    assert metric.name.endswith(UNITS.get(metric.kind, ""))
    assert metric.help.endswith(".")
    assert set(metric.labels) <= {
        "answer",
        "code",
        "disposition",
        "loop",
        "method",
        "name",
        "outcome",
        "state",
        "status",
        "target",
        "version",
    }
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(metric.buckets)


def test_no_two_metrics_have_one_name() -> None:
    assert len({metric.name for metric in EVERY}) == len(EVERY)


def test_a_counter_counts_and_is_there_from_the_start_if_asked(metrics: RegistryMetrics) -> None:
    metrics.count(GIVEN_UP, "a", by=0)
    metrics.count(GIVEN_UP, "b", by=2)
    metrics.count(GIVEN_UP, "b")
    metrics.count(PURGED, by=5)

    samples = _samples(metrics)
    assert samples["paylatch_notify_given_up_total a"] == 0
    assert samples["paylatch_notify_given_up_total b"] == 3
    assert samples["paylatch_notify_purged_total"] == 5


def test_a_value_is_in_every_bucket_whose_bound_it_does_not_exceed(metrics: RegistryMetrics) -> None:
    metrics.observe(CALL_SECONDS, [0.001, 0.002, 99.0], "m")
    metrics.observe(CALL_SECONDS, [0.25], "m")

    samples = _samples(metrics)
    bucket = "paylatch_rpc_call_seconds_bucket"
    assert [samples[f"{bucket} {bound} m"] for bound in ("0.001", "0.0025", "0.1", "0.25", "10.0", "+Inf")] == [
        1,
        2,
        2,
        3,
        3,
        4,
    ]
    assert samples["paylatch_rpc_call_seconds_count m"] == 4
    assert samples["paylatch_rpc_call_seconds_sum m"] == pytest.approx(99.253)


def test_gauges_are_read_at_a_scrape_but_not_again_within_their_rest(
    metrics: RegistryMetrics, clock: TestClock
) -> None:
    reads = iter(range(10, 20))
    metrics.read(lambda: [Reading(DUE, next(reads), ("a",))], [DUE], timedelta(seconds=5))
    seen = []
    for seconds in (0, 1, 3.9, 0.2, 4.9, 0.2):
        clock.advance(timedelta(seconds=seconds))
        seen.append(_samples(metrics)["paylatch_notify_due a"])

    assert seen == [10, 10, 10, 11, 11, 12]


def test_a_reading_that_takes_long_is_repeated_the_less(metrics: RegistryMetrics, clock: TestClock) -> None:
    reads = iter(range(10))

    def slowly() -> Iterable[Reading]:
        clock.advance(timedelta(seconds=2))
        return [Reading(DUE, next(reads), ("a",))]

    metrics.read(slowly, [DUE], timedelta(seconds=5))
    seen = []
    for seconds in (0, 19, 2):
        clock.advance(timedelta(seconds=seconds))
        seen.append(_samples(metrics)["paylatch_notify_due a"])

    assert seen == [0, 0, 1]


def test_a_reading_that_fails_is_told_and_hides_no_other(metrics: RegistryMetrics, errors: list[Exception]) -> None:
    def broken() -> Iterator[Reading]:
        yield Reading(SCHEDULES, 1, ("a", "notifying"))
        raise LookupError("away")

    metrics.read(broken, [SCHEDULES])
    metrics.read(lambda: [Reading(DUE, 7, ("a",))], [DUE])
    samples = _samples(metrics)

    assert [str(error) for error in errors] == ["away"]
    assert samples["paylatch_notify_due a"] == 7
    assert not any(name.startswith("paylatch_notify_schedules") for name in samples)


def test_metrics_that_are_off_take_everything_and_keep_nothing() -> None:
    NO_METRICS.count(CALLS, "m", "OK")
    NO_METRICS.observe(CALL_SECONDS, [1.0], "m")
    NO_METRICS.read(list, [DUE])

    assert not NO_METRICS.is_on
