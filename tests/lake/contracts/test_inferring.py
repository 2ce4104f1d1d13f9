"""A proposed contract lints clean as it stands, and every row that it was proposed from loads under it."""

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from typer.testing import CliRunner

from lake.company import Company
from lake.contracts.inferring import infer
from lake.contracts.linting import examine
from lake.contracts.model import Contract
from lake.contracts.writing import write_contract
from lake.errors import FileRefused
from lake.sources.conforming import conform
from lake.sources.readers import reader
from orchestration.cli import app
from tests.lake.loading_kit import DATA
from tests.lake.loading_kit import company as new_company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return new_company(tmp_path)


def accepted(company: Company, path: Path, dataset: str = "proposed") -> tuple[Contract, str]:
    """Return the contract proposed for a file, as the company that takes it over reads it, and its text."""
    text = write_contract(infer(path, dataset))
    company.contracts.mkdir(parents=True, exist_ok=True)
    (company.contracts / f"{dataset}.odcs.yaml").write_text(text)
    contracts, problems = examine(company)
    assert problems == []
    return next(one for one in contracts if one.dataset == dataset), text


def load(contract: Contract, path: Path) -> pl.DataFrame:
    """Return every row of a file under its contract; none may be refused."""
    frames = []
    for block in reader(contract)(path, path.name, contract):
        result = conform(block, contract, {})
        assert result.refused.height == 0, result.refused.rows()[:2]
        frames.append(result.good)
    return pl.concat(frames)


def sales(rows: int = 200) -> list[list[str]]:
    chance = random.Random(5)
    return [
        [
            f"{i // 3 + 1:06d}", str(i % 3 + 1), (date(2024, 1, 1) + timedelta(i % 40)).strftime("%d/%m/%Y"),
            str(chance.randint(-3, 400)), f"{chance.random() * 900:.2f}", chance.choice(["web", "shop"]), chance.choice("YN"),
            chance.choice(["", "12.5", "3"]), f"p{i}@example.org", (date(2024, 1, 1) + timedelta(i % 9)).strftime("%m/%d/%Y 07:%M"),
        ]
        for i in range(rows)
    ]  # fmt: skip


HEADER = [
    "Order No",
    "Line",
    "Order date",
    "Qty",
    "Unit price (EUR)",
    "Channel",
    "Express",
    "Weight kg",
    "Contact",
    "order",
]


def write(path: Path, table: list[list[str]], delimiter: str = ",", **options: str) -> Path:
    path.write_text("".join(delimiter.join(row) + "\n" for row in table), **options)  # type: ignore[arg-type]
    return path


def test_a_sales_file_is_understood(company, tmp_path):
    path = write(tmp_path / "sales_2024-03-01.csv", [HEADER, *sales()], ";", encoding="cp1252")
    contract, text = accepted(company, path)
    columns = {column.name: column for column in contract.columns}
    assert contract.location.path == "${INBOX}/sales_*.csv"
    assert contract.location.delimiter == ";"
    assert {name: column.type for name, column in columns.items()} == {
        "order_no": "string", "line": "integer", "order_date": "date", "qty": "integer", "unit_price_eur": "number", "channel": "string",
        "express": "boolean", "weight_kg": "number", "contact": "string", "order_name": "timestamp",
    }  # fmt: skip
    assert contract.keys == ("order_no", "line")
    assert columns["order_date"].format == "%d/%m/%Y"
    assert contract.business_date == "order_date"
    assert (columns["qty"].minimum, columns["qty"].maximum, columns["qty"].unit) == (-10, 1000, "units")
    assert (columns["unit_price_eur"].scale, columns["unit_price_eur"].unit) == (2, "EUR")
    assert columns["channel"].allowed == ("shop", "web")
    assert columns["express"].format == "Y/N"
    assert not columns["weight_kg"].required
    assert (columns["contact"].pii, columns["contact"].pii_action) == ("personal", "hash")
    assert "looking at all of its 200 rows" in text
    frame = load(contract, path)
    assert frame.height == 200
    assert frame["unit_price_eur"][0] == Decimal(sales()[0][4])


