"""All telemetry of one process in one value."""

from dataclasses import dataclass

from core.telemetry.metrics import NO_METRICS, Metrics
from core.telemetry.tracing import NO_TRACING, Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a process counts with, and where its spans go."""

    metrics: Metrics
    tracing: Tracing


OFF = Telemetry(NO_METRICS, NO_TRACING)
"""Telemetry that nobody asked for."""
