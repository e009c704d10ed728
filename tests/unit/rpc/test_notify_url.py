import pytest

from core.rules.limits import Checker
from core.rules.notify_url import AllowList, NotifyUrl, why_not


@pytest.mark.parametrize(
    ("url", "host", "port", "uses_tls"),
    [
        ("grpc://127.0.0.1:50052", "127.0.0.1", 50052, False),
        ("grpcs://orders.example.com:443", "orders.example.com", 443, True),
        ("grpc://localhost:1", "localhost", 1, False),
        ("grpc://order-server:65535", "order-server", 65535, False),
        ("grpc://1a.example:50052", "1a.example", 50052, False),
        ("grpc://xn--bcher-kva.example:50052", "xn--bcher-kva.example", 50052, False),
        ("grpcs://[::1]:50052", "::1", 50052, True),
        ("grpc://[2001:db8::8:800:200c:417a]:50052", "2001:db8::8:800:200c:417a", 50052, False),
        ("grpc://unix:50052", "unix", 50052, False),
        (f"grpc://{'a' * 63}.example:50052", f"{'a' * 63}.example", 50052, False),
    ],
)
def test_the_canonical_spelling_is_parsed_and_written_the_same(url: str, host: str, port: int, uses_tls: bool) -> None:
    target = NotifyUrl.parse(url)
    assert (target.host, target.port, target.uses_tls) == (host, port, uses_tls)
    assert str(target) == url
    assert why_not(url) is None


MUST_NOT_PASS = [
    # no target at all
    "",
    "grpc://",
    "grpc://:50052",
    "grpc://host",
    "grpc://host:",
    "host:50052",
    "127.0.0.1:50052",
    "//host:50052",
    # other schemes, and how grpc itself spells targets
    "unix:/tmp/socket",
    "unix:socket",
    "unix:///tmp/socket",
    "unix-abstract:name",
    "grpc://unix:/tmp/socket",
    "vsock:1:2",
    "ipv4:127.0.0.1:50052",
    "ipv6:[::1]:50052",
    "dns:///localhost:50052",
    "dns://8.8.8.8/localhost:50052",
    "grpc://dns:///localhost:50052",
    "xds:///service",
    "passthrough:///127.0.0.1:50052",
    "http://host:50052",
    "https://host:50052",
    "grpc+tls://host:50052",
    "grpcss://host:50052",
    # other spellings of the form
    "GRPC://host:50052",
    "Grpc://host:50052",
    "grpc:host:50052",
    "grpc:/host:50052",
    "grpc:///host:50052",
    "grpc:\\\\host:50052",
    "grpc://host:50052/",
    "grpc://host:50052/path",
    "grpc://host:50052?query",
    "grpc://host:50052#fragment",
    "grpc://host:50052,other:50052",
    "grpc://host:50052grpc://host:50052",
    "grpc://user@host:50052",
    "grpc://user:secret@host:50052",
    "grpc://host:50052@evil.example:50052",
    "grpc://host\\@evil.example:50052",
    # blanks and control characters
    " grpc://host:50052",
    "grpc://host:50052 ",
    "grpc://host:50052\n",
    "grpc://host:50052\x00",
    "grpc://ho\tst:50052",
    "grpc://ho st:50052",
    "grpc:// host:50052",
    "grpc://host\u00a0:50052",
    # ports
    "grpc://host:0",
    "grpc://host:00",
    "grpc://host:050052",
    "grpc://host:65536",
    "grpc://host:100000",
    "grpc://host:99999999999999999999",
    "grpc://host:-1",
    "grpc://host:+50052",
    "grpc://host:0x1",
    "grpc://host:http",
    "grpc://host:5005２",
    "grpc://host:٥",
    "grpc://host:50052:50052",
    # names
    "grpc://Host:50052",
    "grpc://host.:50052",
    "grpc://.host:50052",
    "grpc://a..b:50052",
    "grpc://-host:50052",
    "grpc://host-:50052",
    "grpc://my_host:50052",
    "grpc://h%6fst:50052",
    "grpc://host%00:50052",
    "grpc://*:50052",
    "grpc://*.example.com:50052",
    "grpc://bücher.example:50052",
    "grpc://ｈost:50052",
    "grpc://host。example:50052",
    "grpc://ho\u200bst:50052",
    f"grpc://{'a' * 64}:50052",
    f"grpc://{'a.' * 127}a:50052",
    # numbers that a resolver takes for an address
    "grpc://2130706433:50052",
    "grpc://0x7f000001:50052",
    "grpc://0x7f.0.0.1:50052",
    "grpc://127.0.0.0x1:50052",
    "grpc://0177.0.0.1:50052",
    "grpc://127.1:50052",
    "grpc://127.0.0.01:50052",
    "grpc://127.0.0.256:50052",
    "grpc://127.0.0.1.:50052",
    "grpc://1.2.3.4.5:50052",
    "grpc://example.1:50052",
    "grpc://0x:50052",
    "grpc://0.0.0.0:50052",
    # other spellings of IPv6
    "grpc://::1:50052",
    "grpc://[::1]",
    "grpc://[::1:50052",
    "grpc://::1]:50052",
    "grpc://[[::1]]:50052",
    "grpc://[]:50052",
    "grpc://[host]:50052",
    "grpc://[127.0.0.1]:50052",
    "grpc://[0:0:0:0:0:0:0:1]:50052",
    "grpc://[::0001]:50052",
    "grpc://[2001:DB8::1]:50052",
    "grpc://[::]:50052",
    "grpc://[::ffff:127.0.0.1]:50052",
    "grpc://[::ffff:7f00:1]:50052",
    "grpc://[fe80::1%eth0]:50052",
    "grpc://[fe80::1%25eth0]:50052",
    "grpc://[v1.x]:50052",
]


