"""Files as the company's systems write them: dialects, line numbers, and writing so that nothing half-made is seen."""

import gzip
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

SEEDED = "_seeded"
"""Column of an export's frame that names the kind of a row that is not as it should be; never written."""


@dataclass(frozen=True)
class Dialect:
    """How one system writes CSV."""

    delimiter: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    quoted: tuple[str, ...] = ()
    """Columns that are always in quotes (unless empty)."""
    date_format: str = "%Y-%m-%d"


@dataclass(frozen=True)
class Export:
    """One file before it is written: texts only, in the columns' order of the file."""

    dataset: str
    path: str
    """Relative to the inbox; `.gz` and `.xlsx` are written as such."""
    frame: pl.DataFrame
    dialect: Dialect = field(default_factory=Dialect)
    first_row: int = 2
    """Physical line (or sheet row) of the first data row."""
    cut_last_line: bool = False
    """True: the transfer broke off within the last line."""


def lines_of(export: Export) -> pl.Series:
    """Return the export's data lines, without line ends."""
    dialect = export.dialect
    parts = []
    for name in export.frame.columns:
        if name == SEEDED:
            continue
        column = pl.col(name)
        if name in dialect.quoted:
            column = '"' + column.str.replace_all('"', '""', literal=True) + '"'
        parts.append(column.fill_null(""))
    lines = pl.concat_str(parts, separator=dialect.delimiter)
    if SEEDED in export.frame.columns:
        extra = pl.col(SEEDED) == "extra_field"
        lines = pl.when(extra).then(lines + dialect.delimiter + "0").otherwise(lines)
    return export.frame.select(lines.alias("line"))["line"]


def csv_bytes(export: Export) -> bytes:
    """Return the file's content before compression."""
    dialect = export.dialect
    header = dialect.delimiter.join(name for name in export.frame.columns if name != SEEDED)
    lines = lines_of(export)
    text = (
        header
        + dialect.line_end
        + dialect.line_end.join(lines.to_list())
        + dialect.line_end * bool(len(lines))
    )
    if export.cut_last_line:
        text = text[: -len(dialect.line_end) - len(lines[-1]) // 2]
    return text.encode(dialect.encoding)


def jsonl_bytes(export: Export) -> bytes:
    """Return one object a line; a dot in a column's name nests, a weight is a number."""
    names = [name for name in export.frame.columns if name != SEEDED]
    lines = []
    for row in export.frame.select(names).iter_rows():
        record: dict[str, Any] = {}
        for name, text in zip(names, row, strict=True):
            *parents, last = name.split(".")
            place = record
            for parent in parents:
                place = place.setdefault(parent, {})
            if text is not None:
                place[last] = float(text) if name.endswith("_kg") else text
        lines.append(json.dumps(record, ensure_ascii=False, separators=(", ", ": ")))
    return ("\n".join(lines) + "\n").encode()


def seeded_rows(export: Export) -> pl.DataFrame:
    """Return file, line and kind of the rows that are not as they should be."""
    if SEEDED not in export.frame.columns:
        return pl.DataFrame(
            schema={"dataset": pl.String, "file": pl.String, "line": pl.Int64, "kind": pl.String}
        )
    return (
        export.frame.with_row_index("line", offset=export.first_row)
        .filter(pl.col(SEEDED).is_not_null())
        .select(
            pl.lit(export.dataset).alias("dataset"),
            pl.lit(export.path).alias("file"),
            pl.col("line").cast(pl.Int64),
            pl.col(SEEDED).alias("kind"),
        )
    )


_LIST = ".made"


@dataclass(frozen=True)
class Folder:
    """A folder of made files: each appears whole, and a list of them lets the next run remove what it does not make."""

    path: Path

    def names(self) -> list[str]:
        """Return the files that runs of this program have made here, in order."""
        made = self.path / _LIST
        return made.read_text(encoding="utf-8").split("\n")[:-1] if made.exists() else []

    def clear(self) -> None:
        """Remove what runs before made, and nothing else."""
        for name in self.names():
            (self.path / name).unlink(missing_ok=True)
        for part in self.path.rglob(".*.part"):  # of a run that was killed while it wrote
            part.unlink(missing_ok=True)
        (self.path / _LIST).unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Write a file under its name once it is whole."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with (self.path / _LIST).open("a", encoding="utf-8") as made:
            made.write(name + "\n")
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.write_bytes(gzip.compress(content, 2, mtime=0) if name.endswith(".gz") else content)
        part.replace(target)


def with_frame(export: Export, frame: pl.DataFrame) -> Export:
    """Return the export with other rows."""
    return replace(export, frame=frame)
