from contextlib import AbstractContextManager

import pytest

from benchmarks.__main__ import main
from benchmarks.charts import bars, lines
from benchmarks.measurement import Figures, Measurement, Variant, number, take_turns
from benchmarks.page import charts, page, table_of_promises
from benchmarks.promises import Run, promises


def test_variants_take_turns_and_one_that_fails_does_not_stop_the_others() -> None:
    ran: list[str] = []

    def variant(name: str, error: Exception | None = None) -> Variant:
        def run() -> Figures:
            ran.append(name)
            if error is not None:
                raise error
            return {"rate": float(len(ran)), "over time": [1.0, 2.0]}

        return Variant(name, run)

    variants = [variant("a"), variant("bad", OSError("no network")), variant("b")]
    results = take_turns(Measurement("drain", variants, rounds=3), lambda _: None)

    assert ran == ["a", "bad", "b", "a", "b", "a", "b"]
    assert results["bad"] == {"error": "OSError: no network"}
    assert results["a"]["median"] == {"rate": 4.0}
    assert [each["rate"] for each in results["b"]["rounds"]] == [3.0, 5.0, 7.0]


def test_without_what_they_need_all_variants_say_so() -> None:
    class FullDisk(AbstractContextManager[None]):
        def __enter__(self) -> None:
            raise OSError("no space left")

        def __exit__(self, *_: object) -> None: ...

    growth = Measurement("growth", [Variant("0", dict), Variant("10", dict)], rounds=1, held=FullDisk())

    assert take_turns(growth, lambda _: None) == {name: {"error": "OSError: no space left"} for name in ("0", "10")}


def test_a_figure_that_is_not_there_does_not_hold_and_says_so() -> None:
    made = promises(Run({"measurements": {"drain": {"pg-boss": {"error": "PeerFailed: ended"}}}}))

    assert not any(promise.holds for promise in made)
    assert all(promise.measured.startswith("not measured (") for promise in made)


def test_a_page_of_a_run_in_which_everything_failed_can_be_written() -> None:
    failed = {"measurements": {"drain": {"pg-boss": {"error": "PeerFailed: a | b"}}}, "settings": {}}
    run = failed | {"made": "now", "minutes": 1, "short": True, "machine": {}, "versions": {}}

    assert "failed: PeerFailed: a / b" in page(run)
    assert charts(run) == {}
    assert "holds" not in "\n".join(table_of_promises(run))


@pytest.mark.parametrize("part", [["--short"], ["--only", "drain"]])
def test_a_part_is_never_published(part: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--publish", *part])

    assert "the page leaves nothing out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "read"), [(0.1234, "0.123"), (12.34, "12.3"), (999.4, "999"), (1_234.0, "1,230"), (123_456.0, "123,000")]
)
def test_a_figure_has_three_digits_that_count(value: float, read: str) -> None:
    assert number(value) == read


def test_charts_take_any_name_and_no_value() -> None:
    assert "a &lt;b&gt;" in bars("title", "unit", {"a <b>": 0.0}, "a")
    assert "</svg>" in lines("title", "along", [], {"nothing": []})
