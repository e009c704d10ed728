"""Waiting for a fact that another thread makes true."""

import threading
import time
from collections.abc import Callable

BOUND_SECONDS = 10.0
_PAUSE_SECONDS = 0.001


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look again and again until it is so; after the bound, fail."""
    ends = time.monotonic() + BOUND_SECONDS
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < ends, "it did not become so"
        pause.wait(_PAUSE_SECONDS)
