"""The spool and how ingestion takes from it: once, in order, whatever dies between commit and acknowledgement."""

import hashlib
import sqlite3
import threading
from contextlib import closing

import pytest

from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from lake.sources.webhooks import source as source_module
from lake.sources.webhooks.source import WebhookSource
from lake.sources.webhooks.spool import Received, Spool
from tests.lake.loading_kit import rows
from tests.lake.webhooks import kit


def received(delivery_id, body=b"{}", proof=None, at="2026-01-01T00:00:00.000Z"):
    return Received(delivery_id, hashlib.sha256(body).digest(), proof, at, body)


def scans(*numbers):
    return [received(f"s-{number}", kit.scan(number)) for number in numbers]


@pytest.fixture
def house(tmp_path, monkeypatch):
    company = kit.company(tmp_path, monkeypatch)
    with closing(Spool(company.spool("scan"))) as spool:
        yield company, spool


def load(company):
    return ingest(company, load_contracts(company), run_id="run")


def test_an_id_is_kept_once_and_what_contradicts_it_is_not_kept(tmp_path):
    with closing(Spool(tmp_path / "a" / "x.sqlite")) as spool:
        group = [
            received("1"),
            received("1"),
            received("1", b"[]"),
            received("2", proof=b"p"),
            received("3", proof=b"p"),
        ]
        assert spool.put(group) == ["landed", "repeated", "conflict", "landed", "conflict"]
        assert spool.put([received("2", proof=b"q"), received("3", proof=b"q")]) == ["repeated", "landed"]
        assert [row[1] for row in spool.waiting(0, spool.newest)] == ["1", "2", "3"]
        assert (tmp_path / "a" / "x.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_commit_waits_for_the_disk(tmp_path):
    with closing(Spool(tmp_path / "x.sqlite")) as spool:
        assert spool._connection.execute("PRAGMA synchronous").fetchone() == (
            2,
        )  # FULL: the log is synchronised
        assert spool._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_group_that_cannot_be_kept_is_not_kept_at_all(tmp_path):
    with closing(Spool(tmp_path / "x.sqlite")) as spool:
        limit = spool._connection.execute("PRAGMA page_count").fetchone()[0] + 4
        spool._connection.execute(f"PRAGMA max_page_count = {limit}")  # a disk that is full
        with pytest.raises(sqlite3.Error, match="full"):
            spool.put([received("1"), received("2", b"x" * 100_000)])
        assert not list(spool.waiting(0, 100))
        assert spool.put([received("3")]) == ["landed"]


def test_two_receivers_share_a_spool(tmp_path):
    outcomes = []

    def receive():
        with closing(Spool(tmp_path / "x.sqlite")) as spool:
            outcomes.extend(spool.put([received(str(number))])[0] for number in range(50))

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["landed"] * 50 + ["repeated"] * 50


def test_bodies_go_when_they_are_loaded_and_ids_when_they_are_old(tmp_path):
    with closing(Spool(tmp_path / "x.sqlite")) as spool:
        spool.put([received(str(number), b'"%d"' % number + b" " * 10_000) for number in range(100)])
        full = spool.size_bytes
        spool.forget(60, None)
        assert spool.size_bytes < full * 0.6
        assert [row[0] for row in spool.waiting(0, 100)] == list(range(61, 101))
        assert spool.put([received("5", b'"5"' + b" " * 10_000)]) == ["repeated"]
        spool.forget(60, 30)
        assert spool.put([received("5", b'"5"' + b" " * 10_000)]) == ["landed"]
        assert [row[0] for row in spool.waiting(0, spool.newest)][-1] > 100


def test_many_deliveries_are_few_files_and_a_refused_row_keeps_its_payload(house, monkeypatch):
    monkeypatch.setattr(source_module, "ARRIVAL_BYTES", 1000)
    company, spool = house
    spool.put([*scans(*range(1, 30)), received("bad", b'{"quantity":\n"x",\r\n "item": {"id": "1\\n2"}}')])
    report = load(company)
    assert 1 < len(report.files) < 10
    assert report.totals | {"rows_read": 30, "loaded": 29, "quarantined": 1} == report.totals
    [(raw,)] = rows(company, "SELECT raw_text FROM lake.meta.quarantine")
    assert '"delivery_id":"bad"' in raw
    assert '{"quantity": "x",   "item": {"id": "1\\n2"}}' in raw


def test_killed_before_it_was_acknowledged_nothing_comes_twice(house, monkeypatch):
    company, spool = house
    spool.put(scans(1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(WebhookSource, "_forget", lambda self, upto: None)
        load(company)
    assert len(list(spool.waiting(0, 10))) == 2
    spool.put(scans(3))
    load(company)
    assert rows(company, "SELECT quantity FROM lake.raw.scan ORDER BY 1") == [(1,), (2,), (3,)]
    assert not list(spool.waiting(0, 10))


def test_a_spool_that_was_made_anew_begins_at_its_beginning(house):
    company, spool = house
    spool.put(scans(1, 2, 3))
    load(company)
    for path in company.spool("scan").parent.glob("scan.sqlite*"):
        path.unlink()
    with closing(Spool(company.spool("scan"))) as anew:
        anew.put(scans(7))
    load(company)
    assert rows(company, "SELECT quantity FROM lake.raw.scan ORDER BY 1") == [(1,), (2,), (3,), (7,)]


def test_two_ingests_at_once_load_once(house):
    company, spool = house
    spool.put(scans(*range(20)))
    threads = [threading.Thread(target=load, args=(company,)) for _ in range(2)]
    for thread in threads:
        thread.start()
        spool.put(scans(100 + len(threads)))
    for thread in threads:
        thread.join()
    load(company)
    assert rows(company, "SELECT count(*), count(DISTINCT delivery_id) FROM lake.raw.scan") == [(21, 21)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("body_kb: 8", "body_kb: 8, scheme: custom", "needs signature_header"),
        ("body_kb: 8", "prefix: 'x'", "scheme standard has its own prefix"),
        ("'${env:HOOK_OLD}'", "'written here'", "a secret stands in no contract"),
        ("format: jsonl", "format: csv", "read as `format: jsonl`"),
        ("value: append", "value: replace", "never all there is"),
        (
            "{name: received_at, logicalType: timestamp",
            "{name: other, logicalType: timestamp",
            "add a column for it",
        ),
    ],
)
def test_a_contract_is_judged_with_its_place(tmp_path, monkeypatch, old, new, said):
    monkeypatch.setattr(kit, "CONTRACT", kit.CONTRACT.replace(old, new))
    problems = lint(kit.company(tmp_path, monkeypatch))
    assert said in problems[0].message
    assert problems[0].line > 1
