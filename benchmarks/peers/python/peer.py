"""One peer, told what to do: puts its backlog into its own tables, or works until it is killed.

    python peer.py MODULE prepare DATABASE_URL CONTENTS_FILE
    python peer.py MODULE work DATABASE_URL HOST:PORT SETTINGS_AS_JSON

Each peer's module has `prepare(url, contents)` and `work(url, address, **settings)`, both async. They run in uvloop.
"""

import importlib
import json
import sys
from pathlib import Path

import uvloop


def main(module: str, command: str, url: str, where: str, settings: str = "{}") -> None:
    """Do it."""
    peer = importlib.import_module(module)
    if command == "prepare":
        uvloop.run(peer.prepare(url, Path(where).read_text().split()))
    else:
        uvloop.run(peer.work(url, where, **json.loads(settings)))


if __name__ == "__main__":
    main(*sys.argv[1:])
