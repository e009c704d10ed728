"""Generates the Python code of the contract beside its .proto files, or checks that it is what would be generated.

    python protos/generate.py            writes it
    python protos/generate.py --check    changes nothing, fails naming every file that differs

Owns every `*_pb2*` file below protos/. Never edits a .proto file.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def main() -> None:
    """Do what the command line asks for; end with a message and status 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Generate the Python code of the contract.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail if generated code is not up to date")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if check:
            compare(fresh)
        else:
            replace(fresh)


def generate(target: Path) -> None:
    """Generate everything into the folder `target`."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    protoc(sources, f"--python_out={target}", f"--mypy_out=quiet:{target}")
    services = [source for source in sources if source.endswith("_service.proto")]
    protoc(services, f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet,only_sync:{target}")


def protoc(sources: Sequence[str], *outputs: str) -> None:
    """Run the pinned compiler of grpcio-tools on `sources`."""
    scripts = Path(sysconfig.get_path("scripts"))
    plugins = [f"--plugin={name}={scripts / name}" for name in PLUGINS]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *plugins, *outputs, *sources]
    status = subprocess.run(command, cwd=PROTOS, check=False).returncode
    if status != 0:
        sys.exit(f"the protobuf compiler failed with status {status}; its messages are above")


def generated(folder: Path) -> dict[Path, bytes]:
    """The generated files below `folder`, by their path in it."""
    files = (path for path in folder.rglob("*_pb2*") if path.suffix in {".py", ".pyi"})
    return {path.relative_to(folder): path.read_bytes() for path in files}


def compare(fresh: Path) -> None:
    """End with a message unless the committed files are exactly those in `fresh`."""
    wanted, present = generated(fresh), generated(PROTOS)
    differing = sorted(path for path in wanted | present if wanted.get(path) != present.get(path))
    if differing:
        names = "\n".join(f"  protos/{path}" for path in differing)
        sys.exit(f"generated code is not up to date, run `python protos/generate.py`:\n{names}")
    print(f"{len(wanted)} generated files are up to date")


def replace(fresh: Path) -> None:
    """Make the files in `fresh` the committed ones, and remove those of contracts that are gone."""
    wanted, present = generated(fresh), generated(PROTOS)
    for path in present.keys() - wanted.keys():
        (PROTOS / path).unlink()
    for path, content in wanted.items():
        (PROTOS / path).write_bytes(content)
    print(f"{len(wanted)} files generated")


if __name__ == "__main__":
    main()
