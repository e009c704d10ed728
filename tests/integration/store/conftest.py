from collections.abc import Iterator

import pytest

from core.store.database import Database
from tests.support.clock import TestClock
from tests.support.databases import opened
from tests.support.parcels import create_tables


@pytest.fixture
def database(fresh_url: str, clock: TestClock) -> Iterator[Database]:
    """A database of parcels: the store knows nothing of payments."""
    with opened(fresh_url, clock) as database:
        create_tables(database)
        yield database
