"""Counting, and reading at scrape time: a process's metrics on a registry of its own.

Off, it is `NO_METRICS`: nothing is counted, and whoever would have to work for a count asks `is_on` first.
"""

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from core.clock import Clock
from core.telemetry.catalogue import Kind, Metric

NO_REST = timedelta(0)


class Reading(NamedTuple):
    """The value of a gauge now. labels: in the order of the metric's."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Read = Callable[[], Iterable[Reading]]


class Metrics(Protocol):
    """What the rest of paylatch counts with. Safe to use from any thread."""

    is_on: bool

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Raise a counter. by 0: it is there, and at 0."""
        ...

    def observe(self, metric: Metric, seconds: Sequence[float], *labels: str) -> None:
        """Enter values into a histogram, many at once."""
        ...

    def read(self, read: Read, gauges: Sequence[Metric], rest: timedelta = NO_REST) -> None:
        """Have `gauges` read at each scrape, but not again within `rest`, nor for ten times as long as it took."""
        ...


class _NoMetrics:
    is_on = False

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        pass

    def observe(self, metric: Metric, seconds: Sequence[float], *labels: str) -> None:
        pass

    def read(self, read: Read, gauges: Sequence[Metric], rest: timedelta = NO_REST) -> None:
        pass


NO_METRICS: Metrics = _NoMetrics()
"""Metrics that are off."""


class RegistryMetrics:
    """Implements Metrics on a registry.

    metrics: what may be counted and observed. failed: told of an error of a reading, whose gauges are then left out.
    """

    is_on = True

    def __init__(
        self,
        registry: CollectorRegistry,
        metrics: Iterable[Metric],
        clock: Clock,
        failed: Callable[[Exception], None],
    ) -> None:
        self.registry = registry
        self._clock = clock
        self._failed = failed
        self._counters: dict[Metric, Counter] = {}
        self._distributions: dict[Metric, Distribution] = {}
        for metric in metrics:
            if metric.kind is Kind.COUNTER:
                self._counters[metric] = Counter(metric.name, metric.help, metric.labels, registry=registry)
            elif metric.kind is Kind.HISTOGRAM:
                self._distributions[metric] = Distribution(metric)
                registry.register(self._distributions[metric])

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Raise a counter."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(by)

    def observe(self, metric: Metric, seconds: Sequence[float], *labels: str) -> None:
        """Enter values into a histogram."""
        self._distributions[metric].observe(seconds, labels)

    def read(self, read: Read, gauges: Sequence[Metric], rest: timedelta = NO_REST) -> None:
        """Have gauges read at scrape time."""
        self.registry.register(Readings(read, gauges, rest, self._clock, self._failed))


class Distribution(Collector):
    """A histogram that takes a batch under one lock: the library's takes one value at a time, at ten times the cost."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, values: Sequence[float], labels: tuple[str, ...]) -> None:
        """Enter the values."""
        bounds = self._metric.buckets
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(bounds) + 1))
            for value in values:
                counts[bisect.bisect_left(bounds, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + sum(values)

    def describe(self) -> Iterable[Family]:
        """Its name, for the registry."""
        return [self._family()]

    def collect(self) -> Iterable[Family]:
        """The buckets, each with all below it."""
        family = self._family()
        with self._lock:
            for labels, counts in self._counts.items():
                family.add_metric(labels, list(self._buckets(counts)), self._sums[labels])
        return [family]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)

    def _buckets(self, counts: Sequence[int]) -> Iterator[tuple[str, float]]:
        below = 0
        for bound, count in zip((*map(str, self._metric.buckets), "+Inf"), counts, strict=True):
            below += count
            yield bound, below


class Readings(Collector):
    """Gauges that are read when they are asked for, and not more often than is cheap."""

    def __init__(
        self,
        read: Read,
        gauges: Sequence[Metric],
        rest: timedelta,
        clock: Clock,
        failed: Callable[[Exception], None],
    ) -> None:
        self._read = read
        self._gauges = gauges
        self._rest = rest.total_seconds()
        self._clock = clock
        self._failed = failed
        self._lock = threading.Lock()
        self._known: Sequence[Reading] = ()
        self._holds_until = float("-inf")

    def describe(self) -> Iterable[Family]:
        """Their names, for the registry."""
        return [_gauge_family(metric) for metric in self._gauges]

    def collect(self) -> Iterable[Family]:
        """The readings; gauges without one have a name and no value."""
        families = {metric: _gauge_family(metric) for metric in self._gauges}
        for reading in self._readings():
            families[reading.metric].add_metric(reading.labels, reading.value)
        return families.values()

    def _readings(self) -> Sequence[Reading]:
        with self._lock:
            begins = self._clock.monotonic()
            if begins >= self._holds_until:
                self._known = self._try_to_read()
                took = self._clock.monotonic() - begins
                self._holds_until = begins + took + max(self._rest, 10 * took if self._rest else 0)
            return self._known

    def _try_to_read(self) -> Sequence[Reading]:
        try:
            return list(self._read())
        except Exception as error:  # noqa: BLE001 - one thing that cannot be read must not hide all others
            self._failed(error)
            return ()


def _gauge_family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
