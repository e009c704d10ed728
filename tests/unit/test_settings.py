from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from core.rules.notify_url import NotifyUrl
from core.settings import BadSetting, Settings, load_settings, parse_duration

OTHER_TARGET = "grpcs://orders.example.com:443"


def _refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(f"PAYLATCH_{name}", value)
    with pytest.raises(BadSetting) as refused:
        load_settings()
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("15s", timedelta(seconds=15)),
        ("5m", timedelta(minutes=5)),
        ("3d", timedelta(days=3)),
        ("24h", timedelta(hours=24)),
        ("1.5h", timedelta(minutes=90)),
        ("200ms", timedelta(milliseconds=200)),
        (" 1s ", timedelta(seconds=1)),
        ("0s", timedelta(0)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_a_duration_reads_as_it_is_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "15", "s", "15 s", "-1s", "1s2", "1h30m", "1,5h", "15S", "١٥s", "1e3s", "inf"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a number and a unit of ms, s, m, h or d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "99999999999d", "9" * 400 + "s"])
def test_a_duration_that_no_calendar_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 3650d"):
        parse_duration(text)


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = load_settings()

    assert settings.payment_address == "127.0.0.1:50051"
    assert settings.order_address == "127.0.0.1:50052"
    assert settings.scheduler_address == "127.0.0.1:50053"
    assert settings.notify_targets == ("grpc://127.0.0.1:50052",)
    assert (settings.notify_max_attempts, settings.notify_window) == (10, timedelta(days=3))
    assert settings.notify_retention == timedelta(days=30)
    assert settings.payment_database_url.startswith("sqlite:///")
    assert settings.order_database_url.startswith("sqlite:///")
    assert settings.log_format == "text"
    assert not settings.allow_plaintext


def test_variables_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_NOTIFY_RETRY_WAITS", "1s, 2m ,3h")
    monkeypatch.setenv("PAYLATCH_NOTIFY_MAX_ATTEMPTS", "4")
    monkeypatch.setenv("PAYLATCH_NOTIFY_TARGETS", f"grpc://127.0.0.1:50052,{OTHER_TARGET}")
    settings = load_settings()

    assert settings.notify_retry_waits == (timedelta(seconds=1), timedelta(minutes=2), timedelta(hours=3))
    assert settings.retry_policy().max_attempts == 4
    assert NotifyUrl("grpcs", "orders.example.com", 443) in settings.allow_list()


def test_a_variable_without_the_prefix_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_MAX_ATTEMPTS", "4")

    assert load_settings().notify_max_attempts == 10


def test_a_dotenv_file_of_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PAYLATCH_LOG_FORMAT=json\nPAYLATCH_NOTIFY_LEASE=45s\nUNRELATED=1\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()

    assert (settings.log_format, settings.notify_lease) == ("json", timedelta(seconds=45))


def test_the_environment_comes_before_the_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PAYLATCH_NOTIFY_LEASE=45s\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAYLATCH_NOTIFY_LEASE", "50s")

    assert load_settings().notify_lease == timedelta(seconds=50)
    assert load_settings(notify_lease=timedelta(seconds=55)).notify_lease == timedelta(seconds=55)