@pytest.mark.parametrize("url", MUST_NOT_PASS, ids=range(len(MUST_NOT_PASS)))
def test_every_other_spelling_is_refused(url: str) -> None:
    assert why_not(url) is not None
    with pytest.raises(ValueError, match=r"^must "):
        NotifyUrl.parse(url)


def test_a_refusal_never_repeats_what_may_be_a_password() -> None:
    assert "secret" not in str(why_not("grpc://user:secret@host:50052"))


def test_a_target_made_by_hand_must_be_canonical_too() -> None:
    for scheme, host, port in [("http", "host", 1), ("grpc", "Host", 1), ("grpc", "host", 0), ("grpc", "host", 65536)]:
        with pytest.raises(ValueError, match=r"^must "):
            NotifyUrl(scheme, host, port)


ALLOWED = AllowList.parse(["grpc://127.0.0.1:50052", "grpcs://orders.example.com:443"])


def test_the_allow_list_lets_its_own_entries_pass() -> None:
    assert ALLOWED.why_not("grpc://127.0.0.1:50052") is None
    assert NotifyUrl.parse("grpcs://orders.example.com:443") in ALLOWED


@pytest.mark.parametrize(
    "url",
    [
        "grpcs://127.0.0.1:50052",
        "grpc://127.0.0.1:50053",
        "grpc://localhost:50052",
        "grpc://orders.example.com:443",
        "grpcs://www.orders.example.com:443",
        "grpcs://example.com:443",
        "grpc://169.254.169.254:80",
        "grpc://metadata.google.internal:80",
        "grpc://[::1]:50052",
    ],
)
def test_the_allow_list_matches_scheme_host_and_port_exactly(url: str) -> None:
    assert NotifyUrl.parse(url) not in ALLOWED
    assert "NOTIFY_TARGETS" in str(ALLOWED.why_not(url))


def test_the_allow_list_says_of_a_bad_spelling_what_is_wrong_with_it() -> None:
    assert ALLOWED.why_not("unix:/tmp/socket") == why_not("unix:/tmp/socket")


def test_a_bad_entry_of_the_allow_list_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"^target 2 must "):
        AllowList.parse(["grpc://host:1", "grpc://host"])


def test_a_refusal_fits_into_a_field_violation() -> None:
    checker = Checker()
    why = ALLOWED.why_not("grpc://elsewhere:1")
    checker.require(why is None, "notify_url", str(why))
    assert [violation.field for violation in checker.violations] == ["notify_url"]
