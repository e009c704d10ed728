"""Logs that a test can read."""

from collections.abc import Sequence
from typing import Any

import structlog

from core.logs import Logger


class Log:
    """Every line of every level, as structlog has it."""

    def __init__(self) -> None:
        self._capture = structlog.testing.LogCapture()
        self.logger: Logger = structlog.wrap_logger(
            None, processors=[self._capture], wrapper_class=structlog.make_filtering_bound_logger("DEBUG")
        )

    @property
    def lines(self) -> Sequence[Any]:
        return self._capture.entries

    def named(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event, without their event."""
        return [{k: v for k, v in line.items() if k != "event"} for line in self.lines if line["event"] == event]

    def events(self, *levels: str) -> list[str]:
        """The events of these levels, or of all, in order."""
        return [line["event"] for line in self.lines if not levels or line["log_level"] in levels]
