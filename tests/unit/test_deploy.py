"""What deploy/ promises, where no linter knows what we promise."""

import shutil
import subprocess
from configparser import RawConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from cli.__main__ import build
from core.settings import Settings
from order_server.compose import OrderServer
from payment_server.compose import PaymentServer
from scheduler.compose import Scheduler

DEPLOY = Path(__file__).parents[2] / "deploy"
DATABASE = {"payment-server": "payment", "order-server": "order", "scheduler": "payment"}
"""Each process, and the one database it may know."""

HARDENED = {
    "User": "paylatch",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
}
WORST_EXPOSURE = "15"
"""In tenths, as systemd counts it; a unit that says nothing has 96."""


class _Lines(RawConfigParser):
    """A unit: the last line of a name counts."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(name: str) -> dict[str, str]:
    """The [Service] of a unit."""
    parser = _Lines(strict=False, comment_prefixes=("#",))
    parser.read(DEPLOY / "systemd" / f"paylatch-{name}.service")
    return dict(parser["Service"])


def manifests(kind: str) -> dict[str, Any]:
    """Every manifest of this kind by its name."""
    files = [path.read_text() for path in (DEPLOY / "kubernetes").glob("*.yaml")]
    every = [manifest for text in files for manifest in yaml.safe_load_all(text)]
    return {one["metadata"]["name"].removeprefix("paylatch-"): one for one in every if one["kind"] == kind}


def pod(workload: Any) -> Any:
    """What a workload starts."""
    return workload["spec"]["template"]["spec"]


def seconds_to_stop() -> float:
    """The most that stopping a process takes, with the default settings."""
    bound = Settings.model_fields["stop_bound"].default
    made = [kind(*(MagicMock() for _ in fields(kind))) for kind in (PaymentServer, OrderServer, Scheduler)]
    return max(sum(step.seconds for step in process.stop_steps(bound)) for process in made)


@pytest.mark.parametrize("name", [*DATABASE, "migrate"])
def test_a_unit_is_hardened_and_writes_its_state_directory_only(name: str) -> None:
    service = unit(name)
    assert HARDENED.items() <= service.items()
    assert service["StateDirectory"] == "paylatch"
    assert "ReadWritePaths" not in service
    assert service["EnvironmentFile"] == f"-/etc/paylatch/{name}.env"


@pytest.mark.parametrize("name", DATABASE)
def test_a_unit_is_restarted_when_it_dies_and_given_the_time_that_stopping_takes(name: str) -> None:
    service = unit(name)
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert float(service["TimeoutStopSec"].removesuffix("s")) > seconds_to_stop()


@pytest.mark.parametrize("name", [*DATABASE, "migrate"])
def test_systemd_finds_no_fault_with_a_unit(name: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not there")
    written = (DEPLOY / "systemd" / f"paylatch-{name}.service").read_text()
    here = tmp_path / f"paylatch-{name}.service"
    here.write_text(written.replace("/opt/paylatch/.venv/bin/paylatch", "/bin/true"))
    for arguments in (["verify"], ["security", "--offline=true", f"--threshold={WORST_EXPOSURE}"]):
        told = subprocess.run([tool, *arguments, str(here)], capture_output=True, text=True, timeout=30, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_every_way_starts_commands_that_there_are() -> None:
    commands = {
        command.callback.__name__.replace("_", "-") for command in build().registered_commands if command.callback
    }
    procfile = dict(line.split(": paylatch ") for line in (DEPLOY / "Procfile").read_text().splitlines())
    assert procfile == {name: name for name in DATABASE}
    assert [unit(name)["ExecStart"].split()[-1] for name in DATABASE] == list(DATABASE)
    assert {name: pod(one)["containers"][0]["args"] for name, one in manifests("Deployment").items()} == {
        name: [name] for name in DATABASE
    }
    assert {*DATABASE, "migrate"} <= commands


@pytest.mark.parametrize("name", DATABASE)
def test_a_process_has_two_replicas_of_which_one_is_always_there(name: str) -> None:
    deployment, budget = manifests("Deployment")[name], manifests("PodDisruptionBudget")[name]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert budget["spec"]["minAvailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert pod(deployment)["terminationGracePeriodSeconds"] > seconds_to_stop()


@pytest.mark.parametrize("name", [*DATABASE, "migrate-0.1.0"])
def test_a_container_may_do_nothing_that_it_need_not(name: str) -> None:
    spec = pod((manifests("Deployment") | manifests("Job"))[name])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == container["resources"].keys()


@pytest.mark.parametrize("name", DATABASE)
def test_a_container_is_probed_by_grpc_where_it_listens_and_knows_its_own_database_only(name: str) -> None:
    (container,) = pod(manifests("Deployment")[name])["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    port = ports["grpc"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": port}
    environment = {variable["name"]: variable for variable in container["env"]}
    process = name.removesuffix("-server").upper()
    address, metrics = f"PAYLATCH_{process}_ADDRESS", f"PAYLATCH_{process}_METRICS_ADDRESS"
    url = f"PAYLATCH_{DATABASE[name].upper()}_DATABASE_URL"
    assert environment.keys() == {address, metrics, url}
    assert environment[address]["value"] == f"0.0.0.0:{port}"
    assert environment[metrics]["value"] == f"0.0.0.0:{ports['metrics']}"
    assert environment[url]["valueFrom"]["secretKeyRef"]["name"] == f"paylatch-{DATABASE[name]}-database"


def test_every_setting_is_one_that_exists() -> None:
    known = {f"PAYLATCH_{name.upper()}" for name in Settings.model_fields}
    assert manifests("ConfigMap")["paylatch"]["data"].keys() <= known


def test_nobody_reaches_a_server_who_is_not_named() -> None:
    policies = manifests("NetworkPolicy")
    everybody = {"matchLabels": {"app.kubernetes.io/name": "paylatch"}}
    assert policies["default"]["spec"]["podSelector"] == everybody
    assert policies["default"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    (scraping,) = policies["default"]["spec"]["ingress"]
    assert scraping["ports"] == [{"protocol": "TCP", "port": 9100}]
    assert all("podSelector" in whom for whom in scraping["from"])
    for name, port in (("payment-server", 50051), ("order-server", 50052)):
        (rule,) = policies[name]["spec"]["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": port}]
        assert all("podSelector" in whom for whom in rule["from"])


def test_the_image_runs_as_nobody_in_particular_and_has_nothing_to_build_with() -> None:
    build_stage, _, final = (DEPLOY / "Dockerfile").read_text().partition("\nFROM python:3.13-slim\n")
    assert "FROM python:3.13-slim AS build" in build_stage
    assert "USER 10001:10001" in final
    assert "pip uninstall --yes pip" in build_stage
    assert "pip uninstall --yes pip" in final
    assert "pip install" not in final