def test_a_bad_setting_of_the_dotenv_file_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PAYLATCH_NOTIFY_LEASE=soon\n")
    monkeypatch.chdir(tmp_path)

    assert _refused(monkeypatch).startswith("PAYLATCH_NOTIFY_LEASE is 'soon': must be a number and a unit")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("NOTIFY_LEASE", "soon", "must be a number and a unit of ms, s, m, h or d, such as 15s, 5m or 3d"),
        ("NOTIFY_LEASE", "0s", "must be longer than 0s"),
        ("NOTIFY_WINDOW", "99999999999d", "must be at most 3650d"),
        ("SCHEDULER_POLL_INTERVAL", "0ms", "must be longer than 0s"),
        ("NOTIFY_RETRY_WAITS", "15s,later", "must be a number and a unit"),
        ("NOTIFY_RETRY_WAITS", "15s,1m", "NOTIFY_MAX_ATTEMPTS is 10: there must be 9"),
        ("NOTIFY_MAX_ATTEMPTS", "many", "valid integer"),
        ("NOTIFY_RETRY_JITTER", "some", "valid number"),
        ("NOTIFY_BATCH_SIZE", "0", "greater than or equal to 1"),
        ("NOTIFY_BATCH_SIZE", "501", "less than or equal to 500"),
        ("BREAKER_THRESHOLD", "0", "greater than or equal to 1"),
        ("SERVER_WORKERS", "0", "greater than or equal to 1"),
        ("PAYMENT_ADDRESS", "127.0.0.1", "must be host:port, such as 127.0.0.1:50051"),
        ("PAYMENT_ADDRESS", "unix:/tmp/socket", "must be host:port"),
        ("ORDER_ADDRESS", "127.0.0.1:65536", "must be host:port"),
        ("ORDER_ADDRESS", "", "must be host:port"),
        ("SCHEDULER_ADDRESS", "127.0.0.1:port", "must be host:port"),
        ("PAYMENT_DATABASE_URL", "paylatch.db", "must be sqlite:///path, postgresql://… or mysql://…"),
        ("PAYMENT_DATABASE_URL", "sqlite:///", "must be sqlite:///path"),
        ("NOTIFY_TARGETS", "", "must name at least one target"),
        ("NOTIFY_TARGETS", ",", "must name at least one target"),
        ("NOTIFY_TARGETS", "unix:/tmp/socket", "must be grpc://host:port or grpcs://host:port"),
        ("NOTIFY_TARGETS", "grpc://127.0.0.1:50052,http://a:1", "must be grpc://host:port or grpcs://host:port"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("ALLOW_PLAINTEXT", "perhaps", "valid boolean"),
    ],
)
def test_a_bad_setting_is_one_line_with_its_name_its_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    told = _refused(monkeypatch, **{name: value})

    assert f"PAYLATCH_{name}" in told
    assert value in told or "has 2 waits" in told
    assert allowed in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"NOTIFY_LEASE": "12s"},
            "PAYLATCH_NOTIFY_LEASE is 0:00:12, must be longer than PAYLATCH_NOTIFY_CONNECT_BOUND + "
            "PAYLATCH_NOTIFY_DEADLINE = 0:00:12",
        ),
        (
            {"NOTIFY_DEADLINE": "1m"},
            "PAYLATCH_NOTIFY_LEASE is 0:00:30, must be longer than PAYLATCH_NOTIFY_CONNECT_BOUND + "
            "PAYLATCH_NOTIFY_DEADLINE = 0:01:02",
        ),
        (
            {"NOTIFY_RETENTION": "71h", "NOTIFY_WINDOW": "72h"},
            "PAYLATCH_NOTIFY_RETENTION is 2 days, 23:00:00, must be longer than PAYLATCH_NOTIFY_WINDOW = 3 days, "
            "0:00:00",
        ),
        (
            {"BREAKER_FIRST_WAIT": "6s"},
            "PAYLATCH_BREAKER_LONGEST_WAIT is 0:00:05, must not be shorter than PAYLATCH_BREAKER_FIRST_WAIT = 0:00:06",
        ),
        (
            {"NOTIFY_MAX_ATTEMPTS": "11"},
            "PAYLATCH_NOTIFY_RETRY_WAITS has 9 waits, but NOTIFY_MAX_ATTEMPTS is 11: there must be 10, one between "
            "each two attempts",
        ),
        (
            {"NOTIFY_WINDOW": "70h"},
            "PAYLATCH_NOTIFY_RETRY_WAITS add up to 2 days, 23:53:22.500000 at the worst jitter, which does not fit "
            "NOTIFY_WINDOW of 2 days, 22:00:00",
        ),
        (
            {"NOTIFY_RETRY_JITTER": "0.6"},
            "PAYLATCH_NOTIFY_RETRY_JITTER is 0.6, must be 0 to 0.5",
        ),
        (
            {"PAYMENT_DATABASE_URL": "sqlite:///one.db", "ORDER_DATABASE_URL": "sqlite:///one.db"},
            "PAYLATCH_PAYMENT_DATABASE_URL and PAYLATCH_ORDER_DATABASE_URL are both sqlite:///one.db",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_and_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    assert _refused(monkeypatch, **variables) == told


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("oracle://anna:secret@host/orders", "must be sqlite:///path, postgresql://… or mysql://…"),
        ("postgresql://anna:secret@host", "must be postgresql://user:password@host:port/database?"),
        ("postgresql://anna:secret@host/orders?colour=red", "must be postgresql://"),
        ("postgresql://anna:sec@ret:@/orders?=", "must be postgresql://"),
        ("mysql://anna:secret@host/", "must be mysql://user:password@host:port/database?"),
        ("mysql://anna:secret@host:port/orders", "must be mysql://user:password@host:port/database?"),
        ("mysql://anna:secret@host/orders?colour=secret", "has the parameter colour, may have ssl_ca"),
        ("mysql://anna:secret@host/orders?ssl_verify_cert=secret", "must give ssl_verify_cert as true or false"),
    ],
)
def test_a_bad_database_url_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, allowed: str
) -> None:
    told = _refused(monkeypatch, ORDER_DATABASE_URL=url)

    assert told.startswith(f"PAYLATCH_ORDER_DATABASE_URL is '{url.partition('://')[0]}://…': {allowed}")
    assert "secret" not in told
    assert "anna" not in told


