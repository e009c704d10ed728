"""Structured logs on standard error: one event name, then keys and values. Owns their form; decides nothing.

Event names are stable (`notify.given_up`): alerts are built on them. No line ever holds a secret that an error quotes.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Of C0 and C1, line separators, what turns the direction of text, and half characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# As errors of drivers and libraries quote them. A URL's reaches to its last @: a password may hold one.
_SECRETS = re.compile(
    r"(?P<before>://)[^\s'\"<>]+(?P<after>@)"
    r"|(?P<name>\b(?:password|passwd|sslpassword)=)(?:'[^']*'|[^\s&'\"]+)"
    r"|(?P<scheme>\bbearer )[^\s'\",)]+",
    re.IGNORECASE,
)

Logger = structlog.typing.FilteringBoundLogger


def make_logger(process: str, form: str = "text", level: str = "info") -> Logger:
    """A logger that names `process` on every line. form: `text` for people, `json` for machines."""
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
        _neutralised,
        _renderer(form),
    ]
    logger: Logger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        process=process,
    )
    return logger


def without_secrets(text: str) -> str:
    """`text` without the user and password of a URL, a password that is named as such, or a bearer token."""
    return _SECRETS.sub(
        lambda found: f"{found['before'] or found['name'] or found['scheme']}***{found['after'] or ''}", text
    )


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An error that nobody expected may quote anything."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_secrets(value)
    return event


def _neutralised(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Nothing that was received may move a cursor, or begin a line that looks like one of the log's own."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _indented(value) if key == "exception" else _escaped(value)
    return event


def _indented(traceback: str) -> str:
    return "\n".join(f"  {_escaped(line)}" for line in traceback.split("\n"))


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _renderer(form: str) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
