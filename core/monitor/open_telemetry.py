"""The telemetry that the settings ask for. By default none: then nothing of it is even imported."""

from prometheus_client import CollectorRegistry

from core.clock import Clock
from core.logs import Logger
from core.settings import BadSetting, Settings
from core.telemetry.catalogue import PROCESSES
from core.telemetry.metrics import NO_METRICS, Metrics, RegistryMetrics
from core.telemetry.telemetry import Telemetry
from core.telemetry.tracing import NO_TRACING, Tracing

TRACES_SECONDS = 5.0
"""How long handing over the last spans may hold up the end of a process."""


def open_telemetry(
    process: str, settings: Settings, metrics_address: str | None, clock: Clock, log: Logger
) -> Telemetry:
    """The telemetry of `process`; metrics are off without an address to serve them on.

    Raises:
        BadSetting: what tracing needs is not installed, or its file cannot be opened.
    """
    return Telemetry(_metrics(process, metrics_address, clock, log), open_tracing(process, settings))


def open_tracing(process: str, settings: Settings) -> Tracing:
    """Where the spans of `process` go.

    Raises:
        BadSetting: what it needs is not installed, or its file cannot be opened.
    """
    if settings.trace_file is None and not settings.trace_otlp:
        return NO_TRACING
    try:
        from core.telemetry import open_telemetry as sdk  # noqa: PLC0415  # half a second, and an extra

        return sdk.open_tracing(process, settings.trace_file, otlp=settings.trace_otlp)
    except ImportError as error:
        raise BadSetting(f"tracing is on, but not installed ({error}): pip install 'paylatch[tracing]'") from error
    except OSError as error:
        raise BadSetting(f"PAYLATCH_TRACE_FILE is {str(settings.trace_file)!r}: {error.strerror}") from error


def _metrics(process: str, address: str | None, clock: Clock, log: Logger) -> Metrics:
    if address is None:
        return NO_METRICS
    return RegistryMetrics(
        CollectorRegistry(),
        PROCESSES[process],
        clock,
        lambda error: log.warning("metrics.reading_failed", error=type(error).__name__, message=str(error)),
    )
