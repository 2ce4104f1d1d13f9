"""A range of days is asked for again: its rows are corrected, the place where the next fetch begins stays as it is."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import polars as pl
import pytest

from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import ContractError
from lake.ledger import position
from lake.period import Period
from lake.sources.databases.tables import DatabaseSource
from tests.lake.apis.conftest import api, contract, records  # noqa: F401  (a fixture)
from tests.lake.loading_kit import company, load, rows
from tests.lake.sources.database_kit import COLUMNS, lines, run

MAY = Period.parse("2026-05-10", "2026-05-11")


def prices(home):
    return dict(rows(home, "SELECT line_id, CAST(price AS int) FROM lake.raw.line"))


@pytest.fixture
def may_url(line_url):
    """Twenty rows, one at 23:00 UTC of each day from the 1st of May on."""
    run(
        line_url,
        "INSERT INTO line SELECT n, 'item', 1, timestamptz '2026-05-01 23:00+00' + (n - 1) * interval '1 day'"
        " FROM generate_series(1, 20) n",
    )
    return line_url


@pytest.mark.parametrize("by_business_date", [True, False])
def test_a_table_is_asked_for_two_days_again(tmp_path, may_url, by_business_date):
    home, made = company(tmp_path), lines(may_url, cursor=["changed_at", "line_id"])
    if by_business_date:
        made = replace(made, business_date="changed_at")
    load(home, made)
    stood = position(Lake.of(home), "line")
    run(may_url, "UPDATE line SET price = 2", "DELETE FROM line WHERE line_id = 11")
    again = load(home, made, period=MAY)
    assert again.is_clean and again.totals["rows_read"] == 1
    assert {key for key, price in prices(home).items() if price == 2} == {10}
    assert position(Lake.of(home), "line") == stood
    assert load(home, made, period=MAY).totals["rows_read"] <= 1  # as often as one likes
    run(may_url, "INSERT INTO line VALUES (21, 'new', 3, '2026-05-21 00:00+00')")
    load(home, made)
    assert prices(home)[21] == 3 and prices(home)[9] == 1  # it went on from where it stood


def test_a_range_may_be_open_or_empty_and_comes_in_files(tmp_path, may_url):
    made = lines(may_url, cursor="changed_at", rows_per_file=4)

    def asked(since, until):
        with closing(DatabaseSource(company(tmp_path), made)) as reading:
            found = reading.between(Period.parse(since, until))
            return [pl.read_parquet(one.path)["line_id"].to_list() for one in found]

    assert asked(None, "2026-05-06") == [[1, 2, 3, 4], [5, 6]]
    assert asked("2026-05-19", None) == [[19, 20]]
    assert asked("2027-01-01", None) == []


def test_what_a_part_of_the_rows_would_harm_is_refused(tmp_path, may_url):
    home = company(tmp_path)
    whole = lines(may_url, write_mode="replace")
    load(home, whole)
    assert "takes the place of all rows" in load(home, whole, period=MAY).problems[0]
    assert rows(home, "SELECT count(*) FROM lake.raw.line") == [(20,)]
    appended = replace(lines(may_url, write_mode="append", cursor="changed_at"), dataset="appended")
    assert "would stand twice" in load(home, appended, period=MAY).problems[0]
    numbered = replace(lines(may_url, cursor="line_id"), dataset="numbered")
    assert "its cursor is no date or time" in load(home, numbered, period=MAY).problems[0]


def test_days_that_are_partitions_are_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE line (line_id, item, price, day)")
        database.executemany(
            "INSERT INTO line VALUES (?, 'a', 1, ?)", [(n, f"2026-05-{n:02d}") for n in range(1, 21)]
        )
        database.commit()
        columns = (*COLUMNS[:3], Column("day", "day", "date"))
        made = lines(f"sqlite:///{path}", columns, write_mode="replace_partition")
        made = replace(made, business_date="day", partition_by=("day",))
        home = company(tmp_path)
        load(home, made)
        database.execute("UPDATE line SET price = 2")
        database.execute("DELETE FROM line WHERE line_id = 12")
        database.execute("INSERT INTO line VALUES (99, 'late', 7, '2026-05-11')")
        database.commit()
        load(home, made, period=MAY)
    assert {key: price for key, price in prices(home).items() if price != 1} == {10: 2, 11: 2, 99: 7}
    assert len(prices(home)) == 21


def test_an_api_is_asked_by_the_parameters_that_its_contract_names(tmp_path, api):  # noqa: F811
    home, api.records = company(tmp_path), records(40)
    for number, record in enumerate(api.records):
        record["changed_at"] = f"2026-05-{1 + number // 2:02d}T12:00:00Z"
    made = contract(
        api,
        "/cursor",
        paging={"kind": "cursor", "path": "next"},
        incremental={"column": "changed_at", "parameter": "changed_since"},
        days={"created_from": "{from}", "created_before": "{after}"},
    )
    load(home, made)
    stood = position(Lake.of(home), made.dataset)
    for record in api.records:
        record["quantity"] = 9
    again = load(home, made, period=MAY)
    assert again.is_clean
    assert rows(home, "SELECT id FROM lake.raw.sales WHERE quantity = 9 ORDER BY id") == [
        (19,),
        (20,),
        (21,),
        (22,),
    ]
    asked = api.seen[-1].query
    assert (asked["created_from"], asked["created_before"]) == ("2026-05-10", "2026-05-12")
    assert "changed_since" not in asked and position(Lake.of(home), made.dataset) == stood
    load(home, made, period=Period.parse("2026-05-20", None))
    assert "created_before" not in api.seen[-1].query
    silent = replace(made, source=made.source.model_copy(update={"days": {}}))
    assert "names no parameters for one" in load(home, silent, period=MAY).problems[0]


def test_odata_is_asked_by_a_filter(tmp_path, api):  # noqa: F811
    home, api.records = company(tmp_path), records(20)
    for number, record in enumerate(api.records, 1):
        record["changed_at"] = f"2026-05-{number:02d}T23:59:59Z"
    made = contract(
        api,
        "/odata",
        kind="odata",
        records_path="value",
        filter="open eq true",
        incremental={"column": "changed_at"},
    )
    load(home, made, period=MAY)
    assert rows(home, "SELECT id FROM lake.raw.sales ORDER BY id") == [(10,), (11,)]
    asked = "(open eq true) and changed_at ge 2026-05-10T00:00:00Z and changed_at lt 2026-05-12T00:00:00Z"
    assert api.seen[-1].query["$filter"] == asked
    assert position(Lake.of(home), made.dataset) is None


@pytest.mark.parametrize("days", [{"a": "{from}"}, {"a": "{from}..{until}"}, {"a": "{from}", "b": "{day}"}])
def test_both_ends_of_a_range_have_a_parameter(api, days):  # noqa: F811
    with pytest.raises((ValueError, ContractError), match="one parameter has to hold"):
        contract(api, "/page", paging={"kind": "page"}, days=days)
