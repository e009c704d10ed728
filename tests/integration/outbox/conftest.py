import pytest

from core.store.database import Database
from tests.support.clock import TestClock
from tests.support.outbox import Outbox


@pytest.fixture
def outbox(payment_database: Database, clock: TestClock) -> Outbox:
    return Outbox(payment_database, clock)
