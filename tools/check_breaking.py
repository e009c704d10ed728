"""Checks that the contract breaks nothing that the latest release promised (`buf breaking` against the latest tag v*).

Compares with released contracts only: what was never released may still change.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """End with buf's status: 0 if nothing breaks, or if there is no release yet."""
    tag = latest_release()
    if tag is None:
        print("no release tag v* in this clone: there is no released contract to break")
        return
    status = subprocess.run(["buf", "breaking", "--against", released(tag)], cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"the contract breaks that of {tag}; what breaks is above")
    print(f"the contract breaks nothing of {tag}")


def latest_release() -> str | None:
    """The release tag with the highest version, if there is one."""
    tags = git("tag", "--list", "v*", "--sort=-version:refname").splitlines()
    return tags[0] if tags else None


def released(tag: str) -> str:
    """The contract of `tag` as buf takes it, from this clone, also when it is a worktree."""
    repository = git("rev-parse", "--path-format=absolute", "--git-common-dir").strip()
    return f"{repository}#format=git,tag={tag}"


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
