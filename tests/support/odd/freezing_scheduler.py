"""A scheduler that stops itself (SIGSTOP) once: PAYLATCH_TEST_FREEZES `before` or `after` its first call.

It gives nothing up: a pass of that kind, stopped in its transaction, would keep the others from writing on SQLite.
"""

import os
import signal
import sys
import threading
from itertools import count

from core.delivery.call import Answers, OrderNotifyCaller
from core.outbox.lease import Claim
from core.process import run_process
from scheduler.__main__ import serve
from scheduler.passes import ExpiryPass

_MOMENT = os.environ["PAYLATCH_TEST_FREEZES"]
_calls = count(1)
_call = OrderNotifyCaller.call


def _freeze() -> None:
    """Every thread stops; this one before its next step, as the signal goes to it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _freezing(caller: OrderNotifyCaller, claim: Claim) -> Answers:
    is_first = next(_calls) == 1
    if is_first and _MOMENT == "before":
        _freeze()
    answers = _call(caller, claim)
    if is_first and _MOMENT == "after":
        _freeze()
    return answers


if __name__ == "__main__":
    setattr(OrderNotifyCaller, "call", _freezing)  # noqa: B010
    setattr(ExpiryPass, "run_once", lambda _: 0)  # noqa: B010
    sys.exit(run_process("scheduler", serve))
