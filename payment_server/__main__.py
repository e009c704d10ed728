"""`python -m payment_server`: serves until it is told to stop."""

import sys

from core.clock import Clock
from core.logs import Logger
from core.process import run_process
from core.rpc.lifecycle import run_until_signal
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.workers import by_workers
from payment_server.compose import compose

ADDRESSES = ("payment_address", "payment_token_address", "operator_address")
"""Where it listens, by the settings' fields."""


def serve(settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open) -> int:
    """Serve on the payment address; answers the exit code."""
    composed = compose(settings, clock, log, open_database)
    address = composed.bind(settings)

    def start() -> None:
        composed.start()
        log.info("process.serving", address=address)

    return run_until_signal(log, composed.stop_steps(settings.stop_bound), start=start)


def main() -> int:
    """Run as a process of its own."""
    return run_process("payment-server", by_workers("payment_server", ADDRESSES, serve))


if __name__ == "__main__":
    sys.exit(main())
