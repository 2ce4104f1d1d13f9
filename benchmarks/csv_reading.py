"""Claim: any CSV file is read right with nothing given but the file (the Pollock benchmark, Vitagliano et al., VLDB 2023).

    python -m benchmarks.csv_reading [--json] [--dir DIR] [--out DIR] [--weights FILE]

DIR holds `csv/` (polluted files) and `clean/` (the same files as they should be read). Each file scores success, and
precision, recall and F1 of its header, of its records and of its cells, against the clean form: 10 at most. `simple` is
the mean over files; `weighted` counts a pollution as often as real files have it. Header, records and cells are compared
as multisets of text; two records are equal when all their cells are.
"""

import csv
import json
import os
import re
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from lake.company import PROJECT_ROOT
from lake.sources.sniffed import read_any

DATA = Path(os.environ.get("STOCKLAKE_DATA") or PROJECT_ROOT.parent / "shared" / "data")
ARCHIVE = "robustness/pollock_polluted.tar.xz"
WEIGHTS = "references/pollock_weights.json"
Table = list[tuple[str, ...]]


def overlap(expected: Iterable[Hashable], found: Iterable[Hashable]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of what was found; with nothing expected all are 1."""
    right, ours = Counter(expected), Counter(found)
    if not right:
        return 1.0, 1.0, 1.0
    both = (right & ours).total()
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / ours.total(), both / right.total()
    return precision, recall, 2 * precision * recall / (precision + recall)


def score(clean: Table, found: Table | None) -> float:
    """Return the score of one file, 0 to 10; `found` is None if it could not be read."""
    if found is None:
        return 0.0
    if not clean:
        return 10.0
    header = overlap(clean[0], found[0] if found else ())
    rows = overlap(clean[1:], found[1:])
    cells = overlap((cell for row in clean for cell in row), (cell for row in found for cell in row))
    return 1.0 + sum(header) + sum(rows) + sum(cells)


def read(path: Path) -> Table | None:
    """Return header (where there is one) and rows of a file."""
    try:
        table = read_any(path)
    except (OSError, UnicodeError):
        return None
    return [*([table.header] if table.header else []), *table.rows]


def pollution(name: str) -> str:
    """Return the class of a file: its name without the numbers of row and column."""
    return (
        re.sub(r"_?(row|quote|col)?\d+(?=_|$)", "", Path(name).stem)
        if name.startswith("row")
        else Path(name).stem
    )


def evaluate(folder: Path, weights: dict[str, float], out: Path | None) -> dict[str, object]:
    """Read and score every file of a directory; write what was read to `out`, one plain CSV per file."""
    total = weighted = weight_sum = 0.0
    classes: dict[str, list[float]] = defaultdict(list)
    files = sorted((folder / "csv").iterdir())
    for path in files:
        table = read(path)
        if out and table is not None:
            with (out / path.name).open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows(table)
        with (folder / "clean" / path.name).open(newline="", encoding="utf-8-sig") as stream:
            points = score([tuple(row) for row in csv.reader(stream)], table)
        weight = weights.get(path.name, 0.0)
        total, weighted, weight_sum = total + points, weighted + points * weight, weight_sum + weight
        classes[pollution(path.name)].append(points)
    return {
        "simple": round(total / len(files), 4),
        "weighted": round(weighted / weight_sum, 4) if weight_sum else None,
        "files": len(files),
        "classes": {name: round(sum(points) / len(points), 4) for name, points in sorted(classes.items())},
    }


def _folder(given: Path | None, scratch: Path) -> Path:
    if given:
        return given
    if not (DATA / ARCHIVE).is_file():
        raise typer.BadParameter(f"give --dir, or set STOCKLAKE_DATA to a folder that holds {ARCHIVE}")
    with tarfile.open(DATA / ARCHIVE) as archive:
        archive.extractall(scratch, filter="data")
    return next(path.parent for path in scratch.rglob("csv") if path.is_dir())


def _weights(given: Path | None) -> dict[str, float]:
    """Return the weight of each file by its name; empty, and no weighted score, where the list is not at hand."""
    path = given or DATA.parent / WEIGHTS
    found: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def main(
    directory: Annotated[Path | None, typer.Option("--dir")] = None,
    out: Path | None = None,
    weights: Path | None = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print the scores, as a whole and by pollution."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        result = evaluate(_folder(directory, Path(scratch)), _weights(weights), out)
    if as_json:
        print(json.dumps(result))
        return
    classes = result.pop("classes")
    assert isinstance(classes, dict)
    print("\n".join(f"{key:40} {value}" for key, value in (result | classes).items()))


if __name__ == "__main__":
    typer.run(main)
