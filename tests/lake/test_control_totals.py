"""What the source says a file holds: trailer records and control files, tied or refused."""

from dataclasses import replace

import pytest

from lake.contracts.linting import lint
from lake.contracts.model import Check, Column, Companion, ControlTotals, Figure, Trailer
from lake.quality.suites import contract_rules
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

ROWS, SUM = Figure("rows"), Figure("sum", "price")
TRAILED = ControlTotals(Trailer("TRL", (ROWS, SUM)))
BODY = HEADER + "A,1,2.50,\nB,2,1.10,\n"
CONTROL = "SELECT dataset, file_name, figure, expected, found, ties FROM lake.meta.control ORDER BY ALL"


def trailed(**changes):
    return contract(control_totals=TRAILED, **changes)


def test_a_trailer_is_no_data_and_ties(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY + "TRL,2,3.6\n")
    deliver(home, "sales_2.csv", BODY.replace("A", "C") + "TRL,2,3.60,\n\n")
    report = load(home, trailed())
    assert report.is_clean
    assert report.totals | {"rows_read": 4, "loaded": 4} == report.totals
    assert rows(home, CONTROL)[:2] == [
        ("sales", "sales_1.csv", "rows", "2", "2", True),
        ("sales", "sales_1.csv", "sum(price)", "3.6", "3.6", True),
    ]


def test_quarantined_rows_count_and_their_values_too(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY + "C,many,0.4,\nD,1,0.125,\nE,1,none,\nTRL,5,4.125\n")
    report = load(home, trailed())
    assert report.is_clean
    assert report.totals | {"rows_read": 5, "loaded": 2, "quarantined": 3} == report.totals


@pytest.mark.parametrize(
    ("trailer", "sentence"),
    [
        ("TRL,3,3.60\n", "rows is 2, the source says 3"),
        ("TRL,2,3.59\n", "sum(price) is 3.6, the source says 3.59"),
        ("TRL,2,all\n", "its control total sum(price) is 'all', which is no number"),
        ("TRL,2\n", "the trailer record does not have sum(price)"),
        ("", "the trailer record ('TRL') is not there as the last one, so the file was cut off"),
        ("TRL,2,3.60\nC,1,1,\n", "is not there as the last one"),
    ],
)
def test_a_file_that_does_not_tie_is_refused_whole(tmp_path, trailer, sentence):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY + trailer)
    deliver(home, "sales_2.csv", HEADER + "Z,1,1,\nTRL,1,1\n")
    report = load(home, trailed())
    assert [one.file_name for one in report.refused] == ["sales_1.csv"]
    assert sentence in report.refused[0].reason
    assert rows(home, "SELECT item_id FROM lake.raw.sales") == [("Z",)]
    if "is 2" in sentence:
        assert [row[-1] for row in rows(home, CONTROL) if row[1] == "sales_1.csv"].count(False) == 1
    deliver(home, "sales_1.csv", BODY + "TRL,2,3.6\n")
    assert load(home, trailed(), run_id="again").is_clean


def test_a_warning_loads_and_tells(tmp_path):
    home = company(tmp_path)
    totals = ControlTotals(
        Trailer("T.*", (None, ROWS, Figure("min", "quantity"), Figure("max", "quantity"))), severity="warn"
    )
    deliver(home, "sales_1.csv", BODY + "T1,x,3,1,2\n")
    report = load(home, contract(control_totals=totals))
    assert report.totals["loaded"] == 2
    assert report.is_clean
    assert [str(one) for one in report.files[0].control if not one.ties] == ["rows is 2, the source says 3"]
    assert report.control == {"figures": 3, "figures_not_tied": 1}


def test_a_sum_needs_every_row_taken_apart(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY + "C,1\nTRL,3,4.60\n")
    assert "sum(price) is 3.6, the source says 4.6" in load(home, trailed()).problems[0]


def companion(path="{stem}.ctl", **changes):
    figures = (("Lines", ROWS), ("Amount", SUM))
    return contract(control_totals=ControlTotals(companion=Companion(path, figures, **changes)))


