"""The orders of a demonstration: read from a CSV, or made. Owns what a row means; the servers judge what it is worth.

Amounts are exact from the text on: decimal digits to whole cents, never a float.
"""

import csv
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from cli.clients import CannotRun
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_GOODS, ITEM_KIND_VOUCHER
from paylatch.order.v1.order_pb2 import OrderItem
from paylatch.order.v1.order_service_pb2 import CreateOrderRequest

CURRENCY = "USD"
GOODS = "GOODS"
VOUCHER = "VOUCHER"
COLUMNS = ("order_no", "customer_id", "order_date", "quantity", "amount_usd")

_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")
_QUANTITY = re.compile(r"[0-9]{1,9}")
_VOUCHER_EVERY = 10
_SEED = 20240229


@dataclass(frozen=True, slots=True)
class DemoOrder:
    """One order. amount_minor: cents. quantity: units of its one item. is_voucher: of vouchers, not of goods."""

    order_no: str
    amount_minor: int
    quantity: int
    is_voucher: bool = False

    @property
    def request(self) -> CreateOrderRequest:
        """How it is created."""
        sku, kind = (VOUCHER, ITEM_KIND_VOUCHER) if self.is_voucher else (GOODS, ITEM_KIND_GOODS)
        item = OrderItem(sku=sku, quantity=self.quantity, kind=kind)
        return CreateOrderRequest(
            order_no=self.order_no, amount_minor=self.amount_minor, currency_code=CURRENCY, items=[item]
        )


class BadOrders(CannotRun):
    """A file holds no orders that could be tried. The message names the line, the value and what is allowed."""


def read_orders(path: Path) -> list[DemoOrder]:
    """The orders of a CSV with a header of COLUMNS. What the servers may refuse, an amount of zero, is not judged here.

    Raises:
        BadOrders: it cannot be read, or a row cannot be understood exactly.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _with_unique_numbers(path, _read(path, file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadOrders(f"{path} cannot be read: {error}") from error


def make_orders(count: int) -> list[DemoOrder]:
    """`count` orders, the same ones every time; one in ten is of vouchers, the others of goods."""
    dice = random.Random(_SEED)  # noqa: S311  # guards no secret
    return [
        DemoOrder(
            order_no=f"DEMO-{number:06d}",
            amount_minor=dice.randint(99, 25_000),
            quantity=dice.randint(1, 3),
            is_voucher=number % _VOUCHER_EVERY == 0,
        )
        for number in range(1, count + 1)
    ]


def _read(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, DemoOrder]]:
    rows = csv.reader(lines, strict=True)
    header = tuple(next(rows, ()))
    if header != COLUMNS:
        raise BadOrders(f"{path} begins with {','.join(header)[:80]!r}: must begin with {','.join(COLUMNS)}")
    for row in rows:
        if row:
            yield rows.line_num, _order(f"{path} line {rows.line_num}", row)


def _order(where: str, row: Sequence[str]) -> DemoOrder:
    if len(row) != len(COLUMNS):
        raise BadOrders(f"{where} has {len(row)} columns, must have {len(COLUMNS)}")
    order_no, _customer_id, _order_date, quantity, amount = row
    return DemoOrder(order_no, _cents(where, amount), _units(where, quantity))


def _cents(where: str, text: str) -> int:
    if not _AMOUNT.fullmatch(text):
        raise BadOrders(
            f"{where} has amount_usd {text[:40]!r}: must be dollars with at most two decimals, such as 29.33"
        )
    return int(Decimal(text).scaleb(2))


def _units(where: str, text: str) -> int:
    if not _QUANTITY.fullmatch(text):
        raise BadOrders(f"{where} has quantity {text[:40]!r}: must be a whole number, such as 2")
    return int(text)


def _with_unique_numbers(path: Path, rows: Iterator[tuple[int, DemoOrder]]) -> list[DemoOrder]:
    orders: dict[str, DemoOrder] = {}
    for line, order in rows:
        if order.order_no in orders:
            raise BadOrders(f"{path} line {line} has order_no {order.order_no!r}, which an earlier line has too")
        orders[order.order_no] = order
    if not orders:
        raise BadOrders(f"{path} holds no orders")
    return list(orders.values())
