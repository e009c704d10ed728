import pytest

from core.telemetry.catalogue import PROCESSES
from core.telemetry.reference import BEGIN, END, PAGE, main, tables, with_tables


def test_the_documentation_lists_the_metrics_as_they_are() -> None:
    assert main(["--check"]) == 0


def test_every_metric_is_listed_once() -> None:
    for metric in {metric for metrics in PROCESSES.values() for metric in metrics}:
        assert tables().count(f"| `{metric.name}` |") == 1


def test_a_page_that_differs_is_noticed_and_what_stands_around_the_tables_stays() -> None:
    page = PAGE.read_text()
    assert with_tables(f"before\n{BEGIN}old\n{END}after\n").startswith(f"before\n{BEGIN}")
    assert with_tables(f"before\n{BEGIN}old\n{END}after\n").endswith(f"{END}after\n")
    assert with_tables(page.replace("paylatch_notify_due", "paylatch_notify_dew")) == page


@pytest.mark.parametrize("page", ["", BEGIN, END])
def test_a_page_without_its_marks_is_told(page: str) -> None:
    with pytest.raises(ValueError, match="must have the marks"):
        with_tables(page)
