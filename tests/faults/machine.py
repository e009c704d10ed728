"""Faults of the machine under a process: a sync that fails, a disk that is full. Needs root, and says so."""

import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.lines import Lines
from tests.support.processes import BOUND, eventually

_DISK_BYTES = 64 * 1024 * 1024
_CHUNK = bytes(4_096)


class NotAllowed(Exception):
    """The machine does not let us make the fault."""


@contextmanager
def failing_syncs(process: int) -> Iterator[Callable[[], int]]:
    """Inside, the first fsync or fdatasync of each thread of a process fails with EIO; gives how many did so far."""
    inject = "fsync,fdatasync:error=EIO:when=1"
    command = ["strace", "-f", "-p", str(process), "-e", "trace=fsync,fdatasync", "-e", f"inject={inject}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as strace:
        lines = Lines(BOUND)
        reader = threading.Thread(target=_read, args=(strace, lines), daemon=True)
        reader.start()
        try:
            eventually(lambda: any("attached" in line for line in lines.of("strace")))
            yield lambda: sum("INJECTED" in line for line in lines.of("strace"))
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait()
            reader.join()


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own, of 64 MiB."""

    path: Path

    def fill(self) -> None:
        """Leave no room."""
        with (self.path / "filling").open("wb", buffering=0) as filling:
            try:
                while True:
                    filling.write(_CHUNK)
            except OSError:
                return

    def free(self) -> None:
        """Make room again."""
        (self.path / "filling").unlink()


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """A small disk, mounted. Raises NotAllowed where nothing may be."""
    path = Path(tempfile.mkdtemp(prefix="paylatch-small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(path)]
    if subprocess.run(mount, check=False).returncode:
        raise NotAllowed("a disk that can be filled up must be mounted, which needs root")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()


def _read(strace: "subprocess.Popen[str]", lines: Lines) -> None:
    for line in strace.stderr or ():
        lines.take("strace", line)
