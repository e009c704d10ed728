from pathlib import Path

import pytest

from cli.up import embedded


def test_without_settings_the_databases_are_in_the_default_directory(empty_directory: Path) -> None:
    overrides = embedded(None)
    assert overrides["payment_database_url"] == f"sqlite:///{empty_directory / 'paylatch-data' / 'payment.db'}"
    assert overrides["order_database_url"] == f"sqlite:///{empty_directory / 'paylatch-data' / 'order.db'}"
    assert overrides["notify_targets"] == "grpc://127.0.0.1:50052"


def test_a_setting_stands_above_the_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_PAYMENT_DATABASE_URL", "sqlite:///mine.db")
    assert "payment_database_url" not in embedded(None)


def test_a_directory_that_is_given_stands_above_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAYLATCH_PAYMENT_DATABASE_URL", "sqlite:///mine.db")
    assert embedded(tmp_path / "new")["payment_database_url"] == f"sqlite:///{tmp_path / 'new' / 'payment.db'}"
    assert (tmp_path / "new").is_dir()


def test_the_one_target_is_the_order_server_wherever_it_is_unless_targets_are_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAYLATCH_ORDER_ADDRESS", "127.0.0.1:6000")
    assert embedded(tmp_path)["notify_targets"] == "grpc://127.0.0.1:6000"
    monkeypatch.setenv("PAYLATCH_NOTIFY_TARGETS", "grpc://127.0.0.1:7000")
    assert "notify_targets" not in embedded(tmp_path)
