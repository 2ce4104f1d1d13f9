"""Workbooks (.xlsx): one sheet read as a block of text rows, title and totals rows left out, merged headers joined.

Cells come as text from calamine, which knows real dates, numbers and error cells; `conforming.py` checks the text.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path

import fastexcel
import polars as pl

from lake.contracts.model import Column, Contract
from lake.errors import FileRefused
from lake.sources.block import Block, Reason
from lake.sources.conforming import compile_format
from lake.sources.header import match_header

_CELL_DATE = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?\z"
_LONG_NUMBER = r"\A-?[0-9]+\.[0-9]+\z"
_SIGNIFICANT_DIGITS = 15
"""Of a number in Excel; digits beyond are noise of its binary form."""
_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)"')
_TAG = re.compile(r"<(?:\w+:)?(sheet|Relationship)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w:]+)="([^"]*)"')

Merge = tuple[int, int, int, int]
"""First row, first column, last row, last column; 0-based."""


def read_xlsx(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read the contract's sheet of a workbook as one block.

    Raises `FileRefused` when the workbook, its sheet or its header cannot be read to the contract.
    """
    location = contract.location
    if path.stat().st_size == 0:
        raise FileRefused(f"{name} is empty: deliver it again with its sheet, or remove it.")
    sheet, cells, errors = _load(path, name, location.sheet)
    top = location.header_row - 1
    bottom = top + location.header_rows
    if cells.height < bottom or _is_empty(cells.slice(top, location.header_rows)).all():
        raise FileRefused(
            f"{name}, sheet {sheet!r} has nothing on row {location.header_row}, where its header should be: deliver"
            " it again with its header and rows, or correct `header_row` in the contract."
        )
    merges = _merges(path, sheet) if location.header_rows > 1 else []
    titles = _join_header(cells.slice(top, location.header_rows), top, merges)
    body = cells.slice(bottom).with_row_index("_row", bottom + 1)
    cells_only = body.select(cells.columns)
    is_data = ~_is_empty(cells_only) & ~_is_totals(cells_only, location.totals_label)
    body = body.filter(is_data)
    if not body.height:
        raise FileRefused(
            f"{name}, sheet {sheet!r} has a header but no rows: deliver it again with its rows, or remove it."
        )
    titled = _titled(cells.columns, titles, body, name, sheet)
    where = f"sheet {sheet!r}, row {location.header_row}"
    names = match_header([titles[i] for i in titled], name, where, contract)
    by_name = {names[k]: cells.columns[i] for k, i in enumerate(titled)}
    yield _block(body, by_name, cells.columns, errors, contract, sheet)


def _load(path: Path, name: str, sheet: str | None) -> tuple[str, pl.DataFrame, list[tuple[int, int, str]]]:
    """Return the sheet's name, all its cells as text from row 1, and its error cells (row, column, error)."""
    try:
        workbook = fastexcel.read_excel(path)
        wanted = sheet if sheet is not None else (workbook.sheet_names or [""])[0]
        if wanted not in workbook.sheet_names:
            raise FileRefused(
                f"{name} has no sheet {wanted!r} (it has {', '.join(map(repr, workbook.sheet_names)) or 'none'}):"
                " deliver it with that sheet, or correct `sheet` in the contract."
            )
        loaded = workbook.load_sheet(wanted, header_row=None, skip_rows=0, dtypes="string")
        batch, problems = loaded.to_arrow_with_errors() if loaded.width else (None, None)
    except fastexcel.FastExcelError as error:
        first = str(error).splitlines()[0]
        raise FileRefused(
            f"{name} cannot be read as an xlsx workbook ({first}): save it again as .xlsx and deliver it again."
        ) from error
    cells = pl.DataFrame(batch) if batch is not None else pl.DataFrame()
    found = [(*problem.position, problem.detail) for problem in problems.errors] if problems else []
    return wanted, cells, found


def _is_empty(cells: pl.DataFrame) -> pl.Series:
    """Which rows have no filled cell."""
    filled = cells.select(
        pl.any_horizontal((pl.all().str.strip_chars() != "").fill_null(False)).alias("filled")
    )
    return ~filled.to_series()


def _is_totals(cells: pl.DataFrame, label: str | None) -> pl.Series:
    """Which rows have `label` as their first filled cell."""
    text = pl.all().str.strip_chars()
    first = cells.select(pl.coalesce(pl.when(text != "").then(text)).alias("first")).to_series()
    if label is None:
        return first.is_null() & False
    return (first.str.to_lowercase() == label.strip().lower()).fill_null(False)


