"""The scheduler's one place where its parts are put together. Owns their order of starting and stopping."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.clock import Clock
from core.delivery.compose import Sender, compose_sender
from core.logs import Logger
from core.monitor.monitor import MONITOR_SECONDS, Monitor
from core.monitor.open_telemetry import TRACES_SECONDS, open_telemetry
from core.monitor.scrapes import Scrapes
from core.monitor.vitals import Bounds, Vitals
from core.outbox.clock_guard import ClockGuard
from core.process import holder_name
from core.rpc.lifecycle import StopStep
from core.rpc.security import Security
from core.rpc.server import RpcServer, ServerOptions
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.telemetry.telemetry import Telemetry
from scheduler.backlog import tell_backlog
from scheduler.loops import Loops
from scheduler.passes import ExpiryPass, RetryPass
from scheduler.purge import PURGE_INTERVAL, PurgePass

HEALTH_WORKERS = 2
"""Threads of a server that answers nothing but health."""

WATCHERS_SECONDS = 1.0
"""How long who watches health has to take that it is NOT_SERVING."""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """All that must be stopped, and what to start: the loops, and the server for health."""

    sender: Sender
    loops: Loops
    server: RpcServer
    settings: Settings
    retry: RetryPass
    expiry: ExpiryPass
    purge: PurgePass
    telemetry: Telemetry
    monitor: Monitor

    def start_loops(self) -> None:
        """A loop for each target, so that a dead or huge one delays no other; for what expired; for what may go."""
        for target in self.settings.notify_targets:
            self._start_retrying(target)
        self.loops.start("expiry", self.expiry.run_once)
        self.loops.start("purge", self.purge.run_once, PURGE_INTERVAL)

    def _start_retrying(self, target: str) -> None:
        """A pass that claimed a whole batch wakes the helpers: one batch is claimed while another is being called."""
        self.loops.start(
            f"retry {target}",
            functools.partial(self.retry.run_once, target),
            helpers=self.settings.scheduler_workers - 1,
            plenty=self.settings.notify_batch_size,
        )

    def stop_steps(self, bound: timedelta) -> Sequence[StopStep]:
        """Say NOT_SERVING, finish the passes under way, then close what they used."""
        seconds = bound.total_seconds()
        return [
            StopStep("monitor", MONITOR_SECONDS, self.monitor.stop),
            StopStep("health", 1, self.server.health.shut_down),
            StopStep("passes", seconds + 2, lambda: self.loops.stop(bound)),
            StopStep("calls", 3, lambda: self.server.stop(WATCHERS_SECONDS)),
            StopStep("channels", 2, self.sender.channels.close),
            StopStep("database", 2, self.sender.database.close),
            StopStep("traces", TRACES_SECONDS, self.telemetry.tracing.close),
        ]


def compose(settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open) -> Scheduler:
    """The scheduler of these settings, not yet started.

    Raises:
        WrongSchema: the payment database is not at this version's schema.
        Unavailable: it cannot be reached.
        BadSetting: tracing is asked for and cannot be had.
    """
    security = Security.of(settings, clock, log)
    telemetry = open_telemetry("scheduler", settings, settings.scheduler_metrics_address, clock, log)
    sender = compose_sender(settings, clock, log, open_database, security.outgoing, telemetry)
    loops = Loops(clock, log, settings.scheduler_poll_interval)
    server = RpcServer(log, clock, ServerOptions.of(settings, workers=HEALTH_WORKERS), security=security)
    vitals = Vitals([server.health], sender.database, clock, log, Bounds.of(settings), loops.ages)
    tell_backlog(telemetry.metrics, sender.database, sender.policy.targets)
    return Scheduler(
        sender=sender,
        loops=loops,
        server=server,
        settings=settings,
        retry=RetryPass(sender.database, sender.delivery, sender.policy, clock, log, holder_name("scheduler")),
        expiry=ExpiryPass(sender.database, ClockGuard(clock, log), log, sender.delivery.metrics),
        purge=PurgePass(sender.database, settings.notify_retention, clock, log, telemetry.metrics),
        telemetry=telemetry,
        monitor=Monitor(telemetry.metrics, vitals, server, sender.database, Scrapes(security, clock, log)),
    )
