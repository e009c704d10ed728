import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.demo.orders import COLUMNS, BadOrders, DemoOrder, make_orders, read_orders
from core.rules.limits import MAX_AMOUNT_MINOR
from paylatch.order.v1.order_enums_pb2 import ITEM_KIND_GOODS, ITEM_KIND_VOUCHER

HEADER = ",".join(COLUMNS)


def read(directory: Path, *rows: str, header: str = HEADER) -> list[DemoOrder]:
    file = directory / "orders.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return read_orders(file)


def test_each_row_is_an_order_of_goods_in_the_order_of_the_file(tmp_path: Path) -> None:
    orders = read(tmp_path, "B-2,00004,1997-01-01,2,29.33", "A-1,00004,1997-01-18,40,1234.5")
    assert orders == [DemoOrder("B-2", 2_933, 2), DemoOrder("A-1", 123_450, 40)]


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("0.00", 0), ("0", 0), ("7", 700), ("14.9", 1_490), ("0.29", 29), ("-1.00", -100), ("1.15", 115), ("8.70", 870)],
)
def test_amounts_become_cents_exactly(tmp_path: Path, amount: str, cents: int) -> None:
    assert read(tmp_path, f"A-1,1,1997-01-01,1,{amount}")[0].amount_minor == cents


@given(st.integers(min_value=0, max_value=MAX_AMOUNT_MINOR))
def test_no_amount_loses_a_cent(tmp_path_factory: pytest.TempPathFactory, cents: int) -> None:
    amount = f"{cents // 100}.{cents % 100:02d}"
    assert read(tmp_path_factory.mktemp("csv"), f"A-1,1,1997-01-01,1,{amount}")[0].amount_minor == cents


@pytest.mark.parametrize("amount", ["", "12.345", "1e3", "NaN", "1,5", " 1", "$1", "0x10", "1_000", "٣", "9" * 30])
def test_an_amount_that_is_not_exactly_dollars_and_cents_is_refused_with_its_line(tmp_path: Path, amount: str) -> None:
    with pytest.raises(BadOrders, match=r"orders.csv line 3 has amount_usd .*: must be dollars"):
        read(tmp_path, "A-1,1,1997-01-01,1,1.00", f'A-2,1,1997-01-01,1,"{amount}"')


@pytest.mark.parametrize("quantity", ["", "1.5", "-1", "two"])
def test_a_quantity_that_is_no_whole_number_is_refused_with_its_line(tmp_path: Path, quantity: str) -> None:
    with pytest.raises(BadOrders, match=r"line 2 has quantity .*: must be a whole number"):
        read(tmp_path, f"A-1,1,1997-01-01,{quantity},1.00")


def test_an_order_number_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOrders, match=r"line 3 has order_no 'A-1', which an earlier line has too"):
        read(tmp_path, "A-1,1,1997-01-01,1,1.00", "A-1,1,1997-01-01,1,1.00")


@pytest.mark.parametrize("row", ["A-1,1,1997-01-01,1", "A-1,1,1997-01-01,1,1.00,more"])
def test_a_row_of_another_length_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(BadOrders, match=r"line 2 has \d columns, must have 5"):
        read(tmp_path, row)


def test_a_file_with_another_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOrders, match=re.escape(f"must begin with {HEADER}")):
        read(tmp_path, "A-1,1.00", header="order_no,amount_usd")


def test_a_file_without_orders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOrders, match="holds no orders"):
        read(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadOrders, match=re.escape(f"{tmp_path / 'none.csv'} cannot be read")):
        read_orders(tmp_path / "none.csv")


def test_a_spreadsheet_s_byte_order_mark_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\nA-1,1,1997-01-01,1,1.00\r\n\r\n".encode())
    assert [order.order_no for order in read_orders(file)] == ["A-1"]


def test_made_orders_are_the_same_every_time_and_one_in_ten_is_of_vouchers() -> None:
    orders = make_orders(40)
    assert orders == make_orders(40)
    assert len({order.order_no for order in orders}) == 40
    assert all(order.amount_minor > 0 and order.quantity > 0 for order in orders)
    assert [order.request.items[0].kind for order in orders].count(ITEM_KIND_VOUCHER) == 4
    assert [order.request.items[0].kind for order in orders].count(ITEM_KIND_GOODS) == 36
