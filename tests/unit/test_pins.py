import json
import re
import tomllib

from pins.__main__ import problems
from pins.bom import FILE
from pins.files import ALL, ROOT, RUNTIME, TRACING, read


def test_every_pin_has_the_hashes_of_its_files() -> None:
    for file in ALL:
        for pin in read(file):
            assert pin.hashes, f"{file.name}: {pin.name}"
            assert len(set(pin.hashes)) == len(pin.hashes)


def test_nothing_is_pinned_twice_and_no_registry_is_named() -> None:
    names = [pin.name for file in ALL for pin in read(file)]

    assert len(set(names)) == len(names)
    assert not any(re.search(r"https?:|--index|--find-links", file.read_text()) for file in (*ALL, FILE))


def test_the_bill_of_materials_lists_exactly_what_runs() -> None:
    document = json.loads(FILE.read_text())
    listed = {(one["name"], one["version"], one["scope"]) for one in document["components"]}

    required = {(pin.name, pin.version, "required") for pin in read(RUNTIME)}
    assert listed == required | {(pin.name, pin.version, "optional") for pin in read(TRACING)}
    assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in document["components"])


def test_every_dependency_of_the_project_and_every_edge_is_in_the_bill() -> None:
    document = json.loads(FILE.read_text())
    known = {one["bom-ref"] for one in (*document["components"], document["metadata"]["component"])}
    edges = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}

    assert edges.keys() == known
    assert {ref for refs in edges.values() for ref in refs} <= known
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(edges[document["metadata"]["component"]["bom-ref"]]) == len(project["dependencies"])


def test_hashes_and_bill_are_what_the_pins_say() -> None:
    assert list(problems()) == []
