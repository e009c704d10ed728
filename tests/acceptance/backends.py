"""Which backends an acceptance test runs on: real processes take their time."""

import pytest

from tests.support.databases import ASKED_FOR, SERVERS

on_servers = pytest.mark.parametrize("backend", SERVERS, indirect=True)
"""On every server that is asked for."""

on_all = pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=pytest.mark.slow if name == "sqlite" else ()) for name in ASKED_FOR],
    indirect=True,
)
"""The same, and on SQLite among the slow tests."""
