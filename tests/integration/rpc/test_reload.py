"""Certificates, policies and tokens are replaced under running servers and channels."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest

from cli.pki import Names
from core.clock import SystemClock
from core.rpc.channels import Channels, open_channel
from core.rpc.outgoing import Outgoing
from core.rpc.security import Security
from core.rpc.server import RpcServer
from core.settings import BadSetting, load_settings
from tests.integration.rpc.conftest import SERVICE, register_methods
from tests.support.logs import Log
from tests.support.pki import Pki

OK = grpc.StatusCode.OK
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
SHUT_OUT = grpc.StatusCode.UNAVAILABLE
ALICE, BOB = "spiffe://test/alice", "spiffe://test/bob"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def log() -> Log:
    return Log()


def allow(pki: Pki, *identities: str) -> None:
    grants = "".join(f'"{identity}" = ["{SERVICE}/Echo"]\n' for identity in identities)
    pki.file("policy.toml").write_text(f"[certificates]\n{grants}")


@pytest.fixture
def address(pki: Pki, log: Log) -> Iterator[str]:
    """Of a server that only Alice may call."""
    allow(pki, ALICE)
    with ExitStack() as running:
        yield serve(running, log, policy_file=str(pki.file("policy.toml")), **pki.settings)


def serve(running: ExitStack, log: Log, **settings: str) -> str:
    security = Security.of(load_settings(**settings), SystemClock(), log.logger)
    server = RpcServer(log.logger, SystemClock(), security=security)
    server.add(register_methods, ({"Echo": lambda request, _context: request}, {}), SERVICE)
    address = server.bind("127.0.0.1:0")
    server.start()
    running.callback(server.stop, 0)
    return address


def call(address: str, credentials: grpc.ChannelCredentials) -> grpc.StatusCode:
    """How a call on a new connection ends."""
    with grpc.secure_channel(address, credentials) as channel:
        return end_of(channel)


def end_of(channel: grpc.Channel) -> grpc.StatusCode:
    echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Echo")
    try:
        echo(b"x", timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return OK


class TestServer:
    def test_new_connections_get_the_new_certificate_and_the_new_authority(self, pki: Pki, address: str) -> None:
        newer = Pki(pki.file("newer"), "the next CA")
        assert call(address, newer.credentials(newer.issue(ALICE))) is SHUT_OUT

        for name in ("server.pem", "server.key", "ca.pem"):
            newer.file(name).replace(pki.file(name))

        assert call(address, newer.credentials(newer.issue(ALICE))) is OK
        assert call(address, pki.credentials(pki.issue(ALICE))) is SHUT_OUT

    def test_a_connection_outlives_the_change(self, pki: Pki, address: str) -> None:
        with grpc.secure_channel(address, pki.credentials(pki.issue(ALICE))) as channel:
            assert end_of(channel) is OK
            Pki(pki.file("newer"), "the next CA").file("ca.pem").replace(pki.file("ca.pem"))
            assert end_of(channel) is OK

    @pytest.mark.parametrize("file", ["server.pem", "server.key", "ca.pem"])
    def test_a_file_that_is_no_good_leaves_the_old_one_and_raises_one_alarm(
        self, pki: Pki, log: Log, address: str, file: str
    ) -> None:
        good = pki.file(file).read_bytes()
        pki.file(file).write_text("no PEM")
        for _ in range(3):
            assert call(address, pki.credentials(pki.issue(ALICE))) is OK

        assert [line["log_level"] for line in log.named("tls.reload_failed")] == ["error"]
        assert log.named("tls.reloaded") == []

        pki.file(file).write_bytes(good)
        assert call(address, pki.credentials(pki.issue(ALICE))) is OK
        assert len(log.named("tls.reloaded")) == 1

    def test_a_file_that_is_gone_leaves_the_old_one(self, pki: Pki, log: Log, address: str) -> None:
        pki.file("server.key").unlink()

        assert call(address, pki.credentials(pki.issue(ALICE))) is OK
        (alarm,) = log.named("tls.reload_failed")
        assert "PAYLATCH_TLS_KEY" in alarm["message"]


class TestPolicy:
    def test_a_change_holds_for_the_next_call_of_the_same_connection(self, pki: Pki, log: Log, address: str) -> None:
        with grpc.secure_channel(address, pki.credentials(pki.issue(BOB))) as channel:
            assert end_of(channel) is DENIED
            allow(pki, BOB)
            assert end_of(channel) is OK
            allow(pki)
            assert end_of(channel) is DENIED
        assert len(log.named("policy.reloaded")) == 2

    def test_one_that_is_no_good_leaves_the_old_one_and_raises_one_alarm(
        self, pki: Pki, log: Log, address: str
    ) -> None:
        pki.file("policy.toml").write_text("[certificates]\nanybody = 'everything'")

        assert call(address, pki.credentials(pki.issue(ALICE))) is OK
        assert call(address, pki.credentials(pki.issue(BOB))) is DENIED
        assert [line["log_level"] for line in log.named("policy.reload_failed")] == ["error"]


class TestOutgoing:
    @pytest.fixture
    def outgoing(self, pki: Pki, log: Log) -> Outgoing:
        return Outgoing.of(load_settings(policy_file="unused", **pki.settings), SystemClock(), log.logger)

    @pytest.fixture
    def channels(self, outgoing: Outgoing) -> Iterator[Channels]:
        channels = Channels(partial(open_channel, outgoing=outgoing), outgoing.edition)
        yield channels
        channels.close()

    def test_a_renewed_certificate_is_shown_from_then_on_and_calls_under_way_go_on(
        self, pki: Pki, address: str, channels: Channels
    ) -> None:
        target = f"grpcs://{address}"
        before = channels.get(target)
        assert channels.get(target) is before
        assert end_of(before) is DENIED

        self.show(pki, ALICE)
        assert end_of(channels.get(target)) is OK
        assert end_of(before) is DENIED

    def test_channels_of_the_change_before_are_closed(self, pki: Pki, address: str, channels: Channels) -> None:
        target = f"grpcs://{address}"
        before = channels.get(target)
        for identity in (ALICE, BOB):
            self.show(pki, identity)
            channels.get(target)

        with pytest.raises(ValueError, match="closed"):
            end_of(before)

    def test_a_receiver_of_another_authority_is_not_called(self, pki: Pki, log: Log, outgoing: Outgoing) -> None:
        another = Pki(pki.file("another"), "another CA")
        allow(another, "spiffe://test/server")
        with ExitStack() as running:
            address = serve(running, log, policy_file=str(another.file("policy.toml")), **another.settings)
            channels = Channels(partial(open_channel, outgoing=outgoing), outgoing.edition)
            running.callback(channels.close)

            assert not channels.wait_ready(f"grpcs://{address}", 0.5)
            assert end_of(channels.get(f"grpcs://{address}")) is SHUT_OUT

    @staticmethod
    def show(pki: Pki, identity: str) -> None:
        # Both sides use the same files here.
        pki.write_server(Names([identity], addresses=["127.0.0.1"]))


class TestTokens:
    @pytest.fixture
    def address(self, pki: Pki, log: Log) -> Iterator[str]:
        """Of a server on plaintext that knows one token."""
        digest = hashlib.sha256(b"known").hexdigest()
        policy = f'[tokens.web]\nsha256 = "{digest}"\nmethods = ["{SERVICE}/Echo"]\n'
        pki.file("policy.toml").write_text(policy)
        with ExitStack() as running:
            yield serve(running, log, policy_file=str(pki.file("policy.toml")))

    def test_a_token_is_sent_as_its_file_has_it_then(self, pki: Pki, log: Log, address: str) -> None:
        file = pki.file("own.token")
        file.write_text("another\n")
        outgoing = Outgoing.of(load_settings(token_file=str(file)), SystemClock(), log.logger)
        channels = Channels(partial(open_channel, outgoing=outgoing), outgoing.edition)
        try:
            assert end_of(channels.get(f"grpc://{address}")) is UNKNOWN
            file.write_text("known\n")
            assert end_of(channels.get(f"grpc://{address}")) is OK
        finally:
            channels.close()

    def test_in_plaintext_too_a_policy_lets_nobody_in_without_a_token(self, address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            assert end_of(channel) is UNKNOWN

    @pytest.mark.parametrize(
        "shown", ["", "known", "Basic known", "Bearer", "Bearer ", "Bearer known ", "Bearer  known"]
    )
    def test_what_is_no_bearer_token_is_refused(self, address: str, shown: str) -> None:
        with grpc.insecure_channel(address) as channel:
            echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Echo")
            with pytest.raises(grpc.RpcError) as refused:
                echo(b"x", timeout=10, metadata=(("authorization", shown),))
            assert refused.value.code() is UNKNOWN

    def test_two_tokens_are_none(self, address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Echo")
            with pytest.raises(grpc.RpcError) as refused:
                echo(b"x", timeout=10, metadata=(("authorization", "Bearer known"), ("authorization", "Bearer x")))
            assert refused.value.code() is UNKNOWN


class TestRefusalToStart:
    Spoil = Callable[[Pki], object]

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda pki: pki.file("server.pem").write_text("no PEM"), "PAYLATCH_TLS_CERTIFICATE must be a PEM file"),
            (lambda pki: pki.file("server.key").write_text("canary"), "PAYLATCH_TLS_KEY must be a PEM file"),
            (lambda pki: pki.file("ca.pem").write_text(""), "PAYLATCH_TLS_CA must be a PEM file"),
            (lambda pki: pki.file("ca.pem").unlink(), "which cannot be read: No such file"),
            (lambda pki: pki.write_server(days=-1), "PAYLATCH_TLS_CERTIFICATE holds a certificate that is valid from"),
            (lambda pki: pki.file("server.key").write_bytes(pki.issue().key), "PAYLATCH_TLS_KEY is not the key of"),
        ],
        ids=["certificate", "key", "authority", "gone", "expired", "another's key"],
    )
    def test_a_file_that_is_no_good_is_named(self, pki: Pki, log: Log, spoil: Spoil, told: str) -> None:
        spoil(pki)

        with pytest.raises(BadSetting, match=told) as refused:
            Security.of(load_settings(policy_file="unused", **pki.settings), SystemClock(), log.logger)
        assert "canary" not in str(refused.value)
