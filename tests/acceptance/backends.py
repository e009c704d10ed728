"""Which backends an acceptance test runs on: real processes take their time."""

import pytest

from tests.support.databases import ASKED_FOR

on_servers = pytest.mark.parametrize("backend", [name for name in ASKED_FOR if name != "sqlite"], indirect=True)
"""On every server that is asked for."""

on_all = pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=pytest.mark.slow if name == "sqlite" else ()) for name in ASKED_FOR],
    indirect=True,
)
"""The same, and on SQLite among the slow tests."""
