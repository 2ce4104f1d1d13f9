"""Reads one workbook with the product's reader and compares its sheets with their exports; for `spreadsheets.py`."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.displayed import differences
from benchmarks.saved_results import is_saved, saved_results
from lake.errors import FileRefused
from lake.sources.workbooks.text import text
from lake.sources.workbooks.workbook import Workbook

_SHOWN_DIFFERENCES = 3

Rows = list[list[str]]


def read_workbook(folder: Path, out: Path | None) -> dict[str, Any]:
    """Read one workbook and compare its sheets: {sheet: {right, as_exported, differences}} and what was refused."""
    csv.field_size_limit(1 << 30)
    expected = {path.name: path for path in sorted(folder.glob("sheet_*.csv"))}
    wrong = {"right": False, "as_exported": False, "differences": ["the sheet was not read"]}
    result: dict[str, Any] = {"refused": None, "sheets": dict.fromkeys(expected, wrong)}
    path = next(folder.glob("workbook.*"))
    try:
        workbook = Workbook(path, folder.name)
        for sheet in workbook.sheets:
            if not sheet.has_cells:
                continue
            grid = workbook.grid(sheet)
            rows = [[text(value) for value in row] for row in grid.rows]
            name = f"sheet_{sheet.position - 1}.csv"
            if out:
                _write(out / folder.name / name, rows)
            if name in expected:
                corner = (grid.first_row, grid.first_column)
                result["sheets"][name] = _compare(expected[name], rows, path, sheet.position - 1, corner)
    except FileRefused as refused:
        result["refused"] = str(refused)
    return result


def _write(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def _compare(
    expected: Path, rows: Rows, workbook: Path, position: int, corner: tuple[int, int]
) -> dict[str, Any]:
    """Compare a sheet with its export, under the encoding of the export that fits better."""
    found = min((list(differences(shown, rows)) for shown in _exports(expected)), key=len)
    saved = saved_results(workbook, position) if found else {}
    top, first = corner
    misread = [
        (row, column, shown, read)
        for row, column, shown, read in found
        if not is_saved(read, saved.get((top + row, first + column), "\0"))
    ]
    described = [
        f"row {top + row + 1}, column {first + column + 1}: {shown[:60]!r} was read as {read[:60]!r}"
        for row, column, shown, read in (misread or found)[:_SHOWN_DIFFERENCES]
    ]
    return {"right": not misread, "as_exported": not found, "differences": described}


def _exports(path: Path) -> Iterator[Rows]:
    """Yield the export in each encoding that it may have."""
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            decoded = content.decode(encoding, "strict" if encoding == "utf-8-sig" else "replace")
        except UnicodeDecodeError:
            continue
        yield list(csv.reader(io.StringIO(decoded, newline="")))
