"""A scheduler on a machine whose clock is wrong by PAYLATCH_TEST_SKEW_SECONDS."""

import os
import sys
from datetime import datetime, timedelta

from core.clock import Clock, SystemClock
from core.logs import Logger
from core.process import run_process
from core.settings import Settings
from scheduler.__main__ import serve

SKEW = timedelta(seconds=int(os.environ["PAYLATCH_TEST_SKEW_SECONDS"]))


class SkewedClock(SystemClock):
    """Right about how long things take, wrong about what time it is."""

    def now(self) -> datetime:
        return super().now() + SKEW


def serve_skewed(settings: Settings, clock: Clock, log: Logger) -> int:
    return serve(settings, SkewedClock(), log)


if __name__ == "__main__":
    sys.exit(run_process("scheduler", serve_skewed))
