"""Fresh databases for each run: copies of two migrated files, made once."""

import functools
import itertools
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from core.clock import SystemClock
from core.store.database import Database
from core.store.migrate import Schema, migrate

_numbers = itertools.count()


@functools.cache
def _templates() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        return {schema.value: _migrated(Path(directory) / f"{schema.value}.db", schema) for schema in Schema}


def _migrated(path: Path, schema: Schema) -> bytes:
    with closing(Database.open(f"sqlite:///{path}", SystemClock())) as database:
        migrate(database, schema)
    return path.read_bytes()


def new_files(directory: Path) -> dict[str, Path]:
    """A migrated payment database and a migrated order database without rows, in `directory`."""
    number = next(_numbers)
    files = {name: directory / f"{name}-{number}.db" for name in _templates()}
    for name, path in files.items():
        path.write_bytes(_templates()[name])
    return files


class FastDirectory:
    """A directory for the files of a run: in memory where the system has such a place. Gone when the block ends."""

    def __enter__(self) -> Path:
        memory = Path("/dev/shm")  # noqa: S108 - a directory of our own in it
        self.path = Path(tempfile.mkdtemp(prefix="paylatch-simulation-", dir=memory if memory.is_dir() else None))
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
