"""`python -m order_server`: serves until it is told to stop."""

import sys

from core.clock import Clock
from core.logs import Logger
from core.process import run_process
from core.rpc.lifecycle import run_until_signal
from core.settings import Settings
from core.store.database import Database, OpenDatabase
from core.workers import by_workers
from order_server.compose import compose

ADDRESSES = ("order_address", "order_token_address")
"""Where it listens, by the settings' fields."""


def serve(settings: Settings, clock: Clock, log: Logger, open_database: OpenDatabase = Database.open) -> int:
    """Serve on the order address; answers the exit code."""
    composed = compose(settings, clock, log, open_database=open_database)
    address = composed.server.bind(settings.order_address, allow_plaintext=settings.allow_plaintext)
    if settings.order_token_address is not None:
        composed.server.bind_for_tokens(settings.order_token_address)
    composed.monitor.listen(settings.order_metrics_address, settings)

    def start() -> None:
        composed.server.start()
        composed.monitor.start()
        log.info("process.serving", address=address)

    return run_until_signal(log, composed.stop_steps(settings.stop_bound), start=start)


def main() -> int:
    """Run as a process of its own."""
    return run_process("order-server", by_workers("order_server", ADDRESSES, serve))


if __name__ == "__main__":
    sys.exit(main())
