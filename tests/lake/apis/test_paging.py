"""Every way of paging against a server that misbehaves: afterwards raw has the server's records, each once."""

import pytest

from lake.sources.apis.paging import next_link
from tests.lake.apis.conftest import FAULTS, contract, fetched, records
from tests.lake.apis.server import misbehaving
from tests.lake.loading_kit import company, load, rows

WAYS = {
    "page": ("/page", "data.rows", {"paging": {"kind": "page"}, "total_path": "total"}),
    "page without a total": ("/page", "data.rows", {"paging": {"kind": "page"}}),
    "offset": ("/offset", None, {"paging": {"kind": "offset", "size": 25}, "total_header": "X-Total-Count"}),
    "cursor": ("/cursor", "rows", {"paging": {"kind": "cursor", "parameter": "at", "path": "next"}}),
    "last record": ("/after", "rows", {"paging": {"kind": "cursor", "parameter": "after", "record_path": "id", "more_path": "more"}}),
    "link": ("/link", None, {"paging": {"kind": "link"}}),
    "next url": ("/next", "rows", {"paging": {"kind": "next_url", "path": "next"}}),
}  # fmt: skip


def content(home, dataset="sales"):
    return rows(home, f"SELECT id, quantity FROM lake.raw.{dataset} ORDER BY ALL")


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_paging_brings_every_record_once_whatever_goes_wrong(tmp_path, api, way):
    path, records_path, settings = WAYS[way]
    api.records, api.fault = records(95), misbehaving(7, 0.4, *FAULTS)
    sales = contract(api, path, records_path=records_path, **settings)
    assert [one["id"] for one in fetched(company(tmp_path), sales).records] == list(range(1, 96))
    assert len(api.seen) > 11  # some were tried again


@pytest.mark.parametrize(("way", "mode"), [("page", "upsert"), ("cursor", "append")])
def test_raw_has_the_servers_records_each_once(tmp_path, api, way, mode):
    path, records_path, settings = WAYS[way]
    api.records, api.fault = records(95), misbehaving(7, 0.4, *FAULTS)
    home = company(tmp_path)
    sales = contract(
        api, path, records_path=records_path, write_mode=mode, duplicates="drop" if mode == "append" else "keep", **settings
    )  # fmt: skip
    report = load(home, sales)
    assert not report.problems
    assert content(home) == [(one["id"], one["quantity"]) for one in api.records]
    assert report.totals["rows_read"] == report.totals["loaded"] == 95
    api.records[3]["quantity"] = 1000
    api.records += records(7, first=96)
    api.fault = misbehaving(8, 0.4, *FAULTS)
    again = load(home, sales, run_id="again")
    assert not again.problems
    assert again.totals["loaded"] == 8
    if mode == "upsert":
        assert content(home) == [(one["id"], one["quantity"]) for one in api.records]
    else:
        assert content(home) == sorted([(one["id"], one["quantity"]) for one in api.records] + [(4, 8)])
    assert not [path for path in home.arriving.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_dataset_that_is_replaced_changes_at_once(tmp_path, api):
    path, records_path, settings = WAYS["link"]
    home, api.records = company(tmp_path), records(95)
    sales = contract(api, path, records_path=records_path, write_mode="replace", **settings)
    load(home, sales)
    api.records = records(42, first=50)
    api.fault = misbehaving(9, 0.3, *FAULTS)
    report = load(home, sales)
    assert len(report.files) == 1
    assert content(home) == [(one["id"], one["quantity"]) for one in api.records]
    assert load(home, sales).totals["files_skipped"] == 1  # the same pages are the same file
    api.records = []
    [problem] = load(home, sales).problems
    assert "has no record of sales: what stands is kept" in problem
    assert len(content(home)) == 42


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a/b?page=2>; rel="next"', "https://a/b?page=2"),
        ('<https://a/1>; rel="prev", <https://a/3>; rel=next', "https://a/3"),
        ('<https://a/x,y;z>; title="rel=\\"next\\", <no>"; rel="first last", </t>; REL="up Next"', "/t"),
        ('<https://a/1>; rel="prev"', None),
        ('<https://a/1>; title="next"', None),
        ("<https://a/1", None),
        ("", None),
    ],
)
def test_a_link_header_is_read_as_rfc_8288_says(header, target):
    assert next_link(header) == target