def test_day_and_month_are_told_by_evidence_or_flagged(company, tmp_path):
    table = [["Ref", "due", "made"], *[[f"A{i}", f"0{i % 9 + 1}/0{i % 7 + 1}/2024", "1"] for i in range(60)]]
    proposal = write_contract(infer(write(tmp_path / "a.csv", table)))
    assert "AMBIGUOUS: %m/%d/%Y fits every value as well" in proposal
    for row in table[1:]:
        row[2] = f"03/{int(row[0][1:]) % 28 + 1:02d}/2024"
    contract, text = accepted(company, write(tmp_path / "b.csv", table))
    assert contract.column("due").format == "%m/%d/%Y"
    assert "AMBIGUOUS" not in text


def test_local_decimals_and_words_for_nothing(company, tmp_path):
    table = [["Artikel", "Preis", "Gewicht"], *[[f"{i:04d}", f"{i},{i % 90 + 10}" if i < 1000 else f"1.{i - 1000:03d},50", "n/a" if i % 5 else "1,5"] for i in range(950, 1100)]]  # fmt: skip
    path = write(tmp_path / "preise.csv", table, ";")
    contract, _ = accepted(company, path)
    assert (contract.location.decimal, contract.location.thousands) == (",", ".")
    frame = load(contract, path)
    assert frame["preis"].max() == Decimal("1099.50")
    assert frame["gewicht"].drop_nulls().unique().to_list() == [Decimal("1.5")]


def test_local_decimals_typed_as_text_in_a_workbook(company, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Artikel", "Preis"])
    for i in range(60):
        book.active.append([f"A{i}", f"1.{i + 100},50"])
    path = tmp_path / "preise.xlsx"
    book.save(path)
    contract, _ = accepted(company, path)
    assert (contract.location.decimal, contract.column("preis").type) == (",", "number")
    assert load(contract, path)["preis"].max() == Decimal("1159.50")


def test_headerless_titled_and_odd_headers(company, tmp_path):
    bare = write(
        tmp_path / "bare.txt", [[str(i), f"2024-01-{i % 28 + 1:02d}", f"{i}.5"] for i in range(90)], "\t"
    )
    contract, _ = accepted(company, bare)
    assert (contract.location.header, contract.location.delimiter) == ("none", "\t")
    assert load(contract, bare).height == 90
    odd = [["2nd #", "select", "Größe", "größe", "", "'; drop table x"], *[[str(i)] * 6 for i in range(70)]]
    titled = write(tmp_path / "titled.csv", [["Sales"], *odd], encoding="utf-8")
    contract, _ = accepted(company, titled, "titled")
    assert contract.location.header_row == 2
    assert len({column.name for column in contract.columns}) == 6


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet", ".jsonl", ".json"])
def test_other_formats(company, tmp_path, suffix):
    path = tmp_path / f"stock{suffix}"
    frame = pl.DataFrame(
        {
            "Item": [f"I{i:03d}" for i in range(80)],
            "units": range(80),
            "day": [date(2024, 1, 1) + timedelta(i) for i in range(80)],
        }
    )
    if suffix == ".xlsx":
        book = openpyxl.Workbook()
        book.active.append(frame.columns)
        for row in frame.rows():
            book.active.append(row)
        book.save(path)
    elif suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        path.write_text('{"data": ' + frame.with_columns(pl.col("day").cast(pl.String)).write_json() + "}")
    contract, _ = accepted(company, path)
    assert [column.type for column in contract.columns] == ["string", "integer", "date"]
    assert contract.keys == ("item",)
    assert load(contract, path).height == 80


def test_a_broken_line_among_json_lines_does_not_hide_the_others(company, tmp_path):
    path = tmp_path / "feed.jsonl"
    lines = [f'{{"id": "I{n}", "at": {{"hub": "H{n % 3}"}}}}' for n in range(60)]
    path.write_text("\n".join([*lines, "HTTP 502 Bad Gateway", "[1]"]) + "\n")
    proposal = infer(path)
    assert "# Note: 2 of 62 lines are no JSON object.\n" in write_contract(proposal)
    assert [guess.column.name for guess in proposal.guesses] == ["id", "at_hub"]
    path.write_text("\n".join([lines[0], "no object", "nor this"]))
    with pytest.raises(FileRefused, match="is no jsonl file"):
        infer(path)


def test_the_sheet_of_a_workbook_is_chosen(company, tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Orders"
    rates = book.create_sheet("Rates")
    for n in range(80):
        book.active.append(["order", "units"] if n == 0 else [f"O{n}", n])
    for n in range(20):
        rates.append(["lane", "rate"] if n == 0 else [f"L{n}", n + 0.5])
    book.save(tmp_path / "book.xlsx")
    for sheet, headers in ((None, ("order", "units")), ("Rates", ("lane", "rate"))):
        proposal = infer(tmp_path / "book.xlsx", sheet=sheet)
        assert proposal.sample.headers == headers
    assert 'value: "Rates"' in write_contract(proposal)
    with pytest.raises(FileRefused, match=r"no sheet 'rates' with a table: did you mean Rates\?"):
        infer(tmp_path / "book.xlsx", sheet="rates")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileRefused, match="is no workbook"):
        infer(tmp_path / "a.csv", sheet="Rates")


def test_rows_of_totals_are_told_by_their_label_and_codes_are_no_money(company, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["item", "place", "units"])
    for n in range(60):
        book.active.append([f"ITM-{n % 9:04d}", f"DC-{n % 3}", n])
        if n % 30 == 29:
            book.active.append(["Subtotal", None, 1_000])
    book.active.append([None, "TOTAL:", 2_000])
    book.save(tmp_path / "count.xlsx")
    proposal = infer(tmp_path / "count.xlsx")
    assert (
        "totals_label",
        ["Subtotal", "TOTAL:"],
        "3 rows begin so and are no data",
    ) in proposal.sample.options
    assert proposal.sample.text.height == 60
    written = write_contract(proposal)
    assert 'value: ["Subtotal", "TOTAL:"]' in written
    assert "money" not in written


def test_large_files_are_sampled_all_over(company, tmp_path, monkeypatch):
    monkeypatch.setattr("lake.sources.sampling.WHOLE_BYTES", 4_000)
    path = write(tmp_path / "large.csv", [["id", "qty"], *[[f"{i:06d}", str(i)] for i in range(5_000)]])
    proposal = infer(path)
    assert not proposal.sample.is_whole
    assert proposal.sample.text["0"].max() > "004900"
    assert "a part of it" in write_contract(proposal)
    contract, _ = accepted(company, path)
    assert load(contract, path).height == 5_000


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".json", ".jsonl", ".zip"])
@pytest.mark.parametrize("content", [b"\xff\xd8\x00\x01" * 50, b"[1, 2]\n[3]\n", b'{"a": ' * 3000])
def test_what_is_no_table_is_refused_or_proposed_soundly(company, tmp_path, suffix, content):
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    try:
        accepted(company, path)
    except FileRefused as error:
        assert str(error).endswith(".")