@pytest.mark.parametrize("url", ["postgresql://anna:secret@host/paylatch", "mysql://anna:secret@host/paylatch"])
def test_one_server_database_for_both_sides_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    told = _refused(monkeypatch, PAYMENT_DATABASE_URL=url, ORDER_DATABASE_URL=url)

    assert told.startswith("PAYLATCH_PAYMENT_DATABASE_URL and PAYLATCH_ORDER_DATABASE_URL are both")
    assert "secret" not in told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:secret@host:5433/payments?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql:///payments?host=/run/postgresql",
        "mysql://anna:se%2Fcret@host:3307/payments?ssl_ca=/etc/ca.pem&ssl_verify_identity=true",
    ],
)
def test_the_database_of_a_server_is_taken_and_never_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PAYLATCH_PAYMENT_DATABASE_URL", url)
    settings = load_settings()

    assert settings.payment_database_url == url
    assert url not in repr(settings)


def test_all_bad_settings_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _refused(monkeypatch, NOTIFY_LEASE="soon", ORDER_ADDRESS="nowhere")

    assert "PAYLATCH_NOTIFY_LEASE is 'soon'" in told
    assert "PAYLATCH_ORDER_ADDRESS is 'nowhere'" in told
    assert "\n" not in told


def test_a_value_with_a_line_break_is_told_in_one_line_and_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _refused(monkeypatch, NOTIFY_LEASE="a\nb" + "x" * 5_000)

    assert "\n" not in told
    assert len(told) < 300


def test_a_longest_lease_and_shortest_timetable_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLATCH_NOTIFY_RETRY_WAITS", "")
    monkeypatch.setenv("PAYLATCH_NOTIFY_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("PAYLATCH_NOTIFY_LEASE", "3650d")
    settings = load_settings()

    assert settings.retry_policy().waits == ()
    assert settings.notify_lease == timedelta(days=3650)


def test_settings_do_not_change_after_they_were_read() -> None:
    settings = Settings()

    with pytest.raises(ValueError, match="frozen"):
        settings.notify_max_attempts = 3


class TestAccess:
    TLS: ClassVar = {"TLS_CERTIFICATE": "own.pem", "TLS_KEY": "own.key", "TLS_CA": "ca.pem"}

    def test_all_of_tls_goes_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = _refused(monkeypatch, TLS_CERTIFICATE="own.pem", TLS_KEY="own.key", POLICY_FILE="policy.toml")

        assert "PAYLATCH_TLS_CA go together: all three, or none" in told

    def test_tls_needs_a_policy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "PAYLATCH_POLICY_FILE is not set" in _refused(monkeypatch, **self.TLS)

    @pytest.mark.parametrize("name", ["PAYMENT_TOKEN_ADDRESS", "ORDER_TOKEN_ADDRESS"])
    def test_tokens_have_an_address_of_their_own_under_tls_only(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        told = _refused(monkeypatch, POLICY_FILE="policy.toml", **{name: "127.0.0.1:50061"})

        assert "need PAYLATCH_TLS_CERTIFICATE" in told

    @pytest.mark.parametrize(
        ("asked", "tls", "shown"),
        [(None, False, True), (None, True, False), ("true", True, True), ("false", False, False)],
    )
    def test_services_are_shown_in_plaintext_and_under_tls_when_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, asked: str | None, tls: bool, shown: bool
    ) -> None:
        for name, value in ({**self.TLS, "POLICY_FILE": "policy.toml"} if tls else {}).items():
            monkeypatch.setenv(f"PAYLATCH_{name}", value)
        if asked is not None:
            monkeypatch.setenv("PAYLATCH_REFLECTION", asked)
        settings = load_settings()

        assert settings.shows_services is shown
        assert settings.scheme == ("grpcs" if tls else "grpc")
