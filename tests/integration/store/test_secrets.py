"""What a database that lets nobody in is told as never has the password in it, however the URL spells it."""

import traceback
from urllib.parse import urlsplit

import pytest

from core.clock import SystemClock
from core.logs import make_logger
from core.rules.errors import Unavailable
from core.store.database import Database
from tests.support.databases import SERVERS

CANARY = "canary-4711"


def _as_stranger(url: str) -> str:
    """The same database, for somebody whom its server does not know."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"stranger:{CANARY}@{place}").geturl()


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_login_that_fails_is_logged_with_its_causes_and_without_the_password(
    fresh_url: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database.open(_as_stranger(fresh_url), SystemClock())
    with pytest.raises(Unavailable) as failed:
        database.read(lambda _: None)
    make_logger("test", form).error("scheduler.pass_crashed", exc_info=failed.value)

    line = capsys.readouterr().err
    assert "stranger" in line
    assert CANARY not in line + "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "password",
    [
        *(f"{one}{CANARY}" for one in ("", "a@", "a/", "a#", "a?", "a:", "a[", "%", "a/b@", "a?b@", "1/")),
        *(f"{CANARY}{one}" for one in ("@a", "/a", "#a", "?a", ":a", "]", "/a@b", "?a@b")),
    ],
)
def test_a_password_that_is_not_written_as_in_a_url_never_passes_for_a_host_or_port(scheme: str, password: str) -> None:
    url = f"{scheme}://localhost:{password}@127.0.0.1:1/payment"
    with pytest.raises((Unavailable, ValueError)) as failed:
        Database.open(url, SystemClock()).read(lambda _: None)
    assert CANARY not in "".join(traceback.format_exception(failed.value))
