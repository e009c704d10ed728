import json
from typing import Any

import pytest

from core.logs import make_logger

HOSTILE = "a\nb\r\x1b[2J\x00\x07\x9b31m\u2028\u202e\ud800"
CANARY = "canary-4711"


def test_what_was_received_stays_on_its_line_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    make_logger("test").warning("rpc.failed", message=HOSTILE)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "a\\nb\\r\\x1b[2J\\x00\\x07\\x9b31m\\u2028\\u202e\\ud800" in line


def test_a_traceback_keeps_its_lines_and_none_looks_like_one_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "2026-01-01T00:00:00Z [error] forged"
    try:
        raise ValueError(f"{HOSTILE}\n{forged}")
    except ValueError as error:
        make_logger("test").error("rpc.crashed", exc_info=error)

    first, *traceback = capsys.readouterr().err.split("\n")
    assert "rpc.crashed" in first
    assert any("ValueError" in line for line in traceback)
    assert all(line.isprintable() and (not line or line.startswith("  ")) for line in traceback)
    assert not any(line.startswith(forged) for line in traceback)


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    make_logger("test", "json").warning("rpc.failed", message=HOSTILE)

    (line,) = capsys.readouterr().err.splitlines()
    parsed: dict[str, Any] = json.loads(line)
    assert line.isprintable()
    assert parsed["message"].startswith("a\\nb")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "quoted",
    [
        "postgresql://app:{}@db.example:5432/payment",
        "mysql://app:a@b/{}@db.example/payment",
        "grpc://{}@db.example:50052",
        "host=db.example user=app password={} dbname=payment",
        "host=db.example user=app password='a {}'",
        "postgresql://db.example/payment?user=app&sslpassword={}&sslmode=require",
        "db.example was shown ('authorization', 'Bearer {}')",
    ],
)
def test_no_line_tells_a_secret_that_an_error_quotes(
    capsys: pytest.CaptureFixture[str], form: str, quoted: str
) -> None:
    told = quoted.format(CANARY)
    try:
        try:
            raise RuntimeError(told)
        except RuntimeError as cause:
            raise ValueError(f"a bug met {told}") from cause
    except ValueError as error:
        make_logger("test", form).error("rpc.crashed", exc_info=error, cause=str(error))

    line = capsys.readouterr().err
    assert "Traceback" in line
    assert line.count("db.example") >= 3
    assert CANARY not in line
