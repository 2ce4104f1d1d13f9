"""Files in a bucket of a real S3 server, over HTTP and on any other file system, from listing to the lake."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest
import s3fs

from lake.company import CompanySettings
from lake.sources.remote import RemoteFiles, RemoteSettings
from tests.lake.loading_kit import HEADER, company, contract, rows
from tests.lake.loading_kit import load as ingest

KEY, SECRET = "AKIDSTOCKLAKETEST", "never-to-be-seen-7f3a"
OPTIONS = {
    "key": "${env:BUCKET_KEY}",
    "secret": "${env:BUCKET_SECRET}",
    "config_kwargs": {"retries": {"max_attempts": 1}},
}


@pytest.fixture(scope="module")
def s3_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3_url, request, monkeypatch):
    monkeypatch.setenv("BUCKET_KEY", KEY)
    monkeypatch.setenv("BUCKET_SECRET", SECRET)
    store = s3fs.S3FileSystem(
        key=KEY, secret=SECRET, endpoint_url=s3_url, skip_instance_cache=True, use_listings_cache=False
    )
    name = f"bucket-{abs(hash(request.node.name))}"
    store.mkdir(name)
    return store, name


def made(url, endpoint=None, options=OPTIONS, **changes):
    settings = RemoteSettings(url=url, endpoint_url=endpoint, storage_options=options)
    return contract("sales", source=settings, **changes)


def reads(monkeypatch):
    """Count downloads."""
    names = []
    take = RemoteFiles._take

    def counted(self, file_system, path, name):
        names.append(name)
        return take(self, file_system, path, name)

    monkeypatch.setattr(RemoteFiles, "_take", counted)
    return names


def test_a_bucket_loads_and_what_did_not_change_is_not_read_again(tmp_path, bucket, s3_url, monkeypatch):
    home, (store, name), names = company(tmp_path), bucket, reads(monkeypatch)
    store.pipe(f"{name}/erp/2024/a.csv", (HEADER + "A,1,1.00,2024-01-31\nB,x,,\n").encode())
    store.pipe(f"{name}/erp/2025/b.csv", (HEADER + "C,3,,\n").encode())
    store.pipe(f"{name}/erp/2025/bad.csv", b"Nothing\n1\n")
    store.pipe(f"{name}/erp/2025/readme.txt", b"hello")
    sales = made(f"s3://{name}/erp/*/*.csv", s3_url)
    report = ingest(home, sales)
    assert (
        report.totals | {"rows_read": 3, "loaded": 2, "quarantined": 1, "files_refused": 1} == report.totals
    )
    assert rows(home, "SELECT item_id, _file FROM lake.raw.sales ORDER BY 1") == [
        ("A", "2024/a.csv"),
        ("C", "2025/b.csv"),
    ]
    assert names == ["2024/a.csv", "2025/b.csv", "2025/bad.csv"]
    names.clear()
    store.pipe(f"{name}/erp/2024/a.csv", (HEADER + "D,4,,\n").encode())
    again = ingest(home, sales, run_id="again")
    assert names == ["2024/a.csv", "2025/bad.csv"]
    assert again.totals | {"rows_read": 1, "loaded": 1} == again.totals
    assert list(home.arriving.iterdir()) == []


def test_what_is_remembered_is_believed_only_as_far_as_the_ledger_goes(tmp_path, bucket, s3_url, monkeypatch):
    home, other, (store, name), names = (
        company(tmp_path / "a"),
        company(tmp_path / "b"),
        bucket,
        reads(monkeypatch),
    )
    store.pipe(f"{name}/a.csv", (HEADER + "A,1,,\n").encode())
    sales = made(f"s3://{name}/*.csv", s3_url)
    ingest(home, sales)
    other.remembered.mkdir(parents=True)
    (other.remembered / "sales.json").write_bytes((home.remembered / "sales.json").read_bytes())
    assert ingest(other, sales).totals["loaded"] == 1  # another lake: it has none of it
    (home.remembered / "sales.json").write_text("{broken")
    names.clear()
    report = ingest(home, sales, run_id="again")
    assert names == ["a.csv"]
    assert (report.totals["rows_read"], report.is_clean) == (0, True)


def test_a_file_that_changes_while_it_is_read_is_left_or_read_whole(tmp_path, bucket, s3_url, monkeypatch):
    home, (store, name) = company(tmp_path), bucket
    store.pipe(f"{name}/a.csv", (HEADER + "A,1,,\n").encode())
    store.pipe(f"{name}/b.csv", (HEADER + "B,1,,\n").encode())
    get, changes = s3fs.S3FileSystem.get_file, iter(range(100))

    def changing(times):
        def get_file(self, path, local, **options):
            get(self, path, local, **options)
            if path.endswith("a.csv") and (n := next(changes)) < times:
                store.pipe(path, (HEADER + f"A,{n + 2},,\n").encode())

        return get_file

    monkeypatch.setattr(s3fs.S3FileSystem, "get_file", changing(50))
    report = ingest(home, made(f"s3://{name}/*.csv", s3_url))
    assert report.totals["loaded"] == 1
    assert "a.csv changes while it is read" in report.problems[0]
    changes = iter(range(100))
    monkeypatch.setattr(s3fs.S3FileSystem, "get_file", changing(1))
    assert ingest(home, made(f"s3://{name}/*.csv", s3_url), run_id="again").is_clean
    assert rows(home, "SELECT item_id, quantity FROM lake.raw.sales ORDER BY 1") == [("A", 2), ("B", 1)]


def test_secrets_stand_nowhere(tmp_path, bucket, s3_url, caplog):
    home, (store, name) = company(tmp_path), bucket
    store.pipe(f"{name}/a.csv", (HEADER + "A,1,,\n").encode())
    sales = made(f"s3://{name}/*.csv", s3_url)
    with caplog.at_level("DEBUG"):
        assert ingest(home, sales).is_clean
        failed = ingest(home, made(f"s3://{name}/*.csv", "http://127.0.0.1:9"), run_id="fails")
    assert "cannot be listed" in failed.problems[0]
    shown = [repr(sales), str(failed.problems), *rows(home, "SELECT * FROM lake.meta.delivery"), *rows(home, "SELECT * FROM lake.meta.position")]  # fmt: skip
    # The client's own signing at DEBUG names the key id, as every request does in the open; never the secret.
    ours = "\n".join(one.getMessage() for one in caplog.records)
    assert SECRET not in "\n".join(map(str, shown)) + ours
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("s3://nothing-there/*.csv", OPTIONS, "sales: "),
        ("s3://nothing-there/a.csv", OPTIONS, "sales: "),
        ("gopher://host/*.csv", {}, "cannot be opened"),
        ("http://127.0.0.1:9/a.csv", {}, "sales: "),
    ],
)
def test_a_store_that_does_not_answer_is_one_sentence(tmp_path, bucket, s3_url, url, options, sentence):
    home = company(tmp_path)
    report = ingest(home, made(url, s3_url if url.startswith("s3") else None, options))
    [problem] = report.problems
    assert url in problem
    assert sentence in problem
    assert len(problem) < 700
    assert "Traceback" not in problem


def test_a_web_server_and_other_file_systems_are_read_each_time(tmp_path, monkeypatch):
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "prices.csv").write_text(HEADER + "A,1,,\n")

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    names = reads(monkeypatch)
    try:
        for number, url in enumerate(
            (f"http://127.0.0.1:{server.server_port}/prices.csv", f"file://{folder}/*.csv")
        ):
            home = company(tmp_path / str(number))
            sales = made(url, options={})
            assert ingest(home, sales).totals["loaded"] == 1
            assert ingest(home, sales, run_id="again").totals["rows_read"] == 0
            assert rows(home, "SELECT DISTINCT _file FROM lake.raw.sales") == [("prices.csv",)]
    finally:
        server.shutdown()
        server.server_close()
    assert (
        names == ["prices.csv"] * 4
    )  # size and time prove nothing, so each is read again and known by its content


def test_a_file_without_a_usable_name_is_told_and_harms_no_other(tmp_path):
    home = company(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.pipe("/odd/a.csv", (HEADER + "A,1,,\n").encode())
    memory.pipe("/odd/b\n.csv", b"x")
    report = ingest(home, made("memory://odd/*.csv", options={}))
    assert report.totals["loaded"] == 1
    assert r"no usable name ('b\n.csv')" in report.problems[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "sales.csv"}, "write a URL"),
        ({"url": "s3://bucket/folder/"}, "is a folder"),
        ({"url": "sftp://user:password@host/a.csv"}, "a user stands in no URL"),
        ({"url": "simplecache::s3://bucket/a.csv"}, "write a URL"),
        ({"url": "s3://b/a.csv", "storage_options": {"secret": "abc"}}, "a secret stands in no contract"),
        (
            {"url": "s3://b/a.csv", "storage_options": {"client_kwargs": {"aws_secret_access_key": "abc"}}},
            "a secret stands",
        ),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message) as problem:
        RemoteSettings(**settings)
    assert "abc" not in str(problem.value)


def test_the_lake_itself_may_stand_in_a_bucket(tmp_path, bucket, s3_url):
    store, name = bucket
    s3 = {"key_id": "${env:BUCKET_KEY}", "secret_key": "${env:BUCKET_SECRET}", "endpoint": s3_url}
    settings = {"title": "Test", "currency": "EUR", "lake": {"data": f"s3://{name}/lake", "s3": s3}}
    home = replace(company(tmp_path), settings=CompanySettings.model_validate(settings))
    many = "".join(f"A{i},1,2.50,2024-01-05\n" for i in range(12_000))  # enough to be registered in a folder
    (home.inbox / "sales_1.csv").write_text(HEADER + many + "B1,x,,\n", encoding="utf-8")
    report = ingest(home, contract())
    assert (report.totals["loaded"], report.totals["quarantined"]) == (12_000, 1)
    (home.inbox / "sales_2.csv").write_text(HEADER + "C1,1,2.50,2024-01-05\n", encoding="utf-8")
    assert ingest(home, contract(), run_id="again").totals["loaded"] == 1
    assert rows(home, "SELECT count(*), count(DISTINCT item_id) FROM lake.raw.sales") == [(12_001, 12_001)]
    assert any(path.endswith(".parquet") for path in store.find(name))
    assert not list(home.lake_data.rglob("*.parquet"))
