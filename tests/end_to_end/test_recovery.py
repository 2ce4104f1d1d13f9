"""What is wrong with the example company's exports is found, row by row, and nothing else is; five seeds."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from lake.connection import Lake
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from lake.ledger import totals
from tests.companies.deliveries import datasets
from tests.end_to_end.house import House, make_house

SIZES = {"items": 24, "stores": 3, "centres": 2, "suppliers": 6, "days": 130, "sales_lines": 5_000, "dirt": 6}
KINDS = 39
"""Kinds of bad rows in the table of the company's README, and the line that is cut off."""


@pytest.fixture(scope="module", params=[1, 2, 3, 4, 5], ids="seed {}".format)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = make_house(tmp_path_factory.mktemp("recovery"), exports=SIZES | {"seed": request.param})
    company = house.company
    company.prepare()
    report = ingest(company, load_contracts(company), run_id="recovery")
    assert report.is_clean, report.problems
    return house


def bad_rows(house: House) -> list[dict]:
    rows = house.truth("bad_rows").with_columns(pl.col("file").str.split("/").list.last())
    return list(rows.iter_rows(named=True))


def test_every_seeded_row_is_in_quarantine_by_its_rule_and_no_good_row_is(loaded: House) -> None:
    rows = bad_rows(loaded)
    by_air = any(loaded.company.inbox.glob("logistics/carrier_event_*"))  # not every small world ships by air
    assert len({(row["dataset"], row["kind"]) for row in rows}) == (KINDS if by_air else KINDS - 2)
    expected = {
        (row["dataset"], row["file"], row["line"]): row["expected_rule"]
        for row in rows
        if row["expected_outcome"] == "quarantined"
    }
    query = "SELECT dataset, file_name, line, rules, columns, messages, raw_text FROM lake.meta.quarantine"
    found = {row[:3]: row[3:] for row in loaded.ask(query)}
    assert found.keys() == expected.keys()
    for place, rule in expected.items():
        rules, columns, messages, raw_text = found[place]
        assert rule in rules, (place, rules)
        assert len(rules) == len(columns) == len(messages)
        assert raw_text


def test_every_other_row_is_loaded_once_from_its_own_line(loaded: House) -> None:
    """Every line of every file is loaded, quarantined or a duplicate of a row that is loaded; none is two of these."""
    refused = set(loaded.ask("SELECT dataset, file_name, line FROM lake.meta.quarantine"))
    doubled = Counter(row["dataset"] for row in bad_rows(loaded) if row["expected_outcome"] == "duplicate")
    for name, dataset in datasets(loaded.company.inbox).items():
        if not dataset.files:
            continue
        lines = {(name, file, line) for file, line, _ in dataset.rows()}
        stands = loaded.ask(f"SELECT '{name}', _file, _line FROM lake.raw.{name}")
        assert len(stands) == len(set(stands)), name
        assert not set(stands) & refused, name
        assert set(stands) <= lines, name
        left_over = lines - set(stands) - refused
        assert len(left_over) == doubled[name], name


def test_what_is_left_over_repeats_a_row_that_is_loaded(loaded: House) -> None:
    expected = {
        (row["file"], row["line"]): row["dataset"]
        for row in bad_rows(loaded)
        if row["expected_outcome"] == "duplicate"
    }
    sets = datasets(loaded.company.inbox)
    for name in sorted(set(expected.values())):
        stands = set(loaded.ask(f"SELECT _file, _line FROM lake.raw.{name}"))
        texts = {
            (file, line): tuple(sorted((fields or {}).items())) for file, line, fields in sets[name].rows()
        }
        whole = {texts[place] for place in stands}
        for place, owner in expected.items():
            if owner == name:
                assert texts[place] in whole, place


def test_the_ledger_counts_what_the_truth_counts(loaded: House) -> None:
    counts = totals(Lake.of(loaded.company))
    outcomes = Counter(row["expected_outcome"] for row in bad_rows(loaded))
    assert counts["quarantined"] == outcomes["quarantined"]
    assert counts["duplicate"] == outcomes["duplicate"]
    assert counts["files_refused"] == 0
    parts = ("loaded", "quarantined", "duplicate", "unchanged")
    assert counts["rows_read"] == sum(counts[part] for part in parts)
    per_file = "SELECT count(*) FROM lake.meta.delivery WHERE rows_read <> loaded + quarantined + duplicate + unchanged"
    assert loaded.ask(per_file) == [(0,)]


def test_a_file_that_is_sent_again_is_recognised(loaded: House) -> None:
    files = loaded.truth("bad_files").filter(pl.col("kind") == "duplicate_delivery")["file"].to_list()
    assert len(files) == 3
    for file in files:
        again = Path(file).name
        first = again.replace("_resent", "")
        pair = "SELECT file_name, status, rows_read FROM lake.meta.delivery WHERE file_name IN (?, ?)"
        with Lake.of(loaded.company).read() as connection:
            found = {row[0]: row[1:] for row in connection.execute(pair, [first, again]).fetchall()}
        assert found.keys() == {first, again}
        # Whichever comes first by name is loaded; the other adds nothing.
        assert sorted(status for status, _ in found.values()) == ["duplicate_delivery", "loaded"]
        assert [rows for status, rows in found.values() if status == "duplicate_delivery"] == [0]


def test_late_corrections_leave_the_right_version_newest(loaded: House) -> None:
    wrong = {(row["file"], row["line"]) for row in bad_rows(loaded) if row["expected_outcome"] == "corrected"}
    assert wrong
    newest = loaded.ask(
        "SELECT _file, _line, order_id, order_line FROM lake.raw.sales_order_line"
        " QUALIFY row_number() OVER (PARTITION BY order_id, order_line ORDER BY _known_at DESC) = 1"
    )
    assert not wrong & {row[:2] for row in newest}
    true = pl.read_parquet(loaded.home / "example" / "truth" / "sales_order_line.parquet")
    assert {row[2:] for row in newest} == set(true.select("order_id", "order_line").iter_rows())


def test_the_missing_day_is_a_warning_that_names_it_and_the_release_is_made(own_home: House) -> None:
    missing = own_home.truth("bad_files").filter(pl.col("kind") == "missing_day")
    day = missing.filter(pl.col("location").is_null())["day"][0]
    found = own_home.ask(
        "SELECT DISTINCT severity, outcome, observed FROM lake.meta.gate_result"
        " WHERE table_name = 'raw.inventory_snapshot' AND outcome <> 'passed' AND observed LIKE '%is missing%'"
    )
    assert [(row[0], row[1]) for row in found] == [("warn", "warned")]
    assert found[0][2] == f"{day} is missing"
    state = own_home.json("status")
    assert state["gates_failed"] == 0
    assert state["release"]
    assert day in own_home.cli("status").stdout
