"""What a `mysql://` URL says: user, database, and the parameters behind the question mark. Owns which there may be."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

FORM = "must be mysql://user:password@host:port/database?ssl_ca=…"

LONGEST_SECONDS = 3_600


def parameters_of(url: str) -> Mapping[str, Any]:
    """The parameters of `pymysql.connect`, and the two session variables that bound a lock and a statement.

    Raises:
        ValueError: it is no such URL, or a parameter is unknown or wrong. The text repeats no part that may be secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError:
        raise ValueError(FORM) from None
    database = unquote(parts.path.removeprefix("/"))
    if not database:
        raise ValueError(FORM)
    given = {key: _read(key, value) for key, value in parse_qsl(parts.query)}
    if "ssl_ca" in given and "ssl_verify_cert" not in given:
        # By itself the driver would take any certificate.
        given.setdefault("ssl_verify_identity", True)
    return {
        "database": database,
        "host": parts.hostname or "127.0.0.1",
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote_to_bytes(parts.password or ""),  # of text, the driver would make latin-1
        **given,
    }


def _yes_or_no(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("true or false")
    return value == "true"


def _seconds(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= LONGEST_SECONDS):
        raise ValueError(f"whole seconds, 1 to {LONGEST_SECONDS}")
    return int(value)


_PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca": str,
    "ssl_cert": str,
    "ssl_key": str,
    "ssl_verify_cert": _yes_or_no,
    "ssl_verify_identity": _yes_or_no,
    "unix_socket": str,
    "connect_timeout": _seconds,
    "read_timeout": _seconds,
    "write_timeout": _seconds,
    "innodb_lock_wait_timeout": _seconds,
    "max_statement_time": _seconds,
}


def _read(key: str, value: str) -> Any:
    if key not in _PARAMETERS:
        raise ValueError(f"has the parameter {key}, may have {', '.join(_PARAMETERS)}")
    try:
        return _PARAMETERS[key](value)
    except ValueError as allowed:
        raise ValueError(f"must give {key} as {allowed}") from None
