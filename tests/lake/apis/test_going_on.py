"""Fetching only what is new: where the next fetch begins, after a fetch that ended well, broke off or was lied to."""

import pytest

from lake.contracts.model import Column
from lake.sources.apis import bundling
from tests.lake.apis.conftest import COLUMNS, contract, fetched, records
from tests.lake.loading_kit import company, load, rows

CURSOR = {"paging": {"kind": "cursor", "parameter": "at", "path": "next"}}
SINCE = {"column": "changed_at", "parameter": "changed_since"}


@pytest.fixture
def small_bundles(monkeypatch):
    monkeypatch.setattr(bundling, "BUNDLE_PAGES", 1)


def test_an_incremental_fetch_asks_from_the_newest_value_on(tmp_path, api):
    home, api.records = company(tmp_path), records(25)
    sales = contract(api, "/cursor", incremental=SINCE | {"overlap": 2}, **CURSOR)
    load(home, sales)
    assert api.seen[0].query == {}
    api.records = records(25) + records(3, first=26)
    api.records[9] |= {"quantity": 7, "changed_at": "2024-02-01T00:00:00Z"}
    load(home, sales)
    asked = [one.query["changed_since"] for one in api.seen[3:]]
    assert asked == ["2024-01-01T00:00:23Z"]  # two seconds before the newest
    assert rows(home, "SELECT count(*), sum(quantity) FROM lake.raw.sales") == [
        (28, sum(one["quantity"] for one in api.records))
    ]
    assert load(home, sales).totals["loaded"] == 0


def test_the_position_moves_only_when_all_pages_are_there(tmp_path, api, small_bundles):
    api.records = records(30)[::-1]  # the newest first
    api.fault = lambda number, seen: "status:500" if seen.query.get("at") == "20" else None
    sales = contract(api, "/cursor", incremental=SINCE, **CURSOR)
    found = fetched(company(tmp_path), sales)
    assert found.error
    assert found.position is None
    api.fault = lambda number, seen: None
    found = fetched(company(tmp_path), sales, found.position)
    assert len(found.records) == 30
    assert found.position["since"] == "2024-01-01T00:00:30Z"


def test_a_server_that_sorts_lets_a_fetch_go_on_where_it_broke_off(tmp_path, api, small_bundles):
    api.records = records(40)
    api.fault = lambda number, seen: "status:500" if seen.query.get("at") == "30" else None
    sales = contract(api, "/cursor", incremental=SINCE | {"ascending": True}, **CURSOR)
    found = fetched(company(tmp_path), sales)
    assert "status 500" in found.error
    assert found.ids == list(range(1, 31))
    assert found.position["since"] == "2024-01-01T00:00:30Z"
    api.fault = lambda number, seen: None
    assert fetched(company(tmp_path), sales, found.position).ids == list(range(30, 41))


def test_a_server_that_says_it_sorts_and_does_not_costs_a_fetch_but_no_record(tmp_path, api, small_bundles):
    api.records = records(30, first=11) + records(10)
    api.fault = lambda number, seen: "status:500" if seen.query.get("at") == "30" else None
    sales = contract(api, "/cursor", incremental=SINCE | {"ascending": True}, **CURSOR)
    api.records[15:20] = records(5)  # on the second page something old turns up
    found = fetched(company(tmp_path), sales)
    assert found.error
    assert found.position["since"] is None
    assert sales.source.incremental.initial is None
    assert "changed_since" not in api.seen[0].query


def test_a_record_of_the_future_hides_nothing(tmp_path, api):
    api.records = [*records(5), {"id": 6, "quantity": 1, "changed_at": "2999-01-01T00:00:00Z"}]
    found = fetched(company(tmp_path), contract(api, "/cursor", incremental=SINCE, **CURSOR))
    assert found.position["since"] < "2100"


