"""`python -m pins`: write the hashes and the bill of materials anew. `--check`: say what is missing; asks nobody."""

import sys
from collections.abc import Iterator

from pins.bom import FILE, bill
from pins.files import ALL, read, written


def problems() -> Iterator[str]:
    """What is not as it must be."""
    for file in ALL:
        yield from (f"{file.name}: {pin.name} has no hash" for pin in read(file) if not pin.hashes)
    if not FILE.exists() or FILE.read_text() != bill():
        yield f"{FILE.name} is not what the pins say"


def main() -> int:
    """Write, or check."""
    if sys.argv[1:] == ["--check"]:
        found = list(problems())
        sys.stdout.write("".join(f"{problem}: make pins\n" for problem in found))
        return 1 if found else 0
    for file in ALL:
        file.write_text(written(file))
    FILE.write_text(bill())
    return 0


if __name__ == "__main__":
    sys.exit(main())
