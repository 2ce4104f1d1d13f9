"""A server that lies, stalls, changes its mind or goes in circles: told in one sentence, and nothing half of it stands."""

import time

import pytest

from lake.sources.apis import client as client_module
from tests.lake.apis.conftest import contract, fetched, records
from tests.lake.apis.server import misbehaving
from tests.lake.loading_kit import company, load, rows

CURSOR = {"paging": {"kind": "cursor", "parameter": "at", "path": "next"}}
PAGE = {"paging": {"kind": "page"}, "total_path": "total", "records_path": "data.rows"}
OFFSET = {"paging": {"kind": "offset", "size": 10}, "total_header": "X-Total-Count", "records_path": None}


def always(fault):
    return lambda number, seen: fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("reset", "broke off"), ("drop", "broke off"), ("cut_chunked", "broke off"), ("cut_gzip", "cut off"),
        ("cut_json", "no whole JSON"), ("html", "'text/html' instead of application/json"), ("error", "of an error (busy)"),
        ("status:500", "status 500"), ("status:429 0", "status 429"),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again_and_then_told(tmp_path, api, fault, said):
    api.records, api.fault = records(20), always(fault)
    found = fetched(company(tmp_path), contract(api, "/cursor", **CURSOR))
    assert f"GET http://127.0.0.1:{api.port}/cursor" in found.error
    assert said in found.error
    assert "5 times" in found.error
    assert len(api.seen) == 5
    assert not found.records


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("status:400", "status 400 (overloaded)"), ("status:403", "status 403"), ("status:404", "status 404"),
        ("bomb", "more than 1 MB"), ("redirect:http://192.0.2.1/x", "another host"), ("redirect:/cursor", "more than 5 times"),
        ("redirect:https://127.0.0.1/cursor", "another host"), ("redirect:file:///etc/passwd", "another host"),
    ],
)  # fmt: skip
def test_what_will_not_pass_is_told_at_once(tmp_path, api, fault, said):
    api.records, api.fault = records(20), always(fault)
    found = fetched(company(tmp_path), contract(api, "/cursor", limits={"page_mb": 1}, **CURSOR))
    assert said in found.error
    assert len(api.seen) == (6 if "5 times" in said else 1)


def test_gzip_and_chunks_and_redirects_on_the_same_host_are_fine(tmp_path, api):
    api.records = records(35)
    api.fault = lambda number, seen: {1: "redirect:/next", 2: "gzip", 3: "chunked"}.get(number)
    sales = contract(api, "/cursor", paging={"kind": "next_url", "path": "next"})
    assert fetched(company(tmp_path), sales).ids == list(range(1, 36))


def test_links_stay_on_the_host_and_keep_its_scheme(tmp_path, api):
    api.records, api.link_host = records(35), "elsewhere.example"
    sales = contract(api, "/next", paging={"kind": "next_url", "path": "next"})
    assert "another host" in fetched(company(tmp_path), sales).error
    assert len(api.seen) == 1


@pytest.mark.parametrize("asked", ["date", "seconds"])
def test_retry_after_is_waited_for_up_to_the_limit(tmp_path, api, asked, monkeypatch):
    waits = []
    monkeypatch.setattr(client_module.time, "sleep", waits.append)
    after = {"date": "Fri, 31 Dec 2999 23:59:59 GMT", "seconds": "7"}[asked]
    api.records = records(5)
    api.fault = lambda number, seen: f"status:429 {after}" if number == 1 else None
    sales = contract(api, "/cursor", limits={"retry_after_max_s": 30}, **CURSOR)
    assert len(fetched(company(tmp_path), sales).records) == 5
    assert [round(one) for one in waits if one > 1] == [{"date": 30, "seconds": 7}[asked]]


def test_a_fetch_has_an_end(tmp_path, api):
    api.records, api.fault = records(20), always("status:503 60")
    began = time.monotonic()
    found = fetched(company(tmp_path), contract(api, "/cursor", limits={"total_s": 1}, **CURSOR))
    assert "in 1 s (limits.total_s)" in found.error
    assert time.monotonic() - began < 5


def test_the_rate_is_kept(tmp_path, api):
    api.records = records(30)
    began = time.monotonic()
    fetched(company(tmp_path), contract(api, "/cursor", limits={"requests_per_second": 20}, **CURSOR))
    assert time.monotonic() - began >= 2 / 20


