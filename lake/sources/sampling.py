"""Some rows of a file nobody has described yet, as text, with what its format had to tell: what a contract is proposed from.

One function per format makes the same `Sample`. Nothing is loaded from here.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from lake.contracts.model import Location
from lake.contracts.standard import suggest
from lake.errors import FileRefused
from lake.sources.archives import is_archive
from lake.sources.encodings import detect_encoding
from lake.sources.packed import bare_name, open_stream
from lake.sources.placing import Placed, find_places
from lake.sources.sniffed import Sniffed, read_text

WHOLE_BYTES = 4 << 20
"""A file up to this size is looked at whole."""
PIECES = 12
"""Of a larger one, so many pieces spread over it, together as large; of a packed one, its beginning."""
MAX_ROWS = 50_000
_TOTALS = re.compile(
    r"(?:(?:grand|sub)[ -]?)?totals?:?|sum:?|(?:gesamt|zwischen)?summe:?|gesamt:?|sous-total:?|total général:?|somme:?|totaal:?"
    r"|totale:?|suma:?|итого:?|合计|总计",
    re.IGNORECASE,
)
"""What the first cell of a row of totals says."""
_DELIMITERS = (",", ";", "\t", "|")
"""Where another (or none) is found, blanks may stand between columns of fixed width."""


@dataclass(frozen=True)
class Sample:
    """A part of a file as a table of text."""

    format: str
    headers: tuple[str, ...]
    """As they stand in the file, one per column, unique and not blank."""
    text: pl.DataFrame
    """String columns named '0', '1', ...; null where a field is empty."""
    is_whole: bool
    """Otherwise the rows come from places spread over the file, or, where it is packed or no text, from its beginning."""
    options: list[tuple[str, Any, str]] = field(default_factory=list)
    """Custom properties of the server: (name, value, what was seen)."""
    notes: list[str] = field(default_factory=list)
    types: dict[int, str] = field(default_factory=dict)
    """Column number -> logical type, where the format itself has types."""
    places: list[tuple[int, int]] = field(default_factory=list)
    """fixed_width: start and width of each column."""


def sample(path: Path, sheet: str | None = None) -> Sample:
    """Return a sample of a file by its name's suffix; delimited text if that says nothing.

    `sheet` is that of a workbook to look at, by default the longest. Raises `FileRefused` for a file that has no rows or
    cannot be read, and for a sheet that is not there.
    """
    if not path.is_file():
        raise FileRefused(f"{path} is no file: name the file to look at.")
    if is_archive(path.name):
        raise FileRefused(f"{path.name} is an archive: unpack it and name one of its files.")
    suffix = Path(bare_name(path.name)).suffix
    look = _BY_SUFFIX.get(suffix, _delimited)
    if sheet is not None and look is not _workbook:
        raise FileRefused(f"{path.name} is no workbook: leave out the sheet.")
    try:
        made = _workbook(path, sheet) if sheet is not None else look(path)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise FileRefused(f"{path.name} is no {suffix[1:]} file ({first}): choose another file.") from error
    if not made.text.height:
        raise FileRefused(f"{path.name} has no rows to look at: choose a file with rows.")
    return made


def _table(rows: Sequence[Sequence[str]], width: int) -> pl.DataFrame:
    """Return rows of text as a frame, empty fields null."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    frame = pl.DataFrame([pl.Series(str(i), values, dtype=pl.String) for i, values in enumerate(columns)])
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _named(headers: Iterable[str]) -> tuple[str, ...]:
    """Return headers without blanks around, those that are blank or there twice made different."""
    found: list[str] = []
    for i, header in enumerate(headers):
        name = header.strip() or f"column {i + 1}"
        found.append(name if name not in found else f"{name} {i + 1}")
    return tuple(found)


