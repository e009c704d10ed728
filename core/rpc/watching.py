"""Who watches the calls of a server: nobody, while telemetry is off."""

from core.rpc.measure import CallMetrics
from core.rpc.observe import CallObserver
from core.rpc.tracing import CallSpans
from core.telemetry.telemetry import Telemetry


def call_observers(telemetry: Telemetry) -> list[CallObserver]:
    """The observers of what is on."""
    traced: list[CallObserver] = [CallSpans(telemetry.tracing)] if telemetry.tracing.is_on else []
    return [*traced, CallMetrics(telemetry.metrics)] if telemetry.metrics.is_on else traced
