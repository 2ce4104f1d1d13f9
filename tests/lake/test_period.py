"""Ranges of days (a backfill), and two processes that fetch from one source."""

from dataclasses import replace
from datetime import date
from functools import partial

import pytest

from benchmarks.crash_loader import Journal, JournalSettings
from lake.connection import Lake
from lake.contracts.model import Column
from lake.contracts.source_settings import KINDS
from lake.errors import InputError
from lake.ingest import ingest
from lake.ledger import position
from lake.period import Period
from lake.sources.port import Arrival
from tests.lake.loading_kit import HEADER, company, contract, deliver, rows

EVENTS = (
    Column("event_id", "event_id", "string", required=True, key=True),
    Column("quantity", "quantity", "integer", required=True),
)


@pytest.mark.parametrize(
    ("name", "is_held"),
    [
        ("sales_2026-02.csv", True),
        ("sales_202602.csv", True),
        ("sales_20260203.csv", True),
        ("sales_20260204.csv", False),
        ("2026/sales_2026-01-30.csv", False),
        ("item_1234567.csv", False),
        ("item.csv", False),
        ("v2026-13_sales_2026-02-01.csv", True),
    ],
)
def test_a_file_is_of_the_days_in_its_name(name, is_held):
    assert Period(date(2026, 1, 31), date(2026, 2, 3)).holds(name) is is_held


def test_a_range_that_is_none_is_told():
    for since, until in (("2026-02-30", None), (None, "yesterday"), ("2026-02-02", "2026-02-01")):
        with pytest.raises(InputError):
            Period.parse(since, until)
    assert Period.parse(None, None) is None
    assert str(Period.parse("2026-01-01", None)) == "2026-01-01 to today"


def test_only_files_of_the_range_load_and_the_rest_comes_later(tmp_path):
    home = company(tmp_path)
    for day in range(1, 6):
        deliver(home, f"sales_2026-01-0{day}.csv", HEADER + f"A{day},1,2.50,2026-01-0{day}\n")
    report = ingest(home, [contract()], run_id="some", period=Period.parse("2026-01-02", "2026-01-03"))
    assert report.is_clean
    assert rows(home, "SELECT item_id FROM lake.raw.sales ORDER BY 1") == [("A2",), ("A3",)]
    assert ingest(home, [contract()], run_id="all").totals["loaded"] == 3


class Ranged(Journal):
    def between(self, period):
        path = self.folder / "again.csv"
        path.write_text(f"event_id,quantity\nE0,0\nR{period.first},1\n", encoding="utf-8")
        yield Arrival(f"again-{period.first}.csv", path, {"offset": 7})


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A company with a journal of ten events, read in batches of four."""
    monkeypatch.setattr("benchmarks.crash_loader.BATCH_ROWS", 4)
    home = company(tmp_path)
    path = tmp_path / "journal.txt"
    path.write_text("".join(f"E{i},{i}\n" for i in range(10)), encoding="utf-8")
    source = JournalSettings(kind="journal", journal=str(path))
    return home, contract("journal", EVENTS, location={"path": ""}, source=source, write_mode="upsert")


def test_a_range_is_fetched_again_and_leaves_the_position(journal, monkeypatch):
    home, journal_contract = journal
    assert ingest(home, [journal_contract], run_id="first").is_clean
    period = Period.parse("2026-01-01", "2026-01-02")
    report = ingest(home, [journal_contract], run_id="backfill", period=period)
    assert report.problems == [
        "journal.odcs.yaml: a source of kind journal cannot be asked for a range of days, because it brings what is new only:"
        " leave its dataset out with --dataset."
    ]
    monkeypatch.setitem(
        KINDS, "journal", (f"{JournalSettings.__module__}:JournalSettings", f"{__name__}:Ranged")
    )
    report = ingest(home, [journal_contract], run_id="backfill", period=period)
    assert (report.totals["loaded"], report.totals["unchanged"]) == (1, 1)
    assert position(Lake.of(home), "journal") == {"offset": 10}


def test_a_fetcher_that_is_overtaken_stops_and_sets_no_position_back(journal, monkeypatch):
    home, journal_contract = journal
    fetch = Journal.deliveries
    acknowledged = []

    def slow(self, since):
        for number, arrival in enumerate(fetch(self, since)):
            if number == 1:
                content = arrival.path.read_bytes()
                monkeypatch.setattr(Journal, "deliveries", fetch)
                assert ingest(home, [journal_contract], run_id="faster").totals["loaded"] == 6
                arrival.path.write_bytes(content)
            yield replace(arrival, acknowledge=partial(acknowledged.append, arrival.position))

    monkeypatch.setattr(Journal, "deliveries", slow)
    report = ingest(home, [journal_contract], run_id="slow")
    assert [file.status for file in report.files] == ["loaded", "overtaken"]
    assert report.is_clean
    assert report.totals["rows_read"] == 4
    assert position(Lake.of(home), "journal") == {"offset": 10}
    assert acknowledged == [{"offset": 4}]
    assert rows(home, "SELECT count(*), count(DISTINCT event_id) FROM lake.raw.journal") == [(10, 10)]
    assert rows(home, "SELECT count(*) FROM lake.meta.delivery WHERE status = 'overtaken'") == [(0,)]
    assert ingest(home, [journal_contract], run_id="next").files == []
