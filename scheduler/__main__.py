"""`python -m scheduler`: works until it is told to stop."""

import sys

from core.clock import Clock
from core.logs import Logger
from core.process import run_process
from core.rpc.lifecycle import run_until_signal
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from scheduler.compose import compose


def serve(settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open) -> int:
    """Work, and answer health on the scheduler's address; answers the exit code."""
    composed = compose(settings, clock, log, open_database)
    address = composed.server.bind(settings.scheduler_address, allow_plaintext=settings.allow_plaintext)
    composed.monitor.listen(settings.scheduler_metrics_address, settings)

    def start() -> None:
        composed.start_loops()
        composed.server.start()
        composed.monitor.start()
        log.info("process.serving", address=address)

    return run_until_signal(log, composed.stop_steps(settings.stop_bound), start=start)


def main() -> int:
    """Run as a process of its own."""
    return run_process("scheduler", serve)


if __name__ == "__main__":
    sys.exit(main())
