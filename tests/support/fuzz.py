"""Requests nobody would send on purpose, drawn from one seed: plausible ones, extreme values, damaged bytes.

Owns what is extreme for each type of field; knows no RPC and no message by name, so that a new one is covered as it is.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_INT32 = (0, 1, -1, 2**31 - 1, -(2**31), 50, 1_000, 1_001)
_INT64 = (0, 1, -1, 2**63 - 1, -(2**63), 2**31, 10**12 + 1, 10**15, 10**15 + 1, 253_402_300_799, 253_402_300_800)
_TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "k" * 64,
    "k" * 65,
    "é" * 64,
    "订单",
    "\u2028",
    "\x1b[31m",
    "'; DROP TABLE payment; --",
    "%s%n{0}${jndi}",
    "../../etc/passwd",
    "x" * 100_000,
    "WyJhIiwxXQ",  # a page token in form
    "\U0001f4b8",
)
_ENUMS = (-1, 7, 99, 2**31 - 1, -(2**31))
_MOST_ITEMS = 3
_TOO_MANY_ITEMS = 1_001
_DEEPEST = 5

GARBAGE: Mapping[str, bytes] = {
    "no field": b"\xff" * 100,
    "a length of 4 GiB": b"\x0a\xff\xff\xff\xff\x0f",
    "a length beyond the end": b"\x0a\x7f",
    "a number that never ends": b"\x28" + b"\xff" * 100,
    "10,000 groups in each other": b"\x0b" * 10_000,
    "the end of a group": b"\x0c",
    "field 0": b"\x00\x00",
    "text that is not UTF-8": b"\x0a\x02\xc3\x28",
    "a lone surrogate": b"\x0a\x03\xed\xa0\x80",
    "an unknown field of 1 MiB": b"\xfa\xff\x01\x80\x80\x40" + b"z" * 2**20,
    "a text of nearly 4 MiB": b"\x0a\xf0\xff\xff\x01" + b"k" * (2**22 - 16),
    "5,000 empty items": b"\x0a\x00" * 5_000,
}
"""Bytes for any message, by what is wrong with them."""


class Fuzz:
    """Draws requests. likely: values that mean something to the server, by field name."""

    def __init__(self, random: Random, likely: Mapping[str, Sequence[Any]]) -> None:
        self._random = random
        self._likely = likely

    def request(self, descriptor: Descriptor) -> bytes:
        """The bytes of a request of this message: half of them well-formed, the others damaged."""
        content = self.message(descriptor).SerializeToString()
        return content if self._random.random() < 0.5 else self._damaged(content)

    def message(self, descriptor: Descriptor, wildness: float | None = None, depth: int = 0) -> Message:
        """A well-formed message. wildness: how much of it is extreme, 0 to 1; drawn if None."""
        wildness = self._random.choice((0.0, 0.05, 0.2, 0.8)) if wildness is None else wildness
        message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if depth < _DEEPEST and self._random.random() > wildness / 2:
                self._fill(message, field, wildness, depth)
        return message

    def _fill(self, message: Message, field: FieldDescriptor, wildness: float, depth: int) -> None:
        if field.is_repeated:
            getattr(message, field.name).extend(
                self._value(field, wildness, depth) for _ in range(self._count(wildness))
            )
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self._value(field, wildness, depth))
        else:
            setattr(message, field.name, self._value(field, wildness, depth))

    def _count(self, wildness: float) -> int:
        too_many = self._random.random() < wildness / 10
        return _TOO_MANY_ITEMS if too_many else self._random.randint(0 if wildness else 1, _MOST_ITEMS)

    def _value(self, field: FieldDescriptor, wildness: float, depth: int) -> Any:
        if field.message_type is not None:
            return self.message(field.message_type, wildness, depth + 1)
        if field.name in self._likely and self._random.random() >= wildness:
            return self._random.choice(self._likely[field.name])
        if field.enum_type is not None:
            known = [value.number for value in field.enum_type.values]
            return self._random.choice(_ENUMS if self._random.random() < wildness else known)
        return self._random.choice(_EXTREMES[field.type])

    def _damaged(self, content: bytes) -> bytes:
        return self._random.choice((self._cut, self._flipped, self._stuffed, self._doubled, self._noise))(content)

    def _cut(self, content: bytes) -> bytes:
        return content[: self._random.randint(0, len(content))]

    def _flipped(self, content: bytes) -> bytes:
        damaged = bytearray(content or b"\x00")
        for _ in range(self._random.randint(1, 8)):
            damaged[self._random.randrange(len(damaged))] ^= 1 << self._random.randrange(8)
        return bytes(damaged)

    def _stuffed(self, content: bytes) -> bytes:
        place = self._random.randint(0, len(content))
        return content[:place] + self._random.randbytes(self._random.randint(1, 20)) + content[place:]

    def _doubled(self, content: bytes) -> bytes:
        return content + content

    def _noise(self, content: bytes) -> bytes:
        return self._random.randbytes(self._random.randint(1, 200))


_EXTREMES: Mapping[int, Sequence[Any]] = {
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BOOL: (False, True),
    FieldDescriptor.TYPE_BYTES: (b"", b"\x00", b"\xff" * 1_000),
}
