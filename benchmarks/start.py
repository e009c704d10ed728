"""How long a process takes from being started until it says SERVING."""

import time
from collections.abc import Mapping

from benchmarks.system import System, fresh_databases, migrated

PROCESSES = ("payment-server", "order-server", "scheduler")


def start_times(engine: str) -> Mapping[str, float]:
    """Seconds, by process, each started alone on migrated databases. Asked ten times a second."""
    seconds = {}
    for name in PROCESSES:
        with fresh_databases(engine) as urls:
            migrated(urls)
            with System(urls) as system:
                began = time.monotonic()
                system.start(name)
                seconds[name] = time.monotonic() - began
    return seconds
