"""Structured logs on standard error: one event name, then keys and values. Owns their form; decides nothing.

Event names are stable (`notify.given_up`): alerts are built on them.
"""

import logging
import sys
from typing import Any

import structlog

Logger = structlog.typing.FilteringBoundLogger


def make_logger(process: str, form: str = "text", level: str = "info") -> Logger:
    """A logger that names `process` on every line. form: `text` for people, `json` for machines."""
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _renderer(form),
    ]
    logger: Logger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        process=process,
    )
    return logger


def _renderer(form: str) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
