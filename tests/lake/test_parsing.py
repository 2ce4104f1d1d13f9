"""The process that parses: what it cannot do, what it is killed for, and that the next file does not notice."""

import os
import platform
import subprocess
import sys
from dataclasses import replace

import pytest

from lake.connection import Lake
from lake.contracts.model import Column, Limits
from lake.errors import FileRefused
from lake.parsing import process
from lake.parsing.job import Job
from tests.lake.loading_kit import HEADER, ITEM_COLUMNS, company, contract, deliver, load, rows

LINE = "A1,1,2.50,2024-01-05\n"
HAS_SECCOMP = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
ATTEMPTS = """
import os, socket, subprocess, threading
from lake.parsing import sandbox
print(sandbox.enter())
for attempt in (
    lambda: socket.socket(socket.AF_INET), lambda: socket.socket(socket.AF_INET6), lambda: socket.socket(socket.AF_UNIX),
    lambda: subprocess.run(["true"]), lambda: os.kill(os.getppid(), 0),
):
    try:
        attempt()
        print("done")
    except PermissionError:
        print("refused")
thread = threading.Thread(target=lambda: print(len(os.listdir("/"))))
thread.start(); thread.join()
"""


@pytest.mark.skipif(not HAS_SECCOMP, reason="no seccomp filter for this system")
def test_no_network_and_no_other_program():
    done = subprocess.run([sys.executable, "-c", ATTEMPTS], capture_output=True, text=True, check=True)
    first, *others, files = done.stdout.split()
    assert first == "True"
    assert others == ["refused"] * 5
    assert int(files) > 0  # files and threads are there as ever


def job(tmp_path, content, name="sales.csv", **limits):
    path = tmp_path / name
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    folder = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    return Job(replace(contract(), limits=Limits(**limits)), path, name, "sales-1", folder)


def read(wanted):
    return process.parse(wanted, lambda rows: None)


def test_a_file_beyond_its_limits_is_refused_and_the_next_is_read(tmp_path):
    large = (HEADER + LINE * 500_000).encode()
    with pytest.raises(FileRefused, match=r"more than 60 MB of memory .* `limits.memory_mb`"):
        read(job(tmp_path, large, memory_mb=60))
    with pytest.raises(FileRefused, match=r"takes more than 1 s to read.*`limits.seconds`"):
        read(job(tmp_path, None, name="never_written.csv", seconds=1))
    scattered = "".join(f"A{i * 7919 % 1_000_003},{i % 500},{i % 997}.25,\n" for i in range(400_000))
    with pytest.raises(FileRefused, match=r"more than 1 MB of rows.*`limits.output_mb`"):
        read(job(tmp_path, (HEADER + scattered).encode(), output_mb=1))
    parsed = read(job(tmp_path, (HEADER + LINE + "A,x,,\n").encode()))
    assert (parsed.rows_read, parsed.good, parsed.rules) == (2, 1, {"type": 1})


def test_what_it_says_is_not_believed(tmp_path):
    wanted = job(tmp_path, (HEADER + LINE).encode())
    told = {"rows_read": 1, "good": 1, "quarantined": 0, "rules": {}, "refused": None}
    told |= {"drift": [], "evolved": [], "control": []}
    assert process._parsed(wanted, {"parsed": told | {"parts": ["rows-0.parquet"]}}).good == 1
    for lie in (told, told | {"parts": ["../../catalog.sqlite"]}, told | {"parts": [], "more": 1}):
        with pytest.raises(FileRefused, match="hostile"):
            process._parsed(wanted, {"parsed": lie})


def test_secrets_of_the_environment_stay_outside(monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    child = process._Child()
    try:
        with open(f"/proc/{child.process.pid}/environ", "rb") as environment:  # noqa: PTH123
            assert b"secret" not in environment.read()
    finally:
        child.kill()


def test_registered_files_are_a_table_like_any_other(tmp_path):
    home, size = company(tmp_path), 12_000
    sales = contract(business_date="sold_on")
    lines = "".join(
        f"A{i},{i % 500},{'' if i % 10 == 0 else '1.25'},2024-01-{i % 28 + 1:02}\n" for i in range(size)
    )
    deliver(home, "sales_1.csv", HEADER + lines)
    load(home, sales)
    before = Lake.of(home).snapshot()
    sums = "SELECT count(*), count(price), sum(price), min(sold_on)::VARCHAR, max(_line) FROM lake.raw.sales"
    first = rows(home, sums)
    assert str(first) == f"[({size}, 10800, Decimal('13500.00'), '2024-01-01', {size + 1})]"
    hostile = 'we"ird; drop'
    wider = contract(columns=(*ITEM_COLUMNS, Column(hostile, "Note", "string")))
    deliver(
        home, "sales_2.csv", HEADER.strip() + ",Note\n" + lines.replace("\n", ",it's\n").replace("A", "B")
    )
    load(home, wider)
    load(home, sales)
    with Lake.of(home).write() as connection:
        connection.execute("DELETE FROM lake.raw.sales WHERE item_id = 'A7' OR price IS NULL")
    [(count, noted, nulls)] = rows(
        home, 'SELECT count(*), count("we""ird; drop"), count(*) FILTER (price IS NULL) FROM lake.raw.sales'
    )
    assert (count, noted, nulls) == (2 * 10_800 - 1, 10_800, 0)
    assert rows(home, 'SELECT count(*) FROM lake.raw.sales WHERE "we""ird; drop" IS NULL') == [(10_799,)]
    with Lake.of(home).read(before) as connection:
        assert connection.execute(sums).fetchall() == first
    # Statistics tell which files a day is in.
    deliver(home, "sales_3.csv", HEADER + lines.replace("2024-01", "2024-03"))
    load(home, sales)
    with Lake.of(home).read() as connection:
        [(_, plan)] = connection.execute(
            "EXPLAIN ANALYZE SELECT count(item_id) FROM lake.raw.sales WHERE sold_on = DATE '2024-03-05'"
        ).fetchall()
    assert "Total Files Read: 1" in plan
