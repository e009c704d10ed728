import json
from typing import Any

import pytest

from benchmarks.page import CHARTS, PAGE, RESULTS, charts, page
from benchmarks.promises import Run, promises

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="nothing was published yet: make bench ARGS=--publish")


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    run: dict[str, Any] = json.loads(RESULTS.read_text())
    return run


def test_the_page_says_what_was_measured_and_nothing_else(published: dict[str, Any]) -> None:
    assert PAGE.read_text() == page(published), "run `make bench ARGS=--publish`, or `python -m benchmarks.page`"


def test_the_charts_show_what_was_measured(published: dict[str, Any]) -> None:
    drawn = charts(published)

    assert {path.name for path in CHARTS.glob("*.svg")} == set(drawn)
    assert all((CHARTS / name).read_text() == chart for name, chart in drawn.items())


def test_what_is_published_is_no_short_run(published: dict[str, Any]) -> None:
    assert not published["short"]


def test_every_figure_to_hold_was_measured(published: dict[str, Any]) -> None:
    assert [made.what for made in promises(Run(published)) if made.measured.startswith("not measured")] == []