@pytest.mark.parametrize("path", ["/circle", "/forever"])
def test_paging_in_a_circle_is_seen(tmp_path, api, path):
    api.records = records(25)
    paging = {"/circle": {"kind": "next_url", "path": "next"}, "/forever": CURSOR["paging"]}[path]
    found = fetched(company(tmp_path), contract(api, path, paging=paging, write_mode="replace"))
    assert "goes in a circle: page 5" in found.error
    assert not found.records


def test_pages_have_a_limit(tmp_path, api):
    api.records = records(100)
    found = fetched(company(tmp_path), contract(api, "/cursor", limits={"pages": 3}, **CURSOR))
    assert "sends more than 3 pages" in found.error


def test_a_server_that_ignores_the_page_asked_for_is_told(tmp_path, api):
    api.records = records(5)
    sales = contract(api, "/cursor", paging={"kind": "page"})  # this path looks at `at` only
    assert "sent the records of an earlier page again" in fetched(company(tmp_path), sales).error


@pytest.mark.parametrize("settings", [PAGE, OFFSET])
@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_data_that_change_under_way_are_read_again(tmp_path, api, settings, mode):
    path = "/" + settings["paging"]["kind"]
    api.records = records(45)

    def remove_one(number):
        if number == 3:
            del api.records[4]  # what follows moves up: one record is never seen

    api.before = remove_one
    found = fetched(company(tmp_path), contract(api, path, write_mode=mode, **settings))
    assert not found.error
    assert found.ids == [one["id"] for one in api.records]


def test_an_insertion_and_a_deletion_that_keep_the_total_are_seen(tmp_path, api):
    api.records = records(45)

    def swap(number):
        if number == 3:
            del api.records[40]
            api.records[0:0] = records(1, first=100)

    api.before = swap
    found = fetched(company(tmp_path), contract(api, "/page", write_mode="replace", **PAGE))
    assert sorted(found.ids) == sorted(one["id"] for one in api.records)


def test_data_that_never_rest_are_refused_and_nothing_of_them_stands(tmp_path, api):
    api.records = records(45)
    home = company(tmp_path)
    sales = contract(api, "/page", write_mode="replace", **PAGE)
    load(home, sales)
    standing = rows(home, "SELECT * FROM lake.raw.sales ORDER BY ALL")

    def insert(number):
        api.records[0:0] = records(1, first=1000 + number)

    api.before = insert
    [problem] = load(home, sales).problems
    assert "do not belong together, read 3 times" in problem
    assert rows(home, "SELECT * FROM lake.raw.sales ORDER BY ALL") == standing
    found = fetched(company(tmp_path / "upsert"), contract(api, "/page", **PAGE))
    assert "do not belong together, read 3 times" in found.error
    assert not found.files


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_pages_that_come_twice_or_in_another_order_double_nothing(tmp_path, api, mode):
    """The server's cursor gives each page twice, and the last before the first."""
    api.records = records(40)
    answers = {
        "None": ("20", 20),
        "20": ("21", 20),
        "21": ("30", 30),
        "30": ("0", 0),
        "0": ("10", 10),
        "10": ("11", 10),
    }

    def answer(handler, seen):
        following, start = answers.get(str(seen.query.get("at")), (None, 10))
        return 200, {"rows": api.records[start : start + 10], "next": following}, {}

    api.answers = answer
    found = fetched(company(tmp_path), contract(api, "/cursor", write_mode=mode, **CURSOR))
    assert not found.error
    assert sorted(found.ids) == list(range(1, 41))


def test_a_key_with_two_contents_in_one_fetch_is_refused_for_a_replacement(tmp_path, api):
    api.records = [*records(20), records(1)[0] | {"quantity": 99}]
    found = fetched(company(tmp_path), contract(api, "/cursor", write_mode="replace", **CURSOR))
    assert "1 records came twice with different content" in found.error


@pytest.mark.parametrize("seed", range(6))
def test_faults_by_chance_lose_and_double_nothing(tmp_path, api, seed):
    api.records = records(120)
    api.fault = misbehaving(
        seed, 0.5, "reset", "drop", "cut_chunked", "cut_gzip", "gzip", "chunked", "status:502", "error"
    )
    found = fetched(company(tmp_path), contract(api, "/link", records_path=None, paging={"kind": "link"}))
    assert found.ids == list(range(1, 121))
