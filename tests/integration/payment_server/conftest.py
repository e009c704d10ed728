import pytest

from tests.integration.payment_server.payment_side import PaymentSide, StartPaymentSide


@pytest.fixture
def side(start_payment_side: StartPaymentSide) -> PaymentSide:
    """One payment server whose order side is away."""
    return start_payment_side()
