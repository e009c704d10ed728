"""A COMMIT that raised may be durable or not (SPEC 4). What holds for every RPC alike is in integration/properties."""

import pytest
from peewee import OperationalError

from tests.integration.order_server.order_side import StartOrderSide, item


def test_setting_a_figure_again_does_not_undo_what_orders_took_since(
    start_order_side: StartOrderSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, other = start_order_side(), start_order_side()
    side.create("O-1", item("book", 3))
    commit = side.database.pool.commit

    def durable_and_an_order_takes_at_once() -> None:
        commit()
        monkeypatch.setattr(side.database.pool, "commit", commit)
        other.notify()
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(side.database.pool, "commit", durable_and_an_order_takes_at_once)
    side.stock("book", 10)

    assert side.on_hand("book") == 7