def test_nasty_names_stay_within_their_quotes(company, tmp_path):
    nasty = [
        'a": {b',
        "x\ty: [",
        "#{c}",
        "n" * 10_000,
        "${INBOX}",
        "'; drop table sales; --",
        "\u2028",
        "&a *b",
    ]
    path = write(tmp_path / "a $(b) {c} 2024.csv", [nasty, *[[str(i)] * len(nasty) for i in range(60)]], "|")
    contract, _ = accepted(company, path)
    assert [column.source_name for column in contract.columns][:6] == nasty[:6]
    assert all(len(column.name) < 64 for column in contract.columns)


def test_the_command(tmp_path):
    path = write(tmp_path / "sales.csv", [HEADER, *sales(30)])
    out = tmp_path / "sales.odcs.yaml"
    result = CliRunner().invoke(app, ["contract", "infer", str(path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_text().startswith("# Proposed from sales.csv")
    again = CliRunner().invoke(app, ["contract", "infer", str(path), "--out", str(out)])
    assert again.exit_code != 0
    for content in (b"", b"a,b\n"):
        path.write_bytes(content)
        with pytest.raises(FileRefused, match="rows"):
            infer(path)
    with pytest.raises(FileRefused, match="is no file"):
        infer(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    "name",
    [
        "scms/SCMS_Delivery_History_Dataset.csv.xz",
        "signals/KCLT.csv",
        "m5/calendar.csv",
        "walmart_recruiting/stores.csv",
    ],
)
def test_real_files(company, name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no such file in the data folder (STOCKLAKE_DATA): {name}")
    contract, _ = accepted(company, path)
    assert load(contract, path).height > 40
