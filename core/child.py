"""`python -m core.child PARENT MODULE`: MODULE as `python -m MODULE` runs it, but never longer than its parent lives.

On Linux the kernel kills this process the moment the thread that started it ends, however that came about; what a kill
leaves behind, every process here survives. Elsewhere only a parent that is itself killed leaves its children running.
Imports next to nothing: it stands in front of every start.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Bind this process to its parent, then become MODULE."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone already")
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