def test_values_that_are_none_say_nothing(tmp_path, api):
    api.records = [
        *records(5),
        *({"id": n, "quantity": 1, "changed_at": v} for n, v in enumerate(("x", None, 7, ""))),
    ]
    found = fetched(company(tmp_path), contract(api, "/cursor", incremental=SINCE, **CURSOR))
    assert found.position["since"] == "2024-01-01T00:00:05Z"


@pytest.mark.parametrize(
    ("column", "values", "initial", "asked", "since"),
    [
        (Column("n", "n", "integer", required=True), [3, 12, 9], "2", "0", "12"),
        (Column("n", "n", "date", required=True), ["2024-03-01", "2024-02-29"], "2024-01-03", "2024-01-01", "2024-03-01"),
        (Column("n", "n", "date", format="%d.%m.%Y"), ["01.03.2024", "29.02.2024"], "03.01.2024", "01.01.2024", "01.03.2024"),
        (Column("n", "n", "timestamp"), ["2024-03-01T01:00:00+02:00", "2024-02-29T23:30:00Z"], "2024-01-01T00:00:02Z",
         "2024-01-01T00:00:00Z", "2024-02-29T23:30:00Z"),
        (Column("n", "n", "timestamp"), ["2024-03-01T01:00:00"], "2024-01-01T00:00:02", "2024-01-01T00:00:00", "2024-03-01T01:00:00"),
    ],
)  # fmt: skip
def test_values_compare_as_what_they_are_and_are_asked_for_as_they_are_written(
    tmp_path, api, column, values, initial, asked, since
):
    api.records = [{"id": number, "n": value} for number, value in enumerate(values)]
    growing = {"column": "n", "parameter": "from", "template": "ge {since}", "overlap": 2, "initial": initial}
    sales = contract(api, "/cursor", incremental=growing, columns=(COLUMNS[0], column), **CURSOR)
    found = fetched(company(tmp_path), sales)
    assert api.seen[0].query["from"] == f"ge {asked}"
    assert found.position["since"] == since


def test_another_question_begins_at_the_beginning(tmp_path, api):
    api.records = records(5)
    position = fetched(company(tmp_path), contract(api, "/cursor", incremental=SINCE, **CURSOR)).position
    other = contract(api, "/cursor", incremental=SINCE, parameters={"open": True}, **CURSOR)
    assert len(fetched(company(tmp_path), other, position).records) == 5
    assert api.seen[-1].query == {"open": "true"}


def test_a_servers_cursor_is_kept(tmp_path, api):
    api.records = records(25)

    def answer(handler, seen):
        start = int(seen.query.get("at", 0))
        rows = api.records[start : start + 10]
        return 200, {"rows": rows, "next": str(start + len(rows))}, {}

    api.answers = answer
    home = company(tmp_path)
    log = contract(api, "/cursor", resume=True, write_mode="append", duplicates="drop", **CURSOR)
    load(home, log)
    api.records += records(5, first=26)
    load(home, log)
    assert api.seen[-2].query == {"at": "25"}
    assert rows(home, "SELECT count(*), count(DISTINCT id) FROM lake.raw.sales") == [(30, 30)]
    assert fetched(home, log).records == []
    assert api.seen[-1].query == {"at": "30"}


def test_only_the_partitions_that_come_are_replaced(tmp_path, api):
    home = company(tmp_path)
    columns = (COLUMNS[0], Column("day", "day", "date", required=True))
    api.records = [{"id": n, "day": f"2024-01-0{1 + n // 4}", "changed_at": ""} for n in range(12)]
    sales = contract(
        api, "/link", records_path=None, paging={"kind": "link"}, columns=(*columns, COLUMNS[2]), write_mode="replace_partition",
        partition_by=("day",), incremental={"column": "day", "parameter": "since_day"},
    )  # fmt: skip
    found = fetched(home, sales)
    assert len(found.files) == 1
    assert found.position["since"] == "2024-01-03"
    api.records = []
    assert fetched(home, sales, found.position).files == []
