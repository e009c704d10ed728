import stat
from pathlib import Path

import pytest

from cli.certs import GRANTS, identity, write_certs
from cli.clients import CannotRun
from core.clock import SystemClock
from core.rpc.policy import Policy, policy_file
from core.rpc.tls import pem_files
from core.settings import load_settings
from tests.support.logs import Log


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "certs of mine"
    list(write_certs(directory, SystemClock()))
    return directory


@pytest.mark.parametrize("name", GRANTS)
def test_what_is_written_for_each_can_be_used(directory: Path, name: str) -> None:
    settings = load_settings(
        tls_certificate=str(directory / f"{name}.pem"),
        tls_key=str(directory / f"{name}.key"),
        tls_ca=str(directory / "ca.pem"),
        policy_file=str(directory / "policy.toml"),
    )

    assert pem_files(settings, SystemClock(), Log().logger) is not None
    policy = policy_file(settings, Log().logger)
    assert policy is not None
    assert policy.current().certificates[identity(name)] == frozenset(GRANTS[name])


def test_the_policy_knows_the_token_by_its_digest_only(directory: Path) -> None:
    token, policy = (directory / "web-shop.token").read_text(), (directory / "policy.toml").read_bytes()

    assert Policy.parse(policy).bearer(token) is not None
    assert token.encode() not in policy


def test_only_the_owner_can_read_a_secret(directory: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}
    secrets = {name for name in modes if name.endswith((".key", ".token"))}

    assert len(secrets) == len(GRANTS) + 2
    assert {modes[name] for name in secrets} == {0o600}


def test_nothing_is_overwritten(directory: Path) -> None:
    before = {file: file.read_bytes() for file in directory.iterdir()}

    with pytest.raises(CannotRun, match="nothing is overwritten"):
        list(write_certs(directory, SystemClock()))
    assert {file: file.read_bytes() for file in directory.iterdir()} == before


def test_how_to_use_it_names_the_three_processes(tmp_path: Path) -> None:
    told = "\n".join(write_certs(tmp_path / "certs", SystemClock()))

    for process in ("order-server", "payment-server", "scheduler"):
        assert f"{process}.env; exec paylatch {process})" in told
