"""What the system tells of a running process: its children, its connections, its memory. Changes nothing."""

import resource
from collections.abc import Sequence
from pathlib import Path

from cli.processes import Child


def workers_of(child: Child) -> Sequence[int]:
    """The ids of the processes that it has started."""
    tasks = Path(f"/proc/{child.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def connections_at(address: str, pid: int) -> int:
    """How many sockets of a process are connected at this address of its own."""
    tables = [Path(f"/proc/net/{family}").read_text() for family in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table.splitlines()]
    own = f":{int(address.rpartition(':')[2]):04X}"
    established = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(own) and line[3] == "01"}
    return len(established & {_opened(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()})


def memory_of(child: Child) -> int:
    """Bytes that it holds resident."""
    resident = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
    return resident * resource.getpagesize()


def _opened(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # closed meanwhile
        return ""
