import hashlib

import pytest

from core.rpc.policy import Policy, lets_bearer

DIGEST = hashlib.sha256(b"token").hexdigest()
TOKEN = f'[tokens.web]\nsha256 = "{DIGEST}"\nmethods = ["a.B/C"]\n'


def test_an_empty_policy_lets_nobody() -> None:
    policy = Policy.parse(b"")

    assert not policy.lets(["spiffe://shop"], "/a.B/C")
    assert policy.bearer("token") is None


@pytest.mark.parametrize(
    ("grant", "method", "is_let"),
    [
        ("a.B/C", "/a.B/C", True),
        ("a.B/*", "/a.B/C", True),
        ("a.B/C", "/a.B/CC", False),
        ("a.B/CC", "/a.B/C", False),
        ("a.B/c", "/a.B/C", False),
        ("a.B/*", "/a.BB/C", False),
        ("a.BB/*", "/a.B/C", False),
        ("a.B/*", "/x.a.B/C", False),
        ("a.B/*", "/a.B/D/C", False),
    ],
)
def test_a_grant_is_a_method_or_all_of_a_service(grant: str, method: str, is_let: bool) -> None:
    policy = Policy.parse(f'[certificates]\n"spiffe://shop" = ["{grant}"]'.encode())

    assert policy.lets(["spiffe://shop"], method) is is_let
    assert not policy.lets(["spiffe://else"], method)
    assert not policy.lets([], method)


def test_one_of_several_identities_is_enough() -> None:
    policy = Policy.parse(b'[certificates]\n"shop.example" = ["a.B/C"]')

    assert policy.lets(["spiffe://else", "shop.example"], "/a.B/C")


def test_a_token_is_known_by_its_digest_and_let_do_what_it_is_granted() -> None:
    token = Policy.parse(TOKEN.encode()).bearer("token")

    assert token is not None
    assert token.name == "web"
    assert lets_bearer(token, "/a.B/C")
    assert not lets_bearer(token, "/a.B/D")


@pytest.mark.parametrize("shown", ["", "Token", "token ", DIGEST])
def test_anything_else_is_no_token(shown: str) -> None:
    assert Policy.parse(TOKEN.encode()).bearer(shown) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("certificates = 3", "certificates must be a table"),
        ("[certificate]", "has 'certificate', allowed are certificates, tokens"),
        ('[certificates]\n"a" = "x.Y/*"', "must be a list of methods"),
        ('[certificates]\n"a" = ["*"]', "entry 1 must be package.Service/Method"),
        ('[certificates]\n"a" = ["x.Y/Z", "x.Y/"]', "entry 2 must be package.Service/Method"),
        ('[certificates]\n"a" = ["/x.Y/Z"]', "entry 1 must be"),
        ('[certificates]\n"a" = ["x.Y/Z*"]', "entry 1 must be"),
        ('[certificates]\n"a" = [3]', "entry 1 must be"),
        ("[tokens]\nweb = 3", "tokens.web must be a table"),
        (TOKEN.replace(DIGEST, "canary"), "tokens.web.sha256 must be the SHA-256"),
        (TOKEN.replace(DIGEST, DIGEST.upper()), "tokens.web.sha256 must be the SHA-256"),
        (TOKEN.replace("sha256", "token"), "tokens.web has 'token', allowed are methods, sha256"),
        ('[tokens.web]\nsha256 = "' + DIGEST + '"', "tokens.web.methods must be a list"),
        ("[certificates", "is not TOML"),
        ('[certificates]\n"a" = []\n"a" = []', "is not TOML"),
    ],
)
def test_what_is_no_policy_is_refused_and_the_place_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="PAYLATCH_POLICY_FILE") as refused:
        Policy.parse(text.encode())
    assert told in str(refused.value)
    assert "canary" not in str(refused.value)
