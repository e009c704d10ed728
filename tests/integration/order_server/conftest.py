import pytest

from tests.integration.order_server.order_side import OrderSide, StartOrderSide


@pytest.fixture
def side(start_order_side: StartOrderSide) -> OrderSide:
    """One order server with the follow-ups of the product."""
    return start_order_side()
