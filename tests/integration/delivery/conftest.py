from datetime import timedelta

import pytest

from core.delivery.call import OrderNotifyCaller
from core.delivery.deliver import Delivery
from core.store.database import Database
from tests.support.clock import TestClock
from tests.support.logs import Log
from tests.support.outbox import Outbox
from tests.support.receiver import Receiver


@pytest.fixture
def outbox(payment_database: Database, clock: TestClock) -> Outbox:
    return Outbox(payment_database, clock)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def delivery(outbox: Outbox, receiver: Receiver, log: Log, clock: TestClock) -> Delivery:
    caller = OrderNotifyCaller(receiver, timedelta(seconds=2), timedelta(seconds=10), clock)
    return Delivery(outbox.database, caller, outbox.policy, log.logger)
