"""`python -m tests.faults.trapped.payment_server`: the payment server, with traps."""

import sys

from core.process import run_process
from payment_server.__main__ import serve
from tests.faults.trapped import ShiftedClock, directory_of, trapped_opener

NAME = "payment-server"

if __name__ == "__main__":
    sys.exit(
        run_process(
            NAME,
            lambda settings, clock, log: serve(
                settings, ShiftedClock(clock, directory_of(NAME)), log, trapped_opener(NAME)
            ),
        )
    )
