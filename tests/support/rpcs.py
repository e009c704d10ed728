"""Every RPC of a running server, as its reflection tells; and what any answer of one must be like."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from core.store.database import Database
from core.store.migrate import HISTORY

DEADLINE = 20.0
_STREAM_DEADLINE = 0.3
_READS = ("Get", "List", "BatchGet", "Watch", "Explain", "Check", "ServerReflection")

ALLOWED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""How a request may fail when nothing is wrong but the request."""

INTERNAL_WORDS = (
    *("Traceback", "Exception", "Error:", "object at 0x", ".py", "site-packages", "/usr/", "/home/"),
    *("psycopg", "pymysql", "peewee", "sqlite", "postgres", "mysql", "mariadb", "unnest", "constraint"),
    *("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WHERE ", "VALUES"),
    *("order_payment_notify", "order_status_log", "order_follow_up", "notify_attempt", "operator_action"),
    *("change_id", "claim_token", "notify_content", "paid_platform", "google.protobuf", "_pb2"),
)
"""What no client may read: of the language, the drivers, the statements, the tables."""

# What the sender of notifications changes by itself, at any time.
_SENDERS_TABLES = frozenset({"notify_target", "notify_attempt"})
_ONLY: Mapping[str, str] = {
    "notify_schedule": "id, payment_id, platform_id, payment_code, order_no, notify_url, notify_content, give_up_time, "
    "notify_status, handled_time, handled_by, handled_reason"
}

LIKELY: Mapping[str, Sequence[Any]] = {
    "platform_id": ["alipay"],
    "payment_code": ["P-1", "P-2", "P-3", "P-4", "P-9"],
    "order_no": ["O-1", "O-2", "O-3", "O-9"],
    "amount_minor": [1_000, 999],
    "currency_code": ["USD", "EUR"],
    "operator": ["alice"],
    "reason": ["as the test wants it"],
    "description": ["as the test wants it"],
    "sku": ["book", "gift"],
    "quantity": [1, 2],
    "on_hand": [0, 5],
    "name": ["take_inventory"],
    "notify_url": ["grpc://127.0.0.1:1"],
    "trade_no": ["T-1"],
    "page_size": [0, 1, 1_000],
    "page_token": [""],
    "limit": [1, 1_000],
    "seconds": [0, 1_700_000_000],
    "nanos": [0, 999_999_999],
    "service": ["", "paylatch.order.v1.OrderService"],
}
"""Values that mean something to the servers, by field name."""

# In the contract of grpc's health service, but not in its Python library.
NOT_SERVED = frozenset({"/grpc.health.v1.Health/List"})


@dataclass(frozen=True)
class Rpc:
    """One method of a running server, to be called with any bytes."""

    channel: grpc.Channel
    method: MethodDescriptor

    @property
    def path(self) -> str:
        """As gRPC names it."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def only_reads(self) -> bool:
        """Whether it changes nothing, whatever it is asked."""
        return self.method.name.startswith(_READS)

    def call(self, request: bytes) -> "Answer":
        """How the call ended. Of a stream, the first messages."""
        try:
            return Answer(grpc.StatusCode.OK, "", list(self._messages(request)))
        except grpc.RpcError as error:
            failed: Any = error
            status: Any = rpc_status.from_call(failed)
            return Answer(failed.code(), f"{failed.details()} {status}", [])

    def answer(self, request: bytes) -> Message:
        """What a method that answers once answers; grpc.RpcError if it does not."""
        (message,) = self._messages(request)
        return message

    def _messages(self, request: bytes) -> Iterator[Message]:
        if not (self.method.client_streaming or self.method.server_streaming):
            unary: Any = self.channel.unary_unary(self.path)
            yield self._parsed(unary(request, timeout=DEADLINE))
            return
        kinds: Any = (self.channel.unary_stream, self.channel.stream_stream)
        requests: Any = iter([request]) if self.method.client_streaming else request
        try:
            for answer in kinds[self.method.client_streaming](self.path)(requests, timeout=_STREAM_DEADLINE):
                yield self._parsed(answer)
        except grpc.RpcError as error:
            # A stream that goes on until its client leaves.
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise

    def _parsed(self, answer: bytes) -> Message:
        message: Message = GetMessageClass(self.method.output_type).FromString(answer)
        return message


@dataclass(frozen=True)
class Answer:
    """How a call ended. told: every word of an error, its details included."""

    code: grpc.StatusCode
    told: str
    messages: list[Message]

    def faults(self) -> list[str]:
        """All that is not as it must be, the errors of a batch's items included."""
        ends = [(self.code, self.told), *_item_errors(self.messages)]
        codes = [f"the code {code}: {told}" for code, told in ends if code not in ALLOWED | {grpc.StatusCode.OK}]
        words = [f"the word {word!r}: {told}" for _, told in ends for word in INTERNAL_WORDS if word in told]
        return codes + words


def rpcs_of(channel: grpc.Channel) -> list[Rpc]:
    """Every method that the server of this channel serves."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    services = [pool.FindServiceByName(name) for name in database.get_services()]
    rpcs = [Rpc(channel, method) for service in services for method in service.methods]
    return [rpc for rpc in rpcs if rpc.path not in NOT_SERVED]


class Rows:
    """All rows of all tables, but for what the sender of notifications changes by itself. last: as read last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.connected() as pool:
            tables = sorted({*pool.get_tables()} - {HISTORY, "sqlite_sequence"} - _SENDERS_TABLES)
        self._queries = {table: f'SELECT {_ONLY.get(table, "*")} FROM "{table}" ORDER BY id' for table in tables}
        self.last = self._read()

    def have_changed(self) -> bool:
        """Whether they are not what they were when they were read last."""
        before, self.last = self.last, self._read()
        return self.last != before

    def _read(self) -> dict[str, list[Any]]:
        with self._database.connected() as pool:
            return {table: list(pool.execute_sql(query).fetchall()) for table, query in self._queries.items()}


def _item_errors(messages: Iterable[Message]) -> list[tuple[grpc.StatusCode, str]]:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    return [
        (codes[result.error.code], f"{result.error.reason} {result.error.message}")
        for message in messages
        for result in getattr(message, "results", ())
        if result.HasField("error")
    ]
