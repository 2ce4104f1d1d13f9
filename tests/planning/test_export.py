"""What people take away: the same numbers in every form, and nothing that a spreadsheet program would run."""

import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import fastexcel
import openpyxl
import polars as pl
import pytest

from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.releases import Release
from planning.export import export, line_rows, neutral_text, order_rows
from planning.proposals import propose
from tests.planning.conftest import small_plan

NASTY = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "https://example.org",
    "{=1}",
    "=" + "x" * 40_000,
]


def company(home: Path) -> Company:
    return Company("test", home, home, CompanySettings(title="T", currency="EUR"))


def test_empty_lake_gives_empty_files_of_the_same_shape(lake: Lake, tmp_path: Path) -> None:
    as_json, as_workbook = export(lake, company(tmp_path))
    assert json.loads(as_json.read_text()) == []
    assert openpyxl.load_workbook(as_workbook).sheetnames == ["Orders", "Lines"]


def test_every_form_has_the_same_orders(
    lake: Lake, release_of: Callable[..., Release], tmp_path: Path
) -> None:
    empty_columns = order_rows(lake).columns, line_rows(lake).columns
    propose(lake, release_of(), small_plan(), "EUR")
    assert (order_rows(lake).columns, line_rows(lake).columns) == empty_columns
    as_json, as_workbook = export(lake, company(tmp_path))
    orders = order_rows(lake)
    documents = json.loads(as_json.read_text())
    assert [document["order_id"] for document in documents] == orders["order_id"].to_list()
    for document, total in zip(documents, orders["total_cost"], strict=True):
        costs = [
            Decimal(str(line["goods_cost"])) + Decimal(str(line["freight_cost"]))
            for line in document["lines"]
        ]
        assert sum(costs) == total
    sheet = fastexcel.read_excel(as_workbook).load_sheet("Orders").to_polars()
    assert sheet["order id"].to_list() == orders["order_id"].to_list()
    assert sheet["total cost"].to_list() == [float(value) for value in orders["total_cost"]]
    before = as_json.read_bytes(), as_workbook.read_bytes()
    export(lake, company(tmp_path))
    assert (as_json.read_bytes(), as_workbook.read_bytes()) == before
    assert sorted(path.name for path in as_json.parent.iterdir()) == [as_json.name, as_workbook.name]


def test_nothing_is_a_formula_or_a_link(
    lake: Lake, release_of: Callable[..., Release], tmp_path: Path
) -> None:
    row = small_plan().head(1)
    nasty = pl.concat(
        [
            row.with_columns(item_id=pl.lit(text), supplier_id=pl.lit(text), reason=pl.lit(text))
            for text in NASTY
        ]
    )
    propose(lake, release_of(), nasty, "EUR")
    _, as_workbook = export(lake, company(tmp_path))
    book = openpyxl.load_workbook(as_workbook)
    for sheet in book:
        for cells in sheet.iter_rows():
            for cell in cells:
                assert cell.data_type != "f" and cell.hyperlink is None
                assert not isinstance(cell.value, str) or cell.value.lstrip(" ")[:1] not in "=+-@\t\r\n"
    assert fastexcel.read_excel(as_workbook).load_sheet("Lines").height == len(NASTY)
    with zipfile.ZipFile(as_workbook) as parts:
        sheets = [parts.read(name) for name in parts.namelist() if "sheet" in name]
    assert not any(b"<f>" in part or b"<hyperlink" in part for part in sheets)


def test_a_sheet_can_be_read(lake: Lake, release_of: Callable[..., Release], tmp_path: Path) -> None:
    propose(lake, release_of(), small_plan(), "EUR")
    sheet = openpyxl.load_workbook(export(lake, company(tmp_path))[1])["Lines"]
    assert sheet.freeze_panes == "B2"
    headers = {cell.value: cell.column for cell in sheet[1]}
    assert sheet.cell(2, headers["need date"]).number_format == "yyyy-mm-dd"
    assert sheet.cell(2, headers["unit price"]).number_format == "#,##0.0000"
    assert sheet.column_dimensions["A"].width > 15


@pytest.mark.parametrize(
    "text", ["\u200b=1+1", "\ufeff@SUM(A1)", "\x0b=1+1", "＝1+1", "＠SUM(A1)", "\t=1+1", " \u00a0-1"]
)
def test_a_formula_behind_marks_that_nobody_sees_is_text(text: str) -> None:
    assert neutral_text(text) == "'" + text


@pytest.mark.parametrize("text", ["bolt - zinc", "", "100 % cotton", "a=b"])
def test_ordinary_text_stays(text: str) -> None:
    assert neutral_text(text) == text


def test_a_failed_export_leaves_the_old_file(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_json, _ = export(lake, company(tmp_path))
    before = as_json.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("planning.export._write_json", fails)
    with pytest.raises(OSError, match="disk full"):
        export(lake, company(tmp_path))
    assert as_json.read_bytes() == before
    assert not [path for path in as_json.parent.iterdir() if path.name.startswith(".")]
