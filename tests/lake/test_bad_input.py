"""Each kind of bad input gives one sentence that says what, where and what to do, and harms no other file."""

import gzip
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from lake.connection import Lake
from lake.contracts.model import Column
from lake.contracts.reading import load_contracts
from lake.errors import ContractError
from lake.ingest import ingest, reference_order
from lake.landing import land
from lake.ledger import totals
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

GOOD = HEADER + "A1,1,2.50,2024-01-05\n"
BAD = {
    "empty": ("", "sales_bad.csv is empty: deliver it again with its header and rows, or remove it."),
    "header only": (HEADER, "sales_bad.csv has a header but no rows"),
    "blank lines only": ("\n\n\n", "sales_bad.csv has nothing on line 1, where its header should be"),
    "wrong delimiter": (GOOD.replace(",", ";"), "line 1 (header): the delimiter ',' is not there (it looks like a semicolon)"),
    "missing": ("Item,Price,Day\nA,1,2024-01-05\n", "the required column 'Qty' is missing"),
    "unknown": (GOOD.replace("Day", "Date"), "the column 'Date' is not in the contract"),
    "twice": ("Item,Qty,Price,Price\nA,1,1,1\n", "the column 'Price' is there twice"),
    "utf-16": (GOOD.encode("utf-16"), "the header holds NUL bytes, so the file is not utf-8 text"),
    "binary": (bytes(range(1, 256)) * 50, "sales_bad.csv, line 1 (header)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_and_its_neighbours_load(tmp_path, kind):
    content, sentence = BAD[kind]
    home = company(tmp_path)
    deliver(home, "sales_a.csv", GOOD)
    deliver(home, "sales_bad.csv", content)
    deliver(home, "sales_c.csv", GOOD.replace("A1", "A2"))
    report = load(home, contract())
    assert [one.file_name for one in report.refused] == ["sales_bad.csv"]
    assert sentence in report.refused[0].reason
    assert report.problems == [report.refused[0].reason]
    assert report.totals | {"rows_read": 2, "loaded": 2, "files_refused": 1} == report.totals
    assert rows(home, "SELECT _file, item_id FROM lake.raw.sales ORDER BY 1") == [
        ("sales_a.csv", "A1"),
        ("sales_c.csv", "A2"),
    ]
    assert rows(
        home, "SELECT status, rows_read FROM lake.meta.delivery WHERE file_name = 'sales_bad.csv'"
    ) == [("refused", 0)]
    again = load(home, contract(), run_id="again")
    assert (again.totals["files_refused"], again.totals["files_skipped"]) == (1, 2)
    assert totals(Lake.of(home))["files_refused"] == 1
    deliver(home, "sales_bad.csv", GOOD.replace("A1", "A3"))
    assert load(home, contract(), run_id="corrected").is_clean
    assert totals(Lake.of(home)) | {"loaded": 3, "files_refused": 0} == totals(Lake.of(home))


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_a_damaged_archive_is_refused_whole(tmp_path, suffix):
    home = company(tmp_path)
    compress = {"gz": gzip.compress, "xz": lzma.compress}[suffix]
    packed = compress((HEADER + "".join(f"A{i},1,2.50,2024-01-05\n" for i in range(5000))).encode())
    deliver(home, f"sales_1.csv.{suffix}", packed)
    deliver(home, f"sales_2.csv.{suffix}", packed[: len(packed) // 2])
    deliver(home, f"sales_3.csv.{suffix}", b"no archive at all")
    report = load(home, contract(location={"path": "${INBOX}/sales_*.csv." + suffix}))
    assert len(report.refused) == 2
    assert all("cannot be decompressed" in one.reason for one in report.refused)
    assert report.totals["loaded"] == 5000


def test_a_large_file_that_breaks_off_in_the_middle_leaves_nothing(tmp_path):
    home, size = company(tmp_path), 600_000
    packed = gzip.compress((HEADER + f"A{size},1,2.50,2024-01-05\n" * size).encode(), 1)
    deliver(home, "sales_1.csv.gz", packed)
    deliver(home, "sales_2.csv.gz", packed[:-20])
    deliver(home, "sales_3.csv.gz", gzip.compress(GOOD.encode()))
    report = load(home, contract(location={"path": "${INBOX}/sales_*.csv.gz"}))
    assert [one.file_name for one in report.refused] == ["sales_2.csv.gz"]
    assert rows(home, "SELECT _file, count(*) FROM lake.raw.sales GROUP BY ALL ORDER BY 1") == [
        ("sales_1.csv.gz", size),
        ("sales_3.csv.gz", 1),
    ]
    assert rows(home, "SELECT count(*) FROM lake.meta.quarantine") == [(0,)]


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", GOOD)
    broken = deliver(home, "sales_2.csv", GOOD)
    original = Path.open

    def denied(self, *arguments, **options):
        if self == broken:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    report = load(home, contract())
    assert "sales_2.csv cannot be read or kept (Permission denied" in report.refused[0].reason
    assert report.totals["loaded"] == 1


def test_a_dataset_that_never_arrived_is_told_unless_it_is_optional(tmp_path):
    home = company(tmp_path)
    report = load(home, contract("sales"), contract("extra", optional=True))
    assert len(report.errors) == 1
    assert "No file of sales has ever arrived" in str(report.errors[0])
    assert str(home.inbox / "sales*.csv") in str(report.errors[0])
    deliver(home, "sales.csv", GOOD)
    assert load(home, contract("sales")).is_clean
    (home.inbox / "sales.csv").unlink()
    assert load(home, contract("sales")).is_clean


def test_contracts_that_cannot_be_loaded_raise_before_anything_is_written(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales.csv", GOOD)
    refers = replace(contract().columns[0], references="item.item_id")
    unknown = contract(location={"path": "${NOWHERE}/sales.csv"})
    with pytest.raises(ContractError, match=r"there is no variable \$\{NOWHERE\}"):
        ingest(home, [unknown], run_id="run")
    item = contract("item", (Column("item_id", "Item", "string", references="sales.item_id"),))
    with pytest.raises(ContractError, match="in a circle"):
        reference_order([item, contract(columns=(refers,))])
    with pytest.raises(ContractError, match="no variable"):
        land(home, unknown)
    assert rows(
        home, "SELECT count(*) FROM information_schema.tables WHERE table_schema IN ('raw', 'meta')"
    ) == [(0,)]


UNSOUND = {
    "upsert needs a key: mark the key columns with `primaryKey: true`": (
        "    properties:", "    customProperties: [{property: write_mode, value: upsert}]\n    properties:"),
    "there is no dataset 'item': known are sales": (
        "logicalType: string", "logicalType: string\n        relationships: [{to: item.item_id}]"),
    "'utf-99' is no encoding: write e.g. utf-8": ("format: csv", "format: csv\n    encoding: utf-99"),
    "is no regular expression": ("logicalType: string", "logicalType: string\n        logicalTypeOptions: {pattern: '['}"),
    "%Q": ("logicalType: string", "logicalType: date\n        logicalTypeOptions: {format: '%Q'}"),
}  # fmt: skip
YAML = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.sales
version: 1.0.0
status: active
domain: erp
team: {name: tests}
servers:
  - server: files
    type: local
    path: ${INBOX}/sales.csv
    format: csv
schema:
  - name: sales
    properties:
      - name: item_id
        logicalType: string
"""


@pytest.mark.parametrize("sentence", UNSOUND)
def test_what_a_contract_has_wrong_is_told_with_its_line_before_it_is_used(tmp_path, sentence):
    home = company(tmp_path)
    home.contracts.mkdir(parents=True)
    (home.contracts / "sales.odcs.yaml").write_text(YAML)
    assert [one.dataset for one in load_contracts(home)] == ["sales"]
    (home.contracts / "sales.odcs.yaml").write_text(YAML.replace(*UNSOUND[sentence]))
    with pytest.raises(ContractError, match=r"sales\.odcs\.yaml, line \d+, ") as error:
        load_contracts(home)
    assert sentence in str(error.value)


def test_a_changed_type_is_a_contract_error_and_a_new_column_is_added(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", GOOD)
    load(home, contract())
    wider = contract(columns=(*contract().columns, Column("note", "Note", "string")))
    deliver(home, "sales_2.csv", "Note,Item,Qty,Price,Day\nhello,A2,1,2.50,2024-01-05\n")
    load(home, wider)
    assert rows(home, "SELECT item_id, note FROM lake.raw.sales ORDER BY 1") == [
        ("A1", None),
        ("A2", "hello"),
    ]
    changed = (contract().columns[0], Column("quantity", "Qty", "number", scale=2), *contract().columns[2:])
    deliver(home, "sales_3.csv", GOOD.replace("A1", "A3"))
    with pytest.raises(ContractError, match="column 'quantity': its type is DECIMAL"):
        load(home, contract(columns=changed))
