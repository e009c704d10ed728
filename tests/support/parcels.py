"""A table and a life cycle that mean nothing, to test the store with."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from peewee import BigAutoField, BigIntegerField, Model

from core.rules.life_cycles import LifeCycle
from core.store.database import Database
from core.store.fields import CodeField, KeyField, ShortTextField, UtcDateTimeField
from core.store.transaction import Row


class ParcelStatus(IntEnum):
    PACKED = 1
    SENT = 2
    LOST = 3


PARCEL = LifeCycle(
    "parcel.status",
    {ParcelStatus.PACKED: "here", ParcelStatus.SENT: "away", ParcelStatus.LOST: "nowhere"},
    [("send", ParcelStatus.PACKED, ParcelStatus.SENT), ("lose", ParcelStatus.SENT, ParcelStatus.LOST)],
)
SEND = PARCEL.move(ParcelStatus.PACKED, "send")
LOSE = PARCEL.move(ParcelStatus.SENT, "lose")


class Parcel(Model):
    id = BigAutoField()
    sender = KeyField()
    number = KeyField()
    status = CodeField(ParcelStatus)
    weight = BigIntegerField(null=True)
    note = ShortTextField(max_length=20, null=True)
    sent_time = UtcDateTimeField(null=True)

    class Meta:
        table_name = "parcel"
        indexes = ((("sender", "number"), True),)


class Contents(Model):
    id = BigAutoField()
    parcel_id = BigIntegerField()
    sku = KeyField()

    class Meta:
        table_name = "contents"


def create_tables(database: Database) -> None:
    with database.pool.connection_context(), database.pool.bind_ctx([Parcel, Contents]):
        database.pool.create_tables([Parcel, Contents])


def packed(number: str, **columns: Any) -> dict[str, Any]:
    """The columns of a parcel to insert."""
    return {"sender": "anna", "number": number, "status": ParcelStatus.PACKED, **columns}


def pack(database: Database, *numbers: str) -> list[int]:
    """Insert parcels; their ids."""
    database.transact(lambda tx: tx.insert(Parcel, [packed(number) for number in numbers]))
    ids = {row.number: row.id for row in parcels(database)}
    return [ids[number] for number in numbers]


def parcels(database: Database) -> Sequence[Row]:
    """All of them, in the order they were inserted."""
    return database.read(lambda tx: tx.rows(Parcel.select().order_by(Parcel.id)))


def numbers(database: Database) -> list[str]:
    return [row.number for row in parcels(database)]
