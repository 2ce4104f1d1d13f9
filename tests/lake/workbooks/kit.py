"""Workbooks for tests: OpenDocument written by hand, real ones from the data folder, and a short way to read a table."""

import os
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from lake.company import PROJECT_ROOT
from lake.contracts.model import Column
from lake.sources.conforming import conform
from lake.sources.spreadsheets import read_spreadsheet
from tests.lake.loading_kit import contract

DATA = Path(os.environ.get("STOCKLAKE_DATA") or PROJECT_ROOT.parent / "shared" / "data")
ARCHIVE = DATA / "robustness" / "workbooks_with_expected_sheets.tar.xz"
needs_real_workbooks = pytest.mark.skipif(
    not ARCHIVE.exists(),
    reason="no robustness/workbooks_with_expected_sheets.tar.xz in the data folder (STOCKLAKE_DATA)",
)
_NAMESPACES = " ".join(
    f'xmlns:{short}="{name}"'
    for short, name in {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "calcext": "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0",
    }.items()
)
_ODS = "application/vnd.oasis.opendocument.spreadsheet"


def write_ods(path: Path, *rows: str, sheet: str = "Sheet1") -> None:
    """Write an .ods with the table rows given as XML."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", _ODS)
        archive.writestr(
            "META-INF/manifest.xml",
            '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            f'<m:file-entry m:full-path="/" m:media-type="{_ODS}"/></m:manifest>',
        )
        archive.writestr(
            "content.xml",
            f"<office:document-content {_NAMESPACES}><office:body><office:spreadsheet>"
            f'<table:table table:name="{sheet}">{"".join(rows)}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_text(text: str, attributes: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>'


def ods_number(value: float, shown: str = "", attributes: str = "") -> str:
    shown = shown or str(value)
    return f'<table:table-cell office:value-type="float" office:value="{value}" {attributes}><text:p>{shown}</text:p></table:table-cell>'


def replace_part(path, part, content):
    """Put another content in place of a part of a zipped workbook, or one made from it."""
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    kept[part] = content(kept.get(part, b"")) if callable(content) else content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in kept.items():
            archive.writestr(name, text)


@cache
def _members() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        return {
            member.name.split("/")[1]: archive.extractfile(member).read()
            for member in archive
            if "/workbook." in member.name
        }


def real_workbook(tmp_path: Path, name: str) -> Path:
    """Copy one of the real workbooks out of the data folder's archive."""
    path = tmp_path / name
    path.write_bytes(_members()[name])
    return path


def table(path: Path, *columns: Column, **location):
    """Return (line, values ...) of the good rows, and {line: rules} of the refused ones."""
    of = contract("a", columns, location={"format": "spreadsheet", "path": "a"} | location)
    good, refused = [], {}
    for block in read_spreadsheet(path, path.name, of):
        conformed = conform(block, of, {})
        good += conformed.good.select("_line", *[column.name for column in columns]).rows()
        refused |= {row["line"]: row["rules"] for row in conformed.refused.iter_rows(named=True)}
    return good, refused
