"""The program itself: equal bytes, complete or not, sizes, time and memory."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.companies.deliveries import PROGRAM, SMALL, Made, generate

TINY = {"items": 12, "stores": 2, "centres": 1, "suppliers": 3, "days": 40, "sales_lines": 800}


def _bytes(folder: Path) -> dict[str, bytes]:
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != ".complete"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_another_seed_is_another_world(made: Made, tmp_path: Path) -> None:
    generate(tmp_path / "inbox", **SMALL, seed=8)
    mine, other = _bytes(tmp_path / "inbox"), _bytes(made.inbox)
    not_in_every_month = ("logistics/carrier_event", "logistics/hub_scan")
    assert {n for n in set(mine) ^ set(other) if not n.startswith(not_in_every_month)} == set()
    same = {name for name in mine if mine[name] == other[name]} - {".made"}
    assert same <= {"erp/location.csv", "erp/supplier.csv", "erp/renamed_supplier.csv"}


def test_a_second_run_writes_nothing_unless_a_file_is_gone_or_the_arguments_differ(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    generate(inbox, **TINY)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert "nothing written" in generate(inbox, **TINY).stdout
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    content = _bytes(inbox)
    (inbox / "erp" / "item.csv").unlink()
    generate(inbox, **TINY)
    assert _bytes(inbox) == content
    (inbox / "erp" / "ours.csv").write_text("delivered by a person\n")
    generate(inbox, **{**TINY, "days": 20})
    assert not (inbox / "erp" / "sales_order_line_2026-05.csv").exists()
    assert (inbox / "erp" / "sales_order_line_2026-06.csv").exists()
    assert (inbox / "erp" / "ours.csv").exists()


@pytest.mark.parametrize("files", [1, 25])
def test_killed_half_way_the_next_run_makes_the_same(made: Made, tmp_path: Path, files: int) -> None:
    inbox = tmp_path / "inbox"
    command = [sys.executable, str(PROGRAM), "--out", str(inbox)]
    command += [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if (inbox / ".made").exists() and len((inbox / ".made").read_text().splitlines()) >= files:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (inbox / ".complete").exists()
    assert generate(inbox, **SMALL).returncode == 0
    assert _bytes(inbox) == _bytes(made.inbox)  # also: equal arguments give equal bytes
    assert _bytes(tmp_path / "truth") == _bytes(made.truth)


def test_twice_at_once_ends_as_once(made: Made, tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--out", str(tmp_path / "inbox")]
    command += [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    mine, other = _bytes(tmp_path / "inbox"), _bytes(made.inbox)
    assert _bytes(tmp_path / "truth").keys() == _bytes(made.truth).keys()
    assert {k: v for k, v in mine.items() if k != ".made"} == {k: v for k, v in other.items() if k != ".made"}


@pytest.mark.parametrize(
    "sizes",
    [
        {"items": 1, "stores": 1, "centres": 1, "suppliers": 1, "days": 2, "sales_lines": 1},
        {"items": 3, "stores": 1, "centres": 2, "suppliers": 9, "days": 25, "sales_lines": 100},
        {
            "items": 20,
            "stores": 9,
            "centres": 4,
            "suppliers": 2,
            "days": 70,
            "sales_lines": 3_000,
            "dirt": 20,
        },
    ],
)
def test_odd_sizes_work(sizes: dict[str, int], tmp_path: Path) -> None:
    result = generate(tmp_path / "inbox", **sizes)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "wrong", [{"items": 0}, {"days": 1}, {"dirt": -1}, {"end_date": "soon"}, {"centres": "x"}]
)
def test_impossible_arguments_are_told_and_write_nothing(wrong: dict[str, object], tmp_path: Path) -> None:
    result = generate(tmp_path / "inbox", **wrong)
    assert result.returncode == 2
    assert f"--{next(iter(wrong)).replace('_', '-')}" in result.stderr
    assert not (tmp_path / "inbox").exists()


# A process is told to have had the memory of the one that started it, and a test worker is large: a small one starts it.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def test_full_size_takes_under_30_seconds_of_cpu_and_1500_mb(tmp_path: Path) -> None:
    program = [sys.executable, "-c", MEASURED, sys.executable, str(PROGRAM), "--out", str(tmp_path / "inbox")]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    code, seconds, megabytes = map(float, said.split())
    assert code == 0
    print(f"full size: {seconds:.1f} CPU s, {megabytes:.0f} MB")
    assert seconds < 30
    assert megabytes < 1500
