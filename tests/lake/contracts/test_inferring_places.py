"""Contracts proposed for XML and for fixed-width text: they lint clean, and every row that they were proposed from loads."""

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.company import Company
from lake.contracts.inferring import infer
from lake.errors import FileRefused
from lake.sources.placing import find_places
from tests.lake.contracts.test_inferring import accepted, load
from tests.lake.loading_kit import company as new_company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return new_company(tmp_path)


def order(number: int, lines: int = 2) -> str:
    parts = "".join(f"<Line no='{i}'><Item>A{i}</Item></Line>" for i in range(lines))
    note = f"<Note>{escape('a < b & c')}</Note>" if number % 2 else ""
    return (
        f"<o:Order id='{number:06d}'><Placed>2024-01-{number % 28 + 1:02d}</Placed><Customer><Name>C{number % 7}</Name>"
        f"<City>Hull</City></Customer><Total currency='EUR'>{number}.50</Total>{note}<Lines>{parts}</Lines></o:Order>"
    )


def document(*orders: str, more: str = "") -> str:
    head = "<?xml version='1.0' encoding='UTF-8'?><Export xmlns:o='urn:o'><Sent><By>x</By></Sent>"
    return f"{head}<Orders>{''.join(orders)}</Orders>{more}</Export>"


def test_the_elements_that_repeat_are_the_rows_of_an_xml_document(company: Company, tmp_path: Path) -> None:
    path = tmp_path / "orders_2024-01-31.xml"
    path.write_text(document(*(order(i) for i in range(1, 101))))
    contract, text = accepted(company, path)
    assert (contract.location.format, contract.location.record_path) == ("xml", "Orders/Order")
    columns = {column.source_name: column for column in contract.columns}
    assert set(columns) == {
        "@id",
        "Placed",
        "Customer/Name",
        "Customer/City",
        "Total",
        "Total/@currency",
        "Note",
    }
    assert columns["@id"].type == "string"  # 000001 keeps its zeros
    assert columns["@id"].key
    assert (columns["Placed"].type, columns["Placed"].required) == ("date", True)
    assert (columns["Total"].type, columns["Total"].scale, columns["Note"].required) == ("number", 2, False)
    assert contract.location.other_fields == "ignore"
    assert "Orders/Order/Lines/Line stands several times in a row, 200 times in all" in text
    rows = load(contract, path)
    assert rows.height == 100
    assert rows[columns["Total"].name].sum() == Decimal("5100.00")


def test_rows_at_the_top_of_a_document_and_the_most_of_several_lists(
    company: Company, tmp_path: Path
) -> None:
    path = tmp_path / "items.xml"
    path.write_text("<Items><Item><Code>1</Code></Item><Item><Code>2</Code></Item></Items>")
    assert accepted(company, path)[0].location.record_path == "Item"
    contacts = "<Contacts><Contact><Name>n</Name></Contact><Contact><Name>m</Name></Contact></Contacts>"
    path.write_text(document(order(1), order(2), order(3), more=contacts))
    assert infer(path).sample.options[0][1] == "Orders/Order"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<a><b>1</b></a>", "repeats no element"),
        ("<a><b>1</b>", "cannot be read"),
        (
            "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a><b><c>&e;</c></b><b><c>1</c></b></a>",
            "declares entities",
        ),
        (
            "<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'><!ENTITY y '&x;&x;&x;&x;'>]><a><b><c>&y;</c></b><b><c>1</c></b></a>",
            "declares entities",
        ),
        ("<a><b/><b/></a>", "hold no values"),
        ("", "cannot be read"),
    ],
)
def test_a_document_that_has_no_rows_or_plays_tricks_is_refused(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "a.xml"
    path.write_text(content)
    with pytest.raises(FileRefused, match=sentence):
        infer(path)


def stock(rows: int) -> list[tuple[str, str, str, str]]:
    chance = random.Random(7)
    return [
        (f"A{i:04d}", chance.choice(["Steel bolt", "Nut", "Oak desk, large"]), str(chance.randint(-5, 12_000)),
         (date(2024, 1, 1) + timedelta(i % 60)).isoformat())
        for i in range(rows)
    ]  # fmt: skip


def lines(rows: list[tuple[str, str, str, str]]) -> list[str]:
    return [f"{code:<6}{name:<17}{units:>7}  {day}" for code, name, units, day in rows]


@pytest.mark.parametrize("has_header", [True, False])
def test_columns_of_fixed_width_are_told_by_the_blanks_between_them(
    company: Company, tmp_path: Path, has_header: bool
) -> None:
    rows = stock(80)
    head = [f"{'Code':<6}{'Item name':<17}{'On hand':>7}  {'Day':<10}"] if has_header else []
    path = tmp_path / "stock_0131.txt"
    path.write_bytes("\r\n".join([*head, *lines(rows)]).encode())
    contract, text = accepted(company, path)
    assert (contract.location.format, contract.location.header_lines) == ("fixed_width", int(has_header))
    assert [(column.start, column.width) for column in contract.columns] == [
        (1, 6),
        (7, 15),
        (22, 11),
        (33, 10),
    ]
    assert [column.type for column in contract.columns] == ["string", "string", "integer", "date"]
    if has_header:
        assert [column.name for column in contract.columns] == ["code", "item_name", "on_hand", "day"]
    assert "told by the blanks between them" in text
    loaded = load(contract, path)
    assert loaded.height == 80
    assert loaded.select(contract.columns[2].name).to_series().to_list() == [int(row[2]) for row in rows]
    # A wider number than any that was seen stands in the blanks before it, and still is read whole.
    path.write_text("\n".join([*head, f"{'B1':<6}{'Nut':<17}{'1234567':>7}  2024-03-01"]))
    widened = contract.columns[2]
    assert widened.maximum is None or widened.maximum < 1234567


def test_a_control_record_among_the_lines_is_told(company: Company, tmp_path: Path) -> None:
    path = tmp_path / "stock.txt"
    path.write_text("\n".join(["HDR20240131", *lines(stock(40)), "TRL0040"]))
    contract, text = accepted(company, path)
    assert contract.location.header_lines == 1
    assert "1 lines have another length and would be quarantined, e.g. 'TRL0040'" in text


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(
        st.lists(st.text("abcXYZ019.-", min_size=1, max_size=8), min_size=3, max_size=3),
        min_size=4,
        max_size=30,
    )
)
def test_what_is_cut_at_the_places_is_what_was_written(cells: list[list[str]]) -> None:
    """Whatever the widths and sides: values without blanks, columns a blank apart, come back as they were."""
    written = [f"{a:<9}{b:>9} {c:<8}" for a, b, c in cells]
    found = find_places("\n".join(written))
    assert found is not None
    rows = [found.titles, *found.rows] if found.titles else found.rows
    assert ["".join(row) for row in rows] == ["".join(row) for row in cells]
    assert all(start > 0 and width > 0 for start, width in found.places)


@pytest.mark.parametrize(
    "text", ["", "a b\n", "a,b\nc,d\ne,f\n", "abc\ndef\nghi\n", "a b\nlonger line\nc\nd e f g\n"]
)
def test_what_is_no_fixed_width_is_left_alone(text: str) -> None:
    assert find_places(text) is None


def test_padded_csv_stays_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "".join(f"{code:<6},{name:<17},{units:>7},{day}\n" for code, name, units, day in stock(30)).replace(
            "desk, ", "desk "
        )
    )
    assert infer(path).sample.format == "csv"
