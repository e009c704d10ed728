"""Alert rules and the dashboard name only what the processes tell, and no metric is told for nobody."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.telemetry.catalogue import PROCESSES, Kind

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = (DEPLOY / "prometheus" / "alerts.yml").read_text()
RUNBOOK = (DEPLOY.parent / "OPERATIONS.md").read_text()
RULE_TESTS = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "paylatch.json").read_text())

METRICS = {metric.name: metric for metrics in PROCESSES.values() for metric in metrics}
SERIES = {
    name + suffix
    for name, metric in METRICS.items()
    for suffix in (("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",))
}
ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def _series_in(text: str) -> set[str]:
    return set(re.findall(r"\bpaylatch_[a-z_]+", text))


def _expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def test_every_series_that_an_alert_asks_for_is_told_by_a_process() -> None:
    assert _series_in(RULES) <= SERIES
    assert _series_in(RULE_TESTS) <= SERIES


def test_every_alert_has_a_test_a_summary_and_its_place_in_the_runbook() -> None:
    assert len(ALERTS) == len(set(ALERTS)) > 0
    for alert in ALERTS:
        (rule,) = [part for part in RULES.split("- alert: ") if part.startswith(f"{alert}\n")]
        assert re.search(r"severity: (page|ticket)\n", rule), alert
        assert re.search(r'summary: ".+"\n', rule), alert
        assert "runbook: OPERATIONS.md#alerts-of-prometheus\n" in rule
        assert RUNBOOK.count(f"| `{alert}` |") == 1, f"{alert} has no row in OPERATIONS.md"
        assert f"name: {alert}\n" in RULE_TESTS, f"{alert} has no test"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_only_for_series_that_are_told(panel: dict[str, Any]) -> None:
    assert _expressions(panel)
    for expression in _expressions(panel):
        assert _series_in(expression), f"{expression} asks for nothing of ours"
        assert _series_in(expression) <= SERIES
        by = re.findall(r"by \(([^)]*)\)", expression)
        labels = {label.strip() for group in by for label in group.split(",")} - {"le", "instance"}
        (metric, *_) = [METRICS[name] for name in METRICS if any(s.startswith(name) for s in _series_in(expression))]
        assert labels <= {*metric.labels}


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {series for panel in PANELS for expression in _expressions(panel) for series in _series_in(expression)}
    assert {name for name in METRICS if not any(series.startswith(name) for series in shown)} == set()


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"] == "paylatch"
    assert DASHBOARD["schemaVersion"] >= 36
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        columns = range(grid["x"], grid["x"] + grid["w"])
        area = {(x, y) for x in columns for y in range(grid["y"], grid["y"] + grid["h"])}
        assert grid["x"] + grid["w"] <= 24
        assert not area & taken, f"{panel['title']} lies upon another panel"
        taken |= area
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
