"""Options that several commands share, and how their values are read."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from cli.clients import CannotRun, Key
from core.rpc.translate import to_timestamp
from core.settings import load_settings, parse_duration

Operator = Annotated[str, typer.Option(help="Who asks. Recorded.")]
Reason = Annotated[str, typer.Option(help="Why. Recorded.")]
Platform = Annotated[str | None, typer.Option(help="The platform, where keys are given as mere codes.")]
PaymentAddress = Annotated[str | None, typer.Option(help="Payment server, host:port.", show_default="settings")]
OrderAddress = Annotated[str | None, typer.Option(help="Order server, host:port.", show_default="settings")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def resolved_address(given: str | None, side: Literal["payment", "operator", "order"]) -> str:
    """The address given, or else that of the settings. operator: where the payment server serves operators.

    Raises:
        BadSetting: the settings are wrong.
    """
    if given is not None:
        return given
    settings = load_settings()
    if side == "operator" and settings.operator_address is not None:
        return settings.operator_address
    return settings.order_address if side == "order" else settings.payment_address


def duration(value: str | timedelta) -> timedelta:
    """`60s`, `5m`, `0s`."""
    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise typer.BadParameter(f"{value!r} {wrong}") from None


def moment(value: str | datetime) -> datetime:
    """A time as ISO 8601 has it, in UTC; if it names no zone, it is meant so."""
    if isinstance(value, datetime):
        return value
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} must be a time such as 2026-01-31T12:00:00Z; UTC if no zone") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def optional_stamp(time: datetime | None) -> Timestamp | None:
    """A time as the contracts have it; None if it was not given."""
    return to_timestamp(time) if time is not None else None


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
