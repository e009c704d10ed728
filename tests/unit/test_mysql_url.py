from typing import Any

import pytest

from core.store.dialect.mysql_url import parameters_of


def test_a_url_names_user_password_host_port_and_database() -> None:
    assert parameters_of("mysql://ann:p%40ss%2F@db.example:3307/paylatch_order") == {
        "database": "paylatch_order",
        "host": "db.example",
        "port": 3307,
        "user": "ann",
        "password": b"p@ss/",
    }


def test_a_password_is_bytes_of_utf_8_as_the_server_keeps_it() -> None:
    for password in ("p%E2%82%AC", "p€"):
        assert parameters_of(f"mysql://ann:{password}@db/orders")["password"] == "p€".encode()


def test_what_a_url_leaves_out_is_the_usual() -> None:
    found = parameters_of("mysql:///orders")
    assert (found["host"], found["port"], found["user"], found["password"]) == ("127.0.0.1", 3306, "", b"")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("unix_socket=/run/mysqld/mysqld.sock", {"unix_socket": "/run/mysqld/mysqld.sock"}),
        (
            "connect_timeout=2&read_timeout=20&write_timeout=9",
            {"connect_timeout": 2, "read_timeout": 20, "write_timeout": 9},
        ),
        ("innodb_lock_wait_timeout=3&max_statement_time=8", {"innodb_lock_wait_timeout": 3, "max_statement_time": 8}),
        ("ssl_cert=/c.pem&ssl_key=/k.pem", {"ssl_cert": "/c.pem", "ssl_key": "/k.pem"}),
    ],
)
def test_sockets_timeouts_and_tls_go_by_the_url(query: str, expected: dict[str, Any]) -> None:
    found = parameters_of(f"mysql://ann@db/orders?{query}")
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("query", "verified"),
    [
        ("ssl_ca=/ca.pem", {"ssl_verify_identity": True}),
        ("ssl_ca=/ca.pem&ssl_verify_cert=true", {"ssl_verify_cert": True}),
        ("ssl_ca=/ca.pem&ssl_verify_identity=false", {"ssl_verify_identity": False}),
    ],
)
def test_whoever_names_a_ca_has_the_server_checked_against_it_unless_told_otherwise(
    query: str, verified: dict[str, bool]
) -> None:
    found = parameters_of(f"mysql://ann@db/orders?{query}")
    assert {name: value for name, value in found.items() if "verify" in name} == verified


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://ann@db", "must be mysql://user:password@host:port/database"),
        ("mysql://ann@db:port/orders", "must be mysql://user:password@host:port/database"),
        ("mysql://ann@db/orders?charset=latin1", "has the parameter charset, may have ssl_ca"),
        ("mysql://ann@db/orders?ssl_verify_cert=yes", "must give ssl_verify_cert as true or false"),
        ("mysql://ann@db/orders?read_timeout=0", "must give read_timeout as whole seconds, 1 to 3600"),
        ("mysql://ann@db/orders?connect_timeout=2s", "must give connect_timeout as whole seconds, 1 to 3600"),
    ],
)
def test_a_url_that_says_something_else_is_refused_and_its_password_never_repeated(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")) as refused:
        parameters_of(url.replace("ann@", "ann:secret@"))
    assert "secret" not in str(refused.value)
