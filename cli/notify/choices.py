"""The words of the command line for what the contract has as numbers, and options made of them."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import typer

from cli.options import moment
from paylatch.payment.v1 import payment_enums_pb2 as enums


class Status(StrEnum):
    """How a delivery stands."""

    NOTIFYING = "notifying"
    FAILED = "failed"
    SUCCESS = "success"


class Action(StrEnum):
    """What is done to a schedule."""

    REQUEUE = "requeue"
    DUE_NOW = "due-now"
    REOPEN = "reopen"
    RESTORE = "restore"


STATUS = MappingProxyType(
    {
        None: enums.SCHEDULE_STATUS_UNSPECIFIED,
        Status.NOTIFYING: enums.SCHEDULE_STATUS_NOTIFYING,
        Status.FAILED: enums.SCHEDULE_STATUS_FAILED,
        Status.SUCCESS: enums.SCHEDULE_STATUS_SUCCESS,
    }
)
ACTION = MappingProxyType(
    {
        Action.REQUEUE: enums.RETRY_ACTION_REQUEUE,
        Action.DUE_NOW: enums.RETRY_ACTION_DUE_NOW,
        Action.REOPEN: enums.RETRY_ACTION_REOPEN,
        Action.RESTORE: enums.RETRY_ACTION_RESTORE,
    }
)

OfStatus = Annotated[Status | None, typer.Option(help="Only those in this status.")]
OfTarget = Annotated[str | None, typer.Option(help="Only those that go to this target, grpc://host:port.")]
OfOrder = Annotated[str | None, typer.Option(help="Only those of this order.")]
CreatedAfter = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only those inserted then or later.")
]
CreatedBefore = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only those inserted earlier.")
]
DueBefore = Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only those due earlier.")]
IsHandled = Annotated[bool | None, typer.Option("--handled/--unhandled", help="Only those (not) closed by a person.")]
