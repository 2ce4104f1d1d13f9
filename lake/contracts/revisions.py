"""Contracts as they stand in a file, a folder or a git revision: path within it -> YAML. Git is only asked, by its plumbing.

Nothing is fetched: a revision that is not in the clone is named as such.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lake.contracts.linting import SUFFIX
from lake.errors import ContractError

PARENT = "parent"
"""In place of a revision: the commit that the work in this clone departs from."""

_MAIN = ("origin/main", "main", "origin/master", "master")
_REMOVED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
)
"""What git tells its hooks; here the folder that is asked about decides."""


class NoRevision(ContractError):
    """The clone has no such revision."""


def read_path(place: Path) -> dict[str, bytes]:
    """Return the contracts of a file (under its name) or below a folder (under their paths in it).

    Raises `ContractError` if there is none.
    """
    if place.is_file():
        return {place.name: place.read_bytes()}
    found: dict[str, bytes] = {}
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIX):
                path = Path(folder) / name
                found[path.relative_to(place).as_posix()] = path.read_bytes()
    if not found:
        raise ContractError(f"There is no contract at {place}: name a file or a folder with *{SUFFIX} in it.")
    return found


def read_revision(revision: str, place: Path) -> dict[str, bytes]:
    """Return the contracts that a git revision has at a place of the work tree, as `read_path` names them.

    Empty where that revision had none there. Raises `NoRevision` if it is not in the clone.
    """
    folder = place if place.is_dir() else place.parent
    commit = _ask(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise NoRevision(
            f"There is no revision {revision!r} in the git clone at {folder}: fetch it (a shallow clone has the newest only),"
            " or name another."
        )
    inside = _ask(folder, "rev-parse", "--show-prefix") or b""
    prefix = inside.decode().rstrip("\n") + (place.name if place.is_file() else "")
    listed = _ask(
        folder, "ls-tree", "-r", "-z", "--full-tree", commit.decode().strip(), *([prefix] if prefix else [])
    )
    found: dict[str, bytes] = {}
    for entry in (listed or b"").split(b"\0"):
        about, _, name = entry.decode("utf-8", "surrogateescape").partition("\t")
        inner = name.removeprefix(prefix)
        is_hidden = any(part.startswith(".") for part in inner.split("/"))
        if not name.endswith(SUFFIX) or is_hidden or about.split()[1] != "blob":
            continue
        text = _ask(folder, "cat-file", "blob", about.split()[2])
        if text is None:
            raise NoRevision(
                f"The git clone at {folder} does not hold {name} of {revision!r}: fetch it, or name another revision."
            )
        found[place.name if place.is_file() else inner] = text
    return found


def parent_revision(place: Path) -> str | None:
    """Return the commit that the work at a place departs from; None where the clone does not have one.

    That is where it left the main branch, or, on the main branch itself, the commit before the newest.
    """
    folder = place if place.is_dir() else place.parent
    head = _ask(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        return None
    for name in _MAIN:
        base = _ask(folder, "merge-base", "HEAD", name)
        if base is not None and base != head:
            return base.decode().strip()
    before = _ask(folder, "rev-parse", "--verify", "--quiet", "HEAD^1^{commit}")
    return before.decode().strip() if before is not None else None


def _ask(folder: Path, *words: str) -> bytes | None:
    """Return what git answers, None if it fails: there is no repository, no such object, or no git."""
    environment: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if name not in _REMOVED
    }
    settings = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], env={**environment, **settings}, capture_output=True, check=False,
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
