"""OData v4 against a server of the tests that filters, sorts, counts, pages and tracks changes as the standard says."""

import pytest

from lake.contracts.model import Column
from tests.lake.apis.conftest import COLUMNS, FAULTS, contract, fetched, records
from tests.lake.apis.server import misbehaving
from tests.lake.loading_kit import company, load, rows


def odata(api, **changes):
    return contract(api, "/odata", **({"kind": "odata", "records_path": "value"} | changes))


@pytest.mark.parametrize("paging", ["server", "client"])
def test_an_entity_set_is_read_whole(tmp_path, api, paging):
    api.records, api.fault = records(45), misbehaving(5, 0.3, *FAULTS)
    found = fetched(company(tmp_path), odata(api, paging=paging, page_size=10, filter="open eq true"))
    assert not found.error
    assert found.ids == list(range(1, 46))
    for one in api.seen:
        assert one.headers["odata-version"] == "4.0"
        assert one.headers.get("prefer") == ("odata.maxpagesize=10" if paging == "server" else None)
        assert one.headers["accept"] == "application/json;odata.metadata=none"
        assert one.query["$select"] == "id,quantity,changed_at"
        assert one.query["$filter"] == "open eq true"
        assert one.query.get("$orderby") == (None if paging == "server" else "id")


def test_the_count_is_compared(tmp_path, api):
    api.records = records(45)

    def answer(handler, seen):
        status, document, headers = handler._answer(seen)
        return status, document | ({"@odata.count": 46} if "@odata.count" in document else {}), headers

    api.answers = answer
    found = fetched(company(tmp_path), odata(api, write_mode="replace"))
    assert "46 records were announced and 45 different ones came" in found.error


def test_only_what_changed_is_asked_for(tmp_path, api):
    home, api.records = company(tmp_path), records(25)[::-1]
    sales = odata(
        api, filter="open eq true", incremental={"column": "changed_at", "initial": "2024-01-01T00:00:11Z"}
    )
    load(home, sales)
    assert api.seen[0].query["$filter"] == "(open eq true) and changed_at ge 2024-01-01T00:00:11Z"
    assert api.seen[0].query["$orderby"] == "changed_at"
    api.records += records(4, first=26)
    load(home, sales)
    assert api.seen[-1].query["$filter"] == "(open eq true) and changed_at ge 2024-01-01T00:00:25Z"
    assert rows(home, "SELECT count(*), count(DISTINCT id), min(id) FROM lake.raw.sales") == [(19, 19, 11)]


def test_a_delta_link_brings_what_changed_since(tmp_path, api):
    home, api.records = company(tmp_path), records(15)
    sales = odata(api, delta=True)
    load(home, sales)
    assert api.seen[0].headers["prefer"] == "odata.maxpagesize=1000, odata.track-changes"
    api.records += records(3, first=16)
    report = load(home, sales)
    assert api.seen[-1].query == {"since": "15"}
    assert report.totals["rows_read"] == 3
    assert rows(home, "SELECT count(*) FROM lake.raw.sales") == [(18,)]
    api.fault = lambda number, seen: "status:410" if "since" in seen.query else None
    assert len(fetched(home, sales).records) == 18  # the link is too old: all of it again


def test_paths_and_what_does_not_go_together(tmp_path, api):
    columns = (COLUMNS[0], Column("city", "Address.City", "string"))
    sales = odata(api, columns=columns, orderby=None, paging="client")
    api.records = []
    fetched(company(tmp_path), sales)
    assert api.seen[0].query["$select"] == "id,Address"
    for wrong in (
        {"incremental": {"column": "nothing"}}, {"incremental": {"column": "changed_at", "initial": "2024-01-01T00:00:00"}},
        {"incremental": {"column": "changed_at"}, "write_mode": "replace"}, {"write_mode": "append"}, {"records_path": "rows"},
        {"columns": columns[1:], "paging": "client"},
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            odata(api, **wrong)
