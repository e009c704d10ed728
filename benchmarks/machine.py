"""What a run was made on: the machine, and the versions of all that took part."""

import os
import platform
import sqlite3
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.install import CannotInstall, peer_versions
from benchmarks.postgresql import server_settings

_OURS = ("paylatch", "grpcio", "protobuf", "peewee", "psycopg")


def machine() -> Mapping[str, str]:
    """Cores, memory, system; and how busy it was before: the load of the last minute."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _line_of("/proc/cpuinfo", "model name"),
        "memory": f"{int(_line_of('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> Mapping[str, str]:
    """By name; those of the peers as they are pinned."""
    ours = {name: version(name) for name in _OURS}
    servers = {"SQLite": sqlite3.sqlite_version, **{f"PostgreSQL {k}": v for k, v in server_settings().items()}}
    try:
        peers = peer_versions()
    except CannotInstall as error:
        peers = {"peers": f"not installed: {error}"}
    return {"Python": platform.python_version(), **ours, **servers, **peers}


def _line_of(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
