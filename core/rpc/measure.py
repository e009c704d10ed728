"""How many calls a server answers, how, and how fast. Knows no service; labels are the served methods."""

import grpc

from core.rpc.observe import Ended
from core.telemetry.catalogue import CALL_SECONDS, CALLS
from core.telemetry.metrics import Metrics


class CallMetrics:
    """Implements core.rpc.observe.CallObserver."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def begin(self, method: str, context: grpc.ServicerContext) -> Ended:
        """Count it when it has ended."""
        name = method.rpartition(".")[2]

        def ended(code: grpc.StatusCode, seconds: float) -> None:
            self._metrics.count(CALLS, name, code.name)
            self._metrics.observe(CALL_SECONDS, (seconds,), name)

        return ended
