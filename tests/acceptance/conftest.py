import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.processes import IMPATIENT, System
from tests.support.shop import Shop


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, IMPATIENT) as system:
        yield system


@pytest.fixture
def shop(system: System) -> Iterator[Shop]:
    with Shop(system.settings) as shop:
        yield shop


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the processes wrote last stands under a test that failed."""
    report = yield
    system = item.funcargs.get("system")
    if report.failed and isinstance(system, System):
        report.sections.append(("Processes", system.lines.last()))
    return report


@pytest.fixture(autouse=True, scope="session")
def _processes_hear_ctrl_c() -> None:
    """A run in the background of a shell is started with SIGINT ignored, and would hand that on to every process."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
