from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import IMPATIENT, System
from tests.support.shop import Shop


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path, IMPATIENT)
    try:
        yield system
    finally:
        system.kill()


@pytest.fixture
def shop(system: System) -> Iterator[Shop]:
    with Shop(system.settings) as shop:
        yield shop
