"""Options that several commands share, and how their values are read."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import typer

from cli.clients import CannotRun, Key
from core.settings import load_settings, parse_duration


def resolved_address(given: str | None, side: Literal["payment", "order"]) -> str:
    """The address given, or else that of the settings.

    Raises:
        BadSetting: the settings are wrong.
    """
    if given is not None:
        return given
    settings = load_settings()
    return settings.payment_address if side == "payment" else settings.order_address


def duration(value: str | timedelta) -> timedelta:
    """`60s`, `5m`, `0s`."""
    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise typer.BadParameter(f"{value!r} {wrong}") from None


def moment(value: str | datetime) -> datetime:
    """A time as ISO 8601 has it; UTC if it names no zone."""
    if isinstance(value, datetime):
        return value
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} must be a time such as 2026-01-31T12:00:00Z; UTC if no zone") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def read_keys(arguments: list[str], platform: str | None) -> list[Key]:
    """The keys of arguments PLATFORM/CODE, or with `platform` of mere codes; each once, in their order.

    Raises:
        CannotRun: one of them has no platform.
    """
    return list(dict.fromkeys(_key(argument, platform) for argument in arguments))


def _key(argument: str, platform: str | None) -> Key:
    if platform is not None:
        return Key(platform, argument)
    platform_id, slash, payment_code = argument.partition("/")
    if not slash:
        raise CannotRun(f"{argument!r} must be PLATFORM/CODE, such as alipay/2026-0001; or give --platform")
    return Key(platform_id, payment_code)
