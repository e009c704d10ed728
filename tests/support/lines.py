"""What processes wrote, line by line, as it comes. Log events are JSON. Owns waiting for one of them."""

import json
import threading
from typing import Any


class Lines:
    """What they wrote so far. bound: seconds after which a line that was waited for fails its test."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._changed = threading.Condition()
        self._lines: list[tuple[str, str]] = []

    def take(self, process: str, line: str) -> None:
        """One more line. From any thread."""
        with self._changed:
            self._lines.append((process, line))
            self._changed.notify_all()

    def of(self, process: str) -> list[str]:
        """All a process wrote so far."""
        with self._changed:
            return [line for name, line in self._lines if name == process]

    def events(self, process: str, *names: str) -> list[dict[str, Any]]:
        """The log events of these names that a process wrote so far."""
        return [parsed for line in self.of(process) if (parsed := _parsed(line)).get("event") in names]

    def errors(self) -> list[tuple[str, str]]:
        """Whatever any process wrote so far that is an error, or no log event at all."""
        with self._changed:
            lines = list(self._lines)
        return [(name, line) for name, line in lines if _parsed(line).get("level", "error") == "error"]

    def last(self, count: int = 50) -> str:
        """What was written last, for a person."""
        with self._changed:
            return "\n".join(f"{name} | {line}" for name, line in self._lines[-count:])

    def wait_for(self, process: str, *names: str, bound: float | None = None) -> dict[str, Any]:
        """The first log event of one of these names that a process wrote, or writes."""
        bound = bound or self._bound
        with self._changed:
            came = self._changed.wait_for(lambda: self.events(process, *names), bound)
            assert came, f"{process} wrote no {' or '.join(names)} within {bound:g} s: {self.of(process)[-10:]}"
            return came[0]


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
