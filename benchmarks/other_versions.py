"""Exports that cannot have come from the workbook beside them, by the workbook's own bytes.

A text that somebody typed into a cell (no formula) is displayed as it is, so an export of that sheet has it. The sheets
named here are exports of another version of their workbook: the file holds texts that its export lacks, in the rows that
differ. A sheet is set apart only while that evidence is found; the reader that is measured has no part in finding it.
"""

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import xlrd
from lxml import etree

from lake.sources.workbooks import xls
from lake.sources.workbooks.compound import joined, stream_pieces

NAMED = frozenset(
    {
        "CustomXMLMappings-complex-type.xlsx/sheet_1.csv",
        "DGet.xls/sheet_1.csv",
        "DStar.xls/sheet_0.csv",
        "DStar.xls/sheet_1.csv",
        "FormulaEvalTestData.xls/sheet_0.csv",
        "LookupFunctionsTestCaseData.xls/sheet_1.csv",
        "LookupFunctionsTestCaseData.xls/sheet_2.csv",
        "SubtotalsNested.xls/sheet_0.csv",
        "workbookProtection_workbook_revision_protected.xlsx/sheet_3.csv",
    }
)
_LABEL = 0xFD
"""Record of BIFF8 for a cell with a text that is no formula's."""


def evidence(folder: Path, name: str) -> str | None:
    """Return why the export `name` of a workbook's folder is not of this workbook; None where it may be."""
    if f"{folder.name}/{name}" not in NAMED:
        return None
    workbook, position = next(folder.glob("workbook.*")), int(name[len("sheet_") : -len(".csv")])
    is_zipped = workbook.read_bytes().startswith(b"PK")
    typed = (_typed_in_xlsx if is_zipped else _typed_in_xls)(workbook, position)
    if typed is None:
        return f"the workbook has no sheet {position + 1}"
    exported = _bare((folder / name).read_bytes().decode("cp1252", "replace"))
    counted = {
        text: (count, exported.count(_bare(text)))
        for text, count in Counter(typed).items()
        if _is_words(text)
    }
    missing = {text: counts for text, counts in counted.items() if counts[0] > counts[1]}
    if not missing:
        return None
    text, (stored, shown) = next(iter(missing.items()))
    return (
        f"{len(missing)} typed texts of the sheet are missing in the export, such as {text[-60:]!r}"
        f" ({stored} in the file, {shown} in the export)"
    )


def _is_words(text: str) -> bool:
    """Whether a text is one that any code page has."""
    return text.isascii() and any(map(str.isalpha, text))


def _bare(text: str) -> str:
    """Return a text without what an export may write in another way; found within others, it counts as found."""
    return re.sub(r'[\s",]', "", text)


def _typed_in_xls(path: Path, position: int) -> list[str]:
    content = path.read_bytes()
    book = xlrd.open_workbook(file_contents=content, logfile=io.StringIO())
    stream = joined(content, stream_pieces(content, xls.STREAMS))
    sheet = book.sheet_by_index(position)
    labels = [at for kind, at, _ in xls.sheet_records(stream, position) if kind == _LABEL]
    places = [struct.unpack_from("<HH", stream, at) for at in labels]
    return [str(sheet.cell_value(*place)) for place in places]


def _typed_in_xlsx(path: Path, position: int) -> list[str] | None:
    with zipfile.ZipFile(path) as archive:
        part = f"xl/worksheets/sheet{position + 1}.xml"
        listed = etree.fromstring(archive.read("xl/workbook.xml")).findall("{*}sheets/{*}sheet")
        if position >= len(listed):
            return None
        shared = etree.fromstring(archive.read("xl/sharedStrings.xml")).findall("{*}si")
        return list(_texts(etree.fromstring(archive.read(part)), shared))


def _texts(sheet: etree._Element, shared: list[etree._Element]) -> Iterator[str]:
    for cell in sheet.iter("{*}c"):
        if cell.get("t") == "s" and cell.find("{*}f") is None:
            item = shared[int(cell.findtext("{*}v") or 0)]
            yield "".join(text.text or "" for text in item.iter("{*}t"))