def _pieces(path: Path) -> tuple[bytes, bool]:
    """Return bytes of a file, whole lines from its beginning and from places spread over it, and whether that is all."""
    with open_stream(path, path.name, Location(path="", format="csv")) as stream:
        data = stream.read(WHOLE_BYTES + 1)
    if len(data) <= WHOLE_BYTES:
        return data, True
    encoding, _ = detect_encoding(data, is_cut=True)
    if bare_name(path.name) != path.name.lower() or encoding.startswith("utf-16"):
        return data[: data.rfind(b"\n" if b"\n" in data else b"\r") + 1] or data, False
    size = WHOLE_BYTES // PIECES
    newline = b"\n" if b"\n" in data else b"\r"
    parts = [data[:size].rpartition(newline)[0]]
    with path.open("rb") as plain:
        for i in range(1, PIECES):
            plain.seek((path.stat().st_size - size) * i // (PIECES - 1))
            parts.append(plain.read(size).partition(newline)[2].rpartition(newline)[0])
    return newline.join(parts) + newline, False


def _delimited(path: Path) -> Sample:
    data, is_whole = _pieces(path)
    encoding, mark = detect_encoding(data, is_cut=not is_whole)
    text = data[mark:].decode(encoding, "replace")
    found = read_text(text)
    if found.dialect.delimiter not in _DELIMITERS and (placed := find_places(text)):
        return _fixed_width(placed, encoding, is_whole=is_whole)
    if not found.width:
        raise FileRefused(f"{path.name} is empty: choose a file with rows.")
    parts = zip(*found.header_parts, strict=True)
    headers = tuple(" / ".join(text.strip() for text in texts if text.strip()) for texts in parts)
    headers = headers or tuple(f"column {i + 1}" for i in range(found.width))
    notes = []
    if found.titles:
        notes.append(f"{len(found.titles)} lines above the header are no rows: {found.titles[0][:60]!r}")
    if found.rest:
        notes.append(
            f"{len(found.rest)} lines below the table look like footnotes or another table and were not looked at;"
            " their rows would be quarantined"
        )
    if found.mended:
        line, text = found.mended[0]
        notes.append(
            f"{len(found.mended)} rows do not have {found.width} fields as the dialect says and would be quarantined,"
            f" e.g. line {line}: {text[:60]!r}"
        )
    options = _dialect_options(found, encoding, has_mark=mark > 0)
    return Sample(
        "csv", _named(headers), _table(found.rows[:MAX_ROWS], found.width), is_whole, options, notes
    )


def _fixed_width(placed: Placed, encoding: str, *, is_whole: bool) -> Sample:
    titles = _named(placed.titles or [f"column {i + 1}" for i in range(len(placed.places))])
    options: list[tuple[str, Any, str]] = [("encoding", encoding, "")]
    if placed.header_lines:
        options.append(("header_lines", placed.header_lines, ""))
    notes = ["columns are told by the blanks between them: correct start and width where two look like one"]
    if placed.others:
        notes.append(
            f"{len(placed.others)} lines have another length and would be quarantined, e.g. {placed.others[0][:60]!r}"
        )
    table = _table(placed.rows[:MAX_ROWS], len(placed.places))
    return Sample("fixed_width", titles, table, is_whole, options, notes, places=placed.places)


def _xml(path: Path) -> Sample:
    from lake.sources.xml_sample import sample_elements

    record_path, rows, repeats, notes = sample_elements(path, path.name, MAX_ROWS)
    options: list[tuple[str, Any, str]] = [("record_path", record_path, "the element that repeats")]
    if repeats:
        options.append(("other_fields", "ignore", "what stands several times in a row is no field of it"))
    headers = tuple(dict.fromkeys(name for row in rows for name in row))
    if not headers:
        raise FileRefused(f"{path.name}: its rows {record_path} hold no values: choose another file.")
    table = _table([[row.get(name, "") for name in headers] for row in rows], len(headers))
    return Sample("xml", headers, table, len(rows) < MAX_ROWS, options, notes)


def _dialect_options(found: Sniffed, encoding: str, *, has_mark: bool) -> list[tuple[str, Any, str]]:
    dialect = found.dialect
    usual = "the only column: no delimiter was found" if not dialect.delimiter else ""
    options: list[tuple[str, Any, str]] = [
        ("delimiter", dialect.delimiter or ",", usual),
        ("encoding", encoding, "told by its byte order mark" if has_mark else ""),
    ]
    if dialect.quote != '"':
        options.append(("quote", dialect.quote or "none", ""))
    if dialect.escape and dialect.escape != '"':
        options.append(("escape", dialect.escape, "stands before quotes within fields"))
    if not found.header:
        options.append(("header", "none", "the first row looks like the others; columns by position"))
    if found.header_line > 1:
        options.append(("header_row", found.header_line, ""))
    if found.header_rows > 1:
        options.append(("header_rows", found.header_rows, ""))
    return options


def _workbook(path: Path, wanted: str | None = None) -> Sample:
    from lake.sources.workbooks.sample import sample_sheets

    sheets = [sheet for sheet in sample_sheets(path, path.name, 5_000) if sheet.header_row is not None]
    if not sheets:
        raise FileRefused(f"{path.name} has no sheet with a header and rows: choose another file.")
    best = max(sheets, key=lambda sheet: (sheet.name == wanted, len(sheet.rows)))
    if wanted is not None and wanted != best.name:
        names = [sheet.name for sheet in sheets]
        raise FileRefused(f"{path.name} has no sheet {wanted!r} with a table: {suggest(wanted, names)}")
    assert best.header_row is not None
    top = best.header_row - best.first_row
    width = max(map(len, best.rows))
    rows = [[*row, *[""] * (width - len(row))] for row in best.rows[top + 1 :]]
    header = [*best.rows[top], *[""] * (width - len(best.rows[top]))]
    keep = [i for i in range(width) if header[i].strip()]
    rows = [[row[i] for i in keep] for row in rows if any(cell.strip() for cell in row)]
    first = [next((cell for cell in row if cell.strip()), "").strip() for row in rows]
    totals = sorted({text for text in first if _TOTALS.fullmatch(text)})
    rows = [row for row, text in zip(rows, first, strict=True) if text not in totals]
    others = [sheet.name for sheet in sheets if sheet is not best]
    notes = [f"other sheets with a table: {', '.join(map(repr, others))}"] if others else []
    options: list[tuple[str, Any, str]] = [("sheet", best.name, ""), ("header_row", best.header_row, "")]
    if totals:
        options.append(("totals_label", totals, f"{len(first) - len(rows)} rows begin so and are no data"))
    headers = _named(header[i] for i in keep)
    return Sample("spreadsheet", headers, _table(rows, len(keep)), len(best.rows) < 5_000, options, notes)


def _parquet(path: Path) -> Sample:
    frame = pl.scan_parquet(path).head(MAX_ROWS).collect()
    types = {i: name for i, dtype in enumerate(frame.dtypes) if (name := _logical(dtype))}
    text = frame.select(
        pl.col(name).cast(pl.String, strict=False).alias(str(i)) for i, name in enumerate(frame.columns)
    )
    return Sample("parquet", tuple(frame.columns), text, frame.height < MAX_ROWS, types=types)


def _logical(dtype: pl.DataType) -> str | None:
    if dtype.is_integer():
        return "integer"
    if dtype.is_decimal() or dtype.is_float():
        return "number"
    return {pl.Date: "date", pl.Datetime: "timestamp", pl.Boolean: "boolean"}.get(dtype.base_type())


def _json_lines(path: Path) -> Sample:
    """Take the lines that are objects; others will be quarantined, and do not tell what the rest looks like."""
    data, is_whole = _pieces(path)
    records, broken = list[Any](), list[ValueError]()
    for line in filter(bytes.strip, data.splitlines()):
        try:
            records.append(json.loads(line, parse_float=str, parse_int=str))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            broken.append(error)
    if broken and len(broken) >= len(records):
        raise broken[0]
    odd = len(broken) + sum(not isinstance(record, dict) for record in records)
    notes = [f"{odd} of {len(records) + len(broken)} lines are no JSON object"] if odd else []
    return _objects("jsonl", records, is_whole, [], notes)


def _json(path: Path) -> Sample:
    """Take the document's list, or the longest list of objects one key below."""
    with open_stream(path, path.name, Location(path="", format="json")) as stream:
        document = json.load(stream, parse_float=str, parse_int=str)
    where = ""
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if isinstance(value, list)}
        if not lists:
            raise FileRefused(f"{path.name} holds no list of objects: choose another file.")
        where = max(lists, key=lambda key: len(lists[key]))
        document = lists[where]
    options: list[tuple[str, Any, str]] = [("records_path", where, "")] if where else []
    return _objects("json", document, True, options)


def _objects(
    kind: str,
    records: Sequence[Any],
    is_whole: bool,
    options: list[tuple[str, Any, str]],
    notes: Sequence[str] = (),
) -> Sample:
    flat = [_flat(record) for record in islice(records, MAX_ROWS) if isinstance(record, dict)]
    if not flat:
        raise FileRefused("There is no object to look at: choose a file with rows.")
    headers = tuple(dict.fromkeys(name for record in flat for name in record))
    rows = [[record.get(name, "") for name in headers] for record in flat]
    is_whole = is_whole and len(records) <= MAX_ROWS
    return Sample(kind, headers, _table(rows, len(headers)), is_whole, options, list(notes))


def _flat(record: dict[str, Any], above: str = "") -> dict[str, str]:
    """Return the fields of an object as text by their dotted paths; lists are left out."""
    found: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{key}.")
        elif not isinstance(value, list):
            word = "" if value is None else str(value)
            found[above + key] = word.lower() if isinstance(value, bool) else word
    return found


_BY_SUFFIX: dict[str, Callable[[Path], Sample]] = {
    **dict.fromkeys((".xls", ".xlsx", ".xlsm", ".xlsb", ".ods"), _workbook),
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".xml": _xml,
}
