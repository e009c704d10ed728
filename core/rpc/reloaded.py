"""A value that is read from files, and read again when they change. Owns when; knows not what it is.

A change that cannot be read leaves the value as it was, and raises an alarm: a process never stops over a file.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from core.logs import Logger
from core.settings import BadSetting

Value = TypeVar("Value")
Read = Callable[[Mapping[str, bytes]], Value]
"""Makes the value of each file's content, by the setting that names the file; ValueError says what is wrong."""

_Looks = tuple[tuple[int, int, int] | None, ...]


class Reloaded(Generic[Value]):
    """The value of some files. Every change makes a new object. Safe to use from any thread.

    name: what it is called in the log: `NAME.reloaded`, and `NAME.reload_failed` for a change that cannot be read.
    files: by the setting that names each.

    Raises:
        BadSetting: it cannot be read now.
    """

    def __init__(self, name: str, files: Mapping[str, Path], read: Read[Value], log: Logger) -> None:
        self._name = name
        self._files = files
        self._read = read
        self._log = log
        self._lock = threading.Lock()
        self._looks = self._look()
        try:
            self._value = self._read_files()
        except ValueError as wrong:
            raise BadSetting(str(wrong)) from None

    def current(self) -> Value:
        """The value as the files have it now, or had it when they could last be read."""
        if self._look() != self._looks:
            self._reload()
        return self._value

    def _reload(self) -> None:
        with self._lock:
            looks = self._look()
            if looks == self._looks:
                return
            try:
                self._value = self._read_files()
            except ValueError as wrong:
                self._log.error(f"{self._name}.reload_failed", message=f"{wrong}; what was read before stays in force")
            else:
                self._log.info(f"{self._name}.reloaded", files=[str(file) for file in self._files.values()])
            # Last: until then, whoever comes looks here too.
            self._looks = looks

    def _read_files(self) -> Value:
        return self._read({setting: _content(setting, file) for setting, file in self._files.items()})

    def _look(self) -> _Looks:
        return tuple(_look_of(file) for file in self._files.values())


def _content(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{setting} is {str(file)!r}, which cannot be read: {error.strerror}") from None


def _look_of(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written, or another one put in its place."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
