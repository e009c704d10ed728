"""The requirements files: pins with the hashes of every file of that version. Owns their form; installs nothing.

The versions are a person's choice and stand in the files themselves; the hashes are asked of pip's own index, whichever
that is here, and no address of it is written down.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RUNTIME, TRACING, BUILD, DEV = (ROOT / f"requirements{part}.txt" for part in ("", "-tracing", "-build", "-dev"))
ALL = (RUNTIME, TRACING, BUILD, DEV)

_PIN = re.compile(r"([a-z0-9][a-z0-9-]*(?:\[[a-z]+\])?)==([^\s\\;]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


class Pin(NamedTuple):
    """One package. hashes: of each file of this version, `sha256:…`."""

    name: str
    version: str
    hashes: Sequence[str]


def read(file: Path) -> list[Pin]:
    """The pins of one file, without those of files it includes."""
    pins: list[Pin] = []
    for line in file.read_text().splitlines():
        if found := _PIN.match(line):
            pins.append(Pin(found[1], found[2], []))
        if pins:
            pins[-1] = pins[-1]._replace(hashes=[*pins[-1].hashes, *_HASH.findall(line)])
    return pins


def written(file: Path) -> str:
    """What the file should hold: its own head and pins, with their hashes as they are known now."""
    head = [line for line in file.read_text().splitlines() if line.startswith(("#", "-r "))]
    pins = "".join(f"{pin.name}=={pin.version}\n" for pin in read(file))
    command = ["uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-deps", "--no-header", "--no-annotate", "-"]
    asked = subprocess.run(command, input=pins, capture_output=True, text=True, check=True, cwd=ROOT)  # of .venv
    return "\n".join([*head, asked.stdout])