def _merges(path: Path, sheet: str) -> list[Merge]:
    """Return the merged ranges of a sheet. Only calamine's cells are trusted as data; this is layout of the header."""
    with zipfile.ZipFile(path) as archive:
        tags = _TAG.findall(archive.read("xl/workbook.xml").decode("utf-8"))
        tags += _TAG.findall(archive.read("xl/_rels/workbook.xml.rels").decode("utf-8"))
        attributes = [(tag, dict(_ATTRIBUTE.findall(text))) for tag, text in tags]
        relation = next(
            value
            for tag, found in attributes
            if tag == "sheet" and unescape(found.get("name", "")) == sheet
            for key, value in found.items()
            if key.endswith(":id")
        )
        target = next(f["Target"] for tag, f in attributes if tag == "Relationship" and f["Id"] == relation)
        part = target.lstrip("/") if target.startswith("/") else posixpath.join("xl", target)
        content = archive.read(part)
    return [
        (int(first_row) - 1, _column_number(first), int(last_row) - 1, _column_number(last))
        for first, first_row, last, last_row in _MERGE.findall(content)
    ]


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1


def _join_header(rows: pl.DataFrame, top: int, merges: list[Merge]) -> list[str]:
    """Join the header's rows per column as 'Upper / Lower'; a merged cell counts for every column it spans, once."""
    grid = [[(cell or "").strip() for cell in row] for row in rows.rows()]
    for first_row, first, last_row, last in merges:
        if not top <= first_row < top + len(grid):
            continue
        text = grid[first_row - top][first] if first < len(grid[0]) else ""
        for row in range(first_row, min(last_row + 1, top + len(grid))):
            for column in range(first, min(last + 1, len(grid[0]))):
                grid[row - top][column] = text if row == first_row else ""
    return [" / ".join(part for part in parts if part) for parts in zip(*grid, strict=True)]


def _titled(columns: list[str], titles: list[str], body: pl.DataFrame, name: str, sheet: str) -> list[int]:
    """Return the positions of columns with a title; a column with values and no title is refused."""
    for i, title in enumerate(titles):
        if not title and body[columns[i]].null_count() < body.height:
            row = body.filter(pl.col(columns[i]).is_not_null())["_row"][0]
            raise FileRefused(
                f"{name}, sheet {sheet!r}: column {i + 1} has values (first on row {row}) but no header; give it its"
                " header, or clear it, and deliver again."
            )
    return [i for i, title in enumerate(titles) if title]


def _block(
    body: pl.DataFrame,
    by_name: dict[str, str],
    cells: list[str],
    errors: list[tuple[int, int, str]],
    contract: Contract,
    sheet: str,
) -> Block:
    text = pl.DataFrame(
        [
            _as_text(body[by_name[column.name]], column).alias(column.name)
            if column.name in by_name
            else pl.Series(column.name, [None] * body.height, dtype=pl.String)
            for column in contract.columns
        ]
    )
    row_of = {row: i for i, row in enumerate(body["_row"].to_list())}
    name_of = {cell: name for name, cell in by_name.items()}
    marks = [
        (
            row_of[row + 1],
            Reason("cell_error", name_of.get(cells[column]), f"the cell holds an error ({detail})"),
        )
        for row, column, detail in errors
        if row + 1 in row_of
    ]

    def raw_text(rows: Sequence[int]) -> list[str]:
        return ["\t".join(cell or "" for cell in body.row(i)[1:]) for i in rows]

    return Block(text, body["_row"].cast(pl.Int64).alias("_line"), raw_text, marks=marks, sheet=sheet)


def _as_text(cells: pl.Series, column: Column) -> pl.Series:
    """Write cells as the contract's type would be written in a text file; other text stays as it is."""
    cells = pl.select(pl.when(cells != "").then(cells)).to_series()
    if column.type == "number":
        is_long = (
            cells.str.contains(_LONG_NUMBER) & (cells.str.len_bytes() > _SIGNIFICANT_DIGITS)
        ).fill_null(False)
        rows = is_long.arg_true()
        return cells.scatter(rows, [_rounded(text) for text in cells.gather(rows)]) if len(rows) else cells
    if column.type not in ("date", "timestamp"):
        return cells
    moments = cells.set(~cells.str.contains(_CELL_DATE).fill_null(False), None)
    parsed = moments.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    if column.type == "date":
        whole_days = parsed.dt.truncate("1d") == parsed
        parsed = parsed.set(~whole_days.fill_null(False), None)
    default = "%Y-%m-%d" if column.type == "date" else "%Y-%m-%d %H:%M:%S%.6f"
    written = parsed.dt.to_string(compile_format(column.format)[1] if column.format else default)
    return written.zip_with(written.is_not_null(), cells)


def _rounded(text: str) -> str:
    """Round to Excel's 15 significant digits, without an exponent."""
    digits = len(text.lstrip("-").split(".")[0].lstrip("0"))
    fixed = f"{float(text):.{max(_SIGNIFICANT_DIGITS - digits, 0)}f}"
    return fixed.rstrip("0").rstrip(".") if "." in fixed else fixed
