"""Whether a changed contract says so by its version: semantic versioning of what `comparing.py` finds.

A breaking change takes a new first number (below 1.0.0 a new second one), a compatible change a new second number, another wording a
new third one. Only the first is insisted on. A contract that goes is refused unless its last version said `status: deprecated`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lake.contracts.changes import Change
from lake.contracts.comparing import compare
from lake.contracts.datasets import read_contract
from lake.contracts.document import read_document
from lake.contracts.model import Contract
from lake.contracts.standard import check_standard

Verdict = Literal["same", "sound", "advised", "refused", "new", "removed"]
"""advised: a version that says less than it should, of changes that break nothing."""

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Comparison:
    """One contract, before and after."""

    name: str
    """Path of the file within what was compared."""
    verdict: Verdict
    message: str
    before: str | None = None
    """Its version; None where there was no contract."""
    after: str | None = None
    changes: tuple[Change, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield it as a person reads it."""
        yield f"{self.name}: {self.message}"
        yield from (f"  {change}" for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def compare_all(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Comparison]:
    """Return what became of each contract (path within its folder -> YAML); those without any difference are left out."""
    names = sorted(set(before) | set(after))
    found = [compare_texts(name, before.get(name), after.get(name)) for name in names]
    return [comparison for comparison in found if comparison.verdict != "same"]


def compare_texts(name: str, before: bytes | None, after: bytes | None) -> Comparison:
    """Return what became of one contract; None: it is not there."""
    if before == after:
        return Comparison(name, "same", "nothing changed")
    if after is None:
        return _removed(name, before or b"")
    new, problems = _read(name, after)
    if new is None or problems:
        told = "; ".join(problems)
        return Comparison(name, "refused", f"it is no sound contract ({told}): correct it first")
    if before is None:
        return Comparison(name, "new", f"a new contract, version {new.version}", after=new.version)
    old, problems = _read(name, before)
    if old is None:
        told = f"what stood before was no contract ({problems[0]}), so nothing could rely on it"
        return Comparison(name, "sound", told, after=new.version)
    changes = tuple(compare(old, new))
    verdict, message = judge(old.version, new.version, changes)
    if problems:
        message += f" (what stood before does not lint today: {problems[0]})"
    return Comparison(name, verdict, message, old.version, new.version, changes)


def judge(before: str, after: str, changes: tuple[Change, ...]) -> tuple[Verdict, str]:
    """Return whether the version `after` says enough about the changes since `before`, and a sentence about it."""
    old, new = _numbers(before), _numbers(after)
    way = f"version {before} -> {after}" if old != new else f"version {before}"
    if new < old:
        return "refused", f"{way}: a version does not go back; write {_next(old, 0)} or more"
    if not changes:
        return (
            ("sound", f"{way}, nothing but the version changed")
            if old != new
            else ("same", f"{way}, same in meaning")
        )
    weights = {change.weight for change in changes}
    place = 0 if "breaking" in weights else 1 if "compatible" in weights else 2
    if place == 0 and old[0] == 0:
        place = 1  # below 1.0.0 the second number is the one that breaks
    wanted = _next(old, place)
    if new >= _numbers(wanted):
        return "sound", f"{way}, as its changes ask for"
    if "breaking" in weights:
        count = sum(change.weight == "breaking" for change in changes)
        told = f"{count} breaking change{'s' * (count > 1)}"
        return "refused", f"{way}: {told} without a new version; write `version: {wanted}`, or take them back"
    return "advised", f"{way}: better `version: {wanted}`, since nothing breaks but something changed"


def _next(version: tuple[int, int, int], place: int) -> str:
    """Return the version after one, counted up at a place.

    >>> _next((1, 2, 3), 0), _next((1, 2, 3), 1), _next((1, 2, 3), 2)
    ('2.0.0', '1.3.0', '1.2.4')
    """
    return ".".join(str(n + 1 if i == place else n if i < place else 0) for i, n in enumerate(version))


def _numbers(version: str) -> tuple[int, int, int]:
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else (0, 0, 0)


def _removed(name: str, text: bytes) -> Comparison:
    old, problems = _read(name, text)
    if old is None:
        return Comparison(name, "removed", f"removed; it was no contract ({problems[0]})")
    if old.status == "deprecated":
        return Comparison(
            name, "removed", f"removed, after it was deprecated in version {old.version}", old.version
        )
    told = (
        f"{old.dataset} is removed, and who reads it was not told: keep it with `status: deprecated` and a new version first,"
        " then remove it"
    )
    return Comparison(
        name, "refused", told, old.version, None, (Change("breaking", "dataset", "it is removed"),)
    )


class _AnyName(Mapping[str, str]):
    """Variables of paths, where no company is known that says which there are: `contract lint` judges them."""

    def __getitem__(self, name: str) -> str:
        return ""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _read(name: str, text: bytes) -> tuple[Contract | None, list[str]]:
    """Return the contract that a text is, as far as it can be read, and what is wrong with it."""
    document = read_document(Path(name), text)
    contract = None
    if not document.problems and check_standard(document):
        contract = read_contract(document, _AnyName())
    return contract, [str(problem) for problem in sorted(document.problems)]
