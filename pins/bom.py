"""The bill of materials: CycloneDX, of what runs. Owns its form; made from the pins and what is installed of them."""

import json
import tomllib
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pins.files import ROOT, RUNTIME, TRACING, Pin, read

FILE = ROOT / "sbom.cdx.json"

_PLACE = {"extra": "", "python_version": "3.11", "python_full_version": "3.11.0"}


def bill() -> str:
    """The whole document. The same pins give the same bytes."""
    required, optional = read(RUNTIME), read(TRACING)
    known = {pin.name: _reference(pin) for pin in (*required, *optional)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    direct = [name for line in project["dependencies"] if (name := _name(line)) in known]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [
            *(_component(pin, "required") for pin in required),
            *(_component(pin, "optional") for pin in optional),
        ],
        "dependencies": [
            {"ref": own, "dependsOn": sorted(known[name] for name in direct)},
            *(
                {"ref": known[name], "dependsOn": sorted(known[one] for one in _needs(name) if one in known)}
                for name in known
            ),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _component(pin: Pin, scope: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(pin),
        "name": pin.name,
        "version": pin.version,
        "purl": _reference(pin),
        "scope": scope,
    }
    licence = metadata.metadata(pin.name).json.get("license_expression")
    return component | ({"licenses": [{"expression": licence}]} if licence else {})


def _needs(name: str) -> Iterator[str]:
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(_PLACE):
            yield canonicalize_name(requirement.name)


def _name(line: str) -> str:
    return canonicalize_name(Requirement(line).name)


def _reference(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"
