"""A process's monitor: its vitals, and its metrics on an address of their own."""

from collections.abc import Iterator
from importlib.metadata import version

from core.monitor.scrapes import Scrapes
from core.monitor.vitals import Vitals
from core.rpc.server import RpcServer
from core.settings import Settings
from core.store.database import Database
from core.telemetry.catalogue import (
    BUILD_INFO,
    CALLS_IN_FLIGHT,
    CLOCK_SKEW,
    CONNECTIONS,
    DATABASE_UP,
    PASS_AGE,
    SERVING,
    WORKERS,
)
from core.telemetry.metrics import Metrics, Reading, RegistryMetrics

MONITOR_SECONDS = 3.0
"""How long ending the monitor may hold up the end of a process."""

_GAUGES = (BUILD_INFO, SERVING, DATABASE_UP, CLOCK_SKEW, CONNECTIONS, CALLS_IN_FLIGHT, WORKERS)


class Monitor:
    """See the module. server: whose calls it tells of. database: whose connections."""

    def __init__(
        self, metrics: Metrics, vitals: Vitals, server: RpcServer, database: Database, scrapes: Scrapes
    ) -> None:
        self._metrics = metrics
        self._vitals = vitals
        self._server = server
        self._database = database
        self._scrapes = scrapes
        metrics.read(self._read, _GAUGES)
        if vitals.loops is not None:
            metrics.read(vitals.pass_ages, [PASS_AGE])

    def listen(self, address: str | None, settings: Settings) -> None:
        """Serve the metrics on `address`, if there is one.

        A server of several processes has as many ports for them, from this one upwards: each tells its own counts.

        Raises:
            CannotListen: it is taken, not this machine's, or not loopback without TLS or plaintext being allowed.
        """
        if address is not None and isinstance(self._metrics, RegistryMetrics):
            self._scrapes.listen(
                address,
                self._metrics.registry,
                allow_plaintext=settings.allow_plaintext,
                port_offset=settings.server_process_number,
            )

    def start(self) -> None:
        """Look after the process from here on. After its server was started."""
        self._vitals.start()

    def stop(self) -> None:
        """Look no more, serve no more metrics."""
        self._vitals.stop()
        self._scrapes.stop()

    def _read(self) -> Iterator[Reading]:
        in_use, idle = self._database.connections
        yield Reading(BUILD_INFO, 1, (version("paylatch"),))
        yield Reading(SERVING, int(self._vitals.is_well))
        yield Reading(DATABASE_UP, int(self._vitals.is_database_up))
        if self._vitals.clock_skew is not None:
            yield Reading(CLOCK_SKEW, self._vitals.clock_skew)
        yield Reading(CONNECTIONS, in_use, ("in_use",))
        yield Reading(CONNECTIONS, idle, ("idle",))
        yield Reading(CALLS_IN_FLIGHT, self._server.calls_in_flight)
        yield Reading(WORKERS, self._server.workers)