def test_a_control_file_lies_beside_its_file(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    [waits] = load(home, companion()).problems
    assert "sales_1.csv came without its control file" in waits
    deliver(home, "sales_1.ctl", "Lines,Amount\n2,9.99\n")
    assert "sum(price) is 3.6, the source says 9.99" in load(home, companion()).problems[0]
    deliver(home, "sales_1.ctl", "Lines,Amount\n2,3.60\n")
    report = load(home, companion())
    assert report.is_clean
    assert report.totals["loaded"] == 2
    assert load(home, companion()).totals["files_skipped"] == 1


def test_one_control_file_for_all_files(tmp_path):
    home = company(tmp_path)
    made = companion("control.txt", delimiter=";", file_column="File")
    deliver(home, "sales_1.csv", BODY)
    deliver(home, "sales_2.csv", BODY.replace("A", "C"))
    deliver(home, "control.txt", "File;Lines;Amount\nsales_1.csv;2;3.60\n")
    [problem] = load(home, made).problems
    assert "sales_2.csv: its control file has 0 rows about it" in problem
    deliver(home, "control.txt", "File;Lines;Amount\nsales_1.csv;2;3.60\nsales_2.csv;2;3.6\n")
    assert load(home, made).is_clean


def test_totals_are_written_as_the_file_writes_numbers(tmp_path):
    home = company(tmp_path)
    local = trailed(location={"delimiter": ";", "decimal": ",", "thousands": "."})
    deliver(home, "sales_1.csv", "Item;Qty;Price;Day\nA;1;1.002,50;\nB;2;1,10;\nTRL;2;1.003,60\n")
    report = load(home, local)
    assert report.is_clean
    assert report.totals["loaded"] == 2


TOTALS = contract(
    "totals",
    (
        Column("day", "Day", "date", required=True, key=True),
        Column("lines", "Lines", "integer", required=True),
        Column("amount", "Amount", "number", precision=12, scale=2),
    ),
    location={"path": "${INBOX}/day_totals_*.csv"},
)
TIED = Check(
    "ties with the day's totals", "ties_with", dataset="totals", on=(("sold_on", "day"),),
    figures=(("lines", ROWS), ("amount", SUM)),
)  # fmt: skip


def untied(home, check=TIED):
    tied = contract(checks=(check,))
    (rule,) = [rule for rule in contract_rules(tied) if rule.check == check.name]
    assert "raw.totals" in rule.reads  # so that new totals are asked about
    return [finding for (finding,) in rows(home, rule.failing_sql)]


def test_one_control_file_tells_of_all_files_of_a_day(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", HEADER + "A,1,2.50,2026-01-01\nB,2,1.10,2026-01-01\n")
    deliver(home, "sales_2.csv", HEADER + "C,1,0.40,2026-01-01\nD,1,7.00,2026-01-02\nE,x,1.00,2026-01-02\n")
    deliver(home, "sales_3.csv", HEADER + "F,1,1.00,2026-01-03\nG,1,1.00,2026-01-05\nH,1,1.00,\n")
    deliver(
        home, "day_totals_1.csv", "Day,Lines,Amount\n2026-01-01,9,9.99\n2026-01-02,2,8.00\n2026-01-04,0,0\n"
    )
    deliver(home, "day_totals_2.csv", "Day,Lines,Amount\n2026-01-01,3,4.00\n2026-01-06,1,5\n")
    load(home, TOTALS, contract())
    assert (
        untied(home)
        == [  # the newer statement of the first day counts, and it ties; nothing was said and sold on the 4th
            "2026-01-02: rows is 1, the source says 2; sum(price) is 7.00, the source says 8.00",  # one is in quarantine
            "2026-01-03: rows is 1, the source says nothing; sum(price) is 1.00, the source says nothing",
            "2026-01-05: rows is 1, the source says nothing; sum(price) is 1.00, the source says nothing",
            "2026-01-06: rows is 0, the source says 1; sum(price) is 0.00, the source says 5.00",
        ]
    )
    # What the source has not told of yet is no finding: its statement of the day may come with the next delivery.
    deliver(home, "sales_4.csv", HEADER + "I,1,1.00,2026-01-09\n")
    load(home, TOTALS, contract(), run_id="later")
    assert len(untied(home)) == 4
    largest = replace(TIED, figures=(("amount", Figure("max", "price")),))
    assert untied(home, largest)[0] == "2026-01-01: max(price) is 2.50, the source says 4.00"


TIES = "{kind: ties_with, dataset: totals, on: {sold_on: day}, figures: {lines: rows, amount: sum(price)}}"
SAYS = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.NAME
version: 1.0.0
status: active
domain: erp
team: {name: tests}
servers:
  - {server: files, type: local, path: "${INBOX}/NAME.csv", format: csv}
schema:
  - name: NAME
    properties:
"""
COLUMNS = {
    "sales": "sold_on: timestamp, price: number, note: string", "totals": "day: date, lines: integer, amount: number"
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("dataset: totals", "dataset: total"), "there is no dataset 'total': did you mean totals?"),
        (("sold_on: day", "sold_on: amount"), "sold_on is timestamp and totals.amount is number"),
        (("sold_on: day", "sold_on: date"), "totals has no column 'date'"),
        (("sold_on: day", "sold: day"), "there is no column 'sold'"),
        (("lines: rows", "day: rows"), "totals has no column 'day' that is a number"),
        (("sum(price)", "sum(note)"), "note is string: a figure is of an integer or a number"),
        (("sum(price)", "mean(price)"), "'mean(price)' is no figure"),
        (("on: {sold_on: day}, ", ""), "ties_with needs `dataset`"),
        (("kind: ties_with", "kind: unique, columns: [price]"), "are for a check of kind ties_with"),
        (("", ""), None),
    ],
)
def test_a_tie_that_cannot_be_is_told_by_the_linter(tmp_path, change, sentence):
    home = company(tmp_path)
    home.contracts.mkdir(parents=True)
    for name, columns in COLUMNS.items():
        text = SAYS.replace("NAME", name)
        for one in columns.split(", "):
            column, kind = one.split(": ")
            digits = ", physicalType: 'DECIMAL(12,2)'" if kind == "number" else ""
            text += f"      - {{name: {column}, logicalType: {kind}{digits}}}\n"
        if name == "sales":
            text += f"    quality:\n      - {{name: ties, type: custom, engine: stocklake, severity: error, implementation: {TIES.replace(*change)}}}\n"
        (home.contracts / f"{name}.odcs.yaml").write_text(text)
    problems = [str(problem) for problem in lint(home)]
    assert problems == [] if sentence is None else any(sentence in problem for problem in problems), problems
