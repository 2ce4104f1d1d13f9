"""Workbooks that mean harm, or are far out of measure: refused with a reason, before they take the machine's memory."""

import struct
import zipfile
from random import Random

import openpyxl
import pytest

from lake.errors import FileRefused
from lake.sources.workbooks import parts
from lake.sources.workbooks.workbook import Workbook
from tests.lake.workbooks.kit import (
    needs_real_workbooks,
    ods_number,
    ods_row,
    real_workbook,
    replace_part,
    write_ods,
)


def read(path):
    workbook = Workbook(path, path.name)
    return list(workbook.grid(workbook.sheets[0]).rows)


@pytest.fixture
def workbook(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Item", "Units"])
    book.active.append(["A", 1])
    book.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


def test_a_cell_at_the_far_corner_is_refused_before_memory_is_taken(workbook):
    book = openpyxl.load_workbook(workbook)
    book.active["XFD1048576"] = "far"
    book.save(workbook)
    with pytest.raises(FileRefused, match="reaches over 1,048,576 rows x 16,384 columns"):
        read(workbook)


def test_a_declared_dimension_and_formatted_empty_cells_are_no_reason(workbook):
    sheet = "xl/worksheets/sheet1.xml"
    replace_part(
        workbook, sheet,
        lambda xml: xml.replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1:XFD1048576"')
        .replace(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576" s="0"/></row></sheetData>'),
    )  # fmt: skip
    assert read(workbook)[:2] == [["Item", "Units"], ["A", 1.0]]


def test_a_row_of_opendocument_repeated_without_end_is_refused(tmp_path):
    cell = ods_number(1, attributes='table:number-columns-repeated="16384"')
    write_ods(tmp_path / "a.ods", ods_row(cell, attributes='table:number-rows-repeated="1048576"'))
    with pytest.raises(FileRefused, match="reaches over 1,048,576 rows x 16,384 columns"):
        read(tmp_path / "a.ods")


def test_a_bomb_is_refused_by_what_it_says(workbook, monkeypatch):
    monkeypatch.setattr(parts, "MAX_INFLATED_BYTES", 20 << 20)
    replace_part(workbook, "xl/bomb.xml", b"0" * (21 << 20))
    with pytest.raises(FileRefused, match=r"unpacks to .* more than"):
        read(workbook)


def test_a_bomb_that_lies_about_its_size_is_refused(workbook):
    replace_part(workbook, "xl/sharedStrings.xml", b"0" * (8 << 20))
    data = bytearray(workbook.read_bytes())
    true_size, false_size = struct.pack("<I", 8 << 20), struct.pack("<I", 100)
    assert data.count(true_size) >= 1
    workbook.write_bytes(bytes(data).replace(true_size, false_size))
    with pytest.raises(FileRefused, match=r"a\.xlsx"):
        read(workbook)


def test_entities_are_refused(workbook):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    replace_part(
        workbook, "xl/styles.xml", lambda xml: bomb + xml.partition(b"?>")[2] if b"?>" in xml else bomb + xml
    )
    with pytest.raises(FileRefused, match="declares a document type"):
        read(workbook)


def test_a_workbook_without_its_parts_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("readme.txt", "no workbook")
    with pytest.raises(FileRefused, match="holds no workbook"):
        read(tmp_path / "a.xlsx")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_workbook_cut_off_is_refused(workbook, share):
    content = workbook.read_bytes()
    workbook.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileRefused, match="damaged"):
        read(workbook)


@needs_real_workbooks
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "name", ["51498.xls", "50833.xls", "sample.xlsb", "sample.xlsx", "testEXCEL_3.xls", "testEXCEL_4.xls"]
)
def test_damaged_bytes_are_read_or_refused_and_nothing_else(tmp_path, name):
    random = Random(7)
    whole = real_workbook(tmp_path, name).read_bytes()
    path = tmp_path / f"damaged-{name}"
    refused = 0
    for _ in range(15):
        content = bytearray(whole)
        for _ in range(random.randint(1, 30)):
            content[random.randrange(len(content))] = random.randrange(256)
        path.write_bytes(content)
        try:
            read(path)
        except FileRefused:
            refused += 1
    assert refused
