"""Prometheus's own tool takes the alert rules, and each rings when it must and not when it must not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import ALL_REQUIRED

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.mark.parametrize("command", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_is_content_with_the_alerts(command: tuple[str, ...]) -> None:
    ended = subprocess.run([_promtool(), *command], cwd=RULES, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr


def _promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        told = "promtool is not there: install it (Debian, Ubuntu: apt-get install prometheus)"
        (pytest.fail if ALL_REQUIRED else pytest.skip)(told)
    return found
