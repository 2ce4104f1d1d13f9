"""Options of workbooks in a contract: what they become, and what is told of those that are wrong."""

import pytest

from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from lake.contracts.workbook_options import read_range
from tests.lake.contracts.conftest import GOOD, ITEM

CSV_SERVER = GOOD[GOOD.index("    format: csv") : GOOD.index("schema:")]


def with_options(*options: str, path: str = "${INBOX}/sales_*.ods") -> str:
    properties = "".join(
        f"      - {{property: {name}, value: {value}}}\n" for name, value in map(_split, options)
    )
    custom = f"    customProperties:\n{properties}" if options else ""
    text = GOOD.replace(CSV_SERVER, f"    format: spreadsheet\n{custom}")
    return text.replace("${INBOX}/sales_*.csv", path)


def _split(option: str) -> tuple[str, str]:
    name, _, value = option.partition("=")
    return name, value


def problems(make, text: str) -> list[str]:
    return [f"{problem.key}: {problem.message}" for problem in lint(make(sales=text, item=ITEM))]


def test_options_of_a_workbook(make):
    text = with_options(
        "sheet_pattern='[0-9]{4}'", "range='B4:H'", "header_rows=2", "totals_label=[Total, Subtotal]",
        "hidden_rows=skip", "decimal=','",
    )  # fmt: skip
    assert problems(make, text) == []
    [sales] = [one for one in load_contracts(make(sales=text, item=ITEM)) if one.dataset == "sales"]
    place = sales.location
    assert (place.format, place.sheet_pattern, place.range, place.header_rows) == (
        "spreadsheet",
        "[0-9]{4}",
        "B4:H",
        2,
    )
    assert (place.totals_label, place.hidden_rows, place.decimal) == (("Total", "Subtotal"), "skip", ",")


@pytest.mark.parametrize("suffix", ["xls", "xlsx", "xlsm", "xlsb", "ods", "XLSX", "xlsx.gz", "zip", "tar.xz"])
def test_every_format_of_workbooks_is_one_format(make, suffix):
    assert problems(make, with_options(path="${INBOX}/sales_*." + suffix)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["range=B4"], "range: 'B4' is no range of cells: write e.g. B4:H200"),
        (["range='H4:B9'"], "is no range of cells"),
        (["range='A1:XFE9'"], "is no range of cells"),
        (["range='A9:B9'"], "is no range of cells"),
        (["range='B4:H9'", "table_anchor=Item"], "range and table_anchor answer the same question"),
        (["header_row=2", "table_anchor=Item"], "header_row and table_anchor answer the same question"),
        (["sheet=A", "sheet_position=2"], "sheet and sheet_position answer the same question"),
        (["sheet_position=0"], "whole number from 1 up"),
        (["sheet_pattern='('"], "is no regular expression"),
        (["hidden_rows=maybe"], "one of read, skip"),
        (["decimal=;"], "one of ., ,"),
        (["totals_label=7"], "has to be a list of at least one value"),
        (["delimiter=';'"], "it is for csv"),
    ],
)
def test_a_wrong_option_is_told(make, options, message):
    assert any(message in problem for problem in problems(make, with_options(*options)))


def test_ranges():
    assert read_range("B4:H200") == (1, 3, 7, 199)
    assert read_range("A1:XFD") == (0, 0, 16_383, None)
