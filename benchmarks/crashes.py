"""Claim: whatever dies in between, every row is there exactly once, and a reader never sees a torn state.

    python -m benchmarks.crashes [--json] [--kills 200] [--events 1000000] [--catalog sqlite|postgres]

On the SQLite and on the PostgreSQL catalogue: a loader killed by SIGKILL at points spread over landing, loading, committing
and acknowledging, new files arriving all the while; a disk that fills up; 20 loaders at once on the same 10 files; a reader
all through. Then a stream of events, doubled and out of order, whose broker restarts and loses its store once
(`crashes_stream.py`). A violation is a row missing, doubled or not accounted for, a torn or failed read, a wait of a reader over
1 s (PostgreSQL) or 3 s (SQLite), or a position acknowledged before it was committed. A wait is what a look took without its time
in the queue for a core; `reader_worst_look` tells the parts of the longest: all, in that queue, at its own work.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.crash_loader import PHASES, company
from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.ledger import totals

READER_WAIT_S = {"sqlite": 3.0, "postgres": 1.0}
FILE_ROWS, BAD_ROWS = 2_000, 3
FULL_AT_BYTES = (0, 1 << 14, 1 << 16, 1 << 18, 1 << 20)


@dataclass
class Trial:
    """One catalogue under attack."""

    folder: Path
    lake: Mapping[str, Any]
    seed: int = 0
    kills: int = 0
    rounds: int = 0
    delivered: int = 0
    """Files delivered."""
    events: int = 0
    violations: list[str] = field(default_factory=list)
    kills_by_phase: Counter[str] = field(default_factory=Counter)
    full_disks: int = 0
    """Loaders that met a full disk."""
    looks: int = 0
    waited_s: float = 0.0
    """The reader's longest wait; the queue for a core is left out."""
    worst_look: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.company = company(self.folder, self.lake)
        self.journal = self.folder / "journal.txt"
        self.journal.touch()

    def deliver(self, files: int = 1, rows: int = FILE_ROWS, events: int = FILE_ROWS // 2) -> None:
        """Let files and events arrive that nobody has seen before."""
        for _ in range(files):
            number, self.delivered = self.delivered, self.delivered + 1
            good = "".join(
                f"S{number}-{i},2026-01-{i % 28 + 1:02},{i % 90}\n" for i in range(rows - BAD_ROWS)
            )
            bad = "".join(f"B{number}-{i},2026-01-01,x\n" for i in range(BAD_ROWS))
            self._put(f"sales_{number:05}.csv", "event_id,sold_on,quantity\n" + good + bad)
            stock = "".join(f"K{i},{number}\n" for i in range(rows // 10))
            self._put(f"stock_{number:05}.csv", "event_id,quantity\n" + stock)
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.writelines(f"E{self.events + i},{i}\n" for i in range(events))
        self.events += events

    def _put(self, name: str, text: str) -> None:
        arriving = self.company.home / f".{name}"
        arriving.write_text(text, encoding="utf-8")
        arriving.replace(self.company.inbox / name)

    def start(self, **plan: Any) -> "subprocess.Popen[str]":
        """Start one loader by the plan that `crash_loader.main` takes."""
        self.rounds += 1
        plan = {"lake": dict(self.lake), "run_id": f"run-{self.rounds}", **plan}
        program = "import sys; from benchmarks.crash_loader import main; main(*sys.argv[1:])"
        return subprocess.Popen(
            [sys.executable, "-c", program, str(self.folder), json.dumps(plan)],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **plan: Any) -> dict[str, Any] | None:
        """Run one loader to its end; what it says, or None if it died by its plan."""
        said, complained = (process := self.start(**plan)).communicate()
        if process.returncode == -signal.SIGKILL and plan.get("phase"):
            self.kills += 1
            self.kills_by_phase[plan["phase"]] += 1
            return None
        if process.returncode != 0:
            self.violations.append(f"a loader failed: {complained.strip().splitlines()[-1:]}")
            return None
        answer: dict[str, Any] = json.loads(said)
        self.violations += [f"a loader complained: {problem}" for problem in answer["problems"]]
        return answer

    def kill_often(self, kills: int) -> None:
        """Kill loaders at `kills` points, spread over the phases, their calls and their duration."""
        self.deliver(3)
        measured = self.run()
        assert measured is not None, self.violations
        seconds = {phase: max(measured["seconds"][phase], default=0.01) for phase in PHASES}
        calls = {phase: max(len(measured["seconds"][phase]), 1) for phase in PHASES}
        attempts = 0
        while self.kills < kills and attempts < 3 * kills:
            phase = PHASES[attempts % len(PHASES)]
            self.deliver(self.random.choice([0, 1, 1, 2]))
            call = self.random.randint(1, calls[phase])
            self.run(phase=phase, call=call, delay_s=self.random.uniform(0, seconds[phase]))
            attempts += 1
        self.run()

    def fill_disk(self, limits: Sequence[int] = FULL_AT_BYTES) -> None:
        """Let files stop growing at sizes that hit landing, parsing, the catalogue and the lake; then make room again."""
        for limit in limits:
            self.deliver(1, rows=20_000)
            said, _ = (process := self.start(limit=limit)).communicate()
            self.full_disks += process.returncode != 0 or bool(json.loads(said)["problems"])
        if not self.full_disks:
            self.violations.append("no loader met a full disk: the trial showed nothing")
        self.run()

    def load_at_once(self, loaders: int, files: int) -> None:
        """Let many loaders see the same files at the same moment."""
        self.deliver(files)
        for process in [self.start() for _ in range(loaders)]:
            said, complained = process.communicate()
            if process.returncode != 0 or json.loads(said)["problems"]:
                self.violations.append(
                    f"one of {loaders} loaders failed: {complained.strip().splitlines()[-1:]} {said}"
                )

    @contextlib.contextmanager
    def reader(self, longest_s: float) -> Iterator[None]:
        """Read all through; at the end judge what was seen."""
        stop, report = self.folder / "stop", self.folder / "reader.json"
        arguments = [str(self.folder), json.dumps(dict(self.lake)), str(report), str(stop)]
        program = "import sys; from benchmarks.crash_reader import main; main(*sys.argv[1:])"
        process = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=PROJECT_ROOT)
        try:
            yield
        finally:
            stop.touch()
            process.wait(60)
        seen = json.loads(report.read_text(encoding="utf-8"))
        self.looks, self.waited_s = seen["looks"], round(seen["waited_s"], 2)
        self.worst_look = {part: round(seconds, 2) for part, seconds in seen["worst_look"].items()}
        self.violations += [f"a reader saw {torn}" for torn in seen["torn"]]
        self.violations += [f"a reader failed: {error}" for error in seen["errors"]]
        if seen["waited_s"] > longest_s:
            self.violations.append(f"a reader waited {seen['waited_s']:.2f} s: {self.worst_look}")

    def judge(self) -> None:
        """Compare the lake with what was delivered: every row exactly once, and the identity holds."""
        lake = Lake.of(self.company)
        expected = {
            "sales": self._sales(),
            "stock": {f"K{i}" for i in range(self._largest() // 10)},
            "journal": {f"E{i}" for i in range(self.events)},
        }
        with lake.read() as connection:
            for dataset, keys in expected.items():
                found = [
                    row[0]
                    for row in connection.execute(f"SELECT event_id FROM lake.raw.{dataset}").fetchall()
                ]
                if len(found) != len(set(found)):
                    self.violations.append(f"{dataset}: {len(found) - len(set(found))} rows doubled")
                if missing := keys - set(found):
                    self.violations.append(f"{dataset}: {len(missing)} rows missing, such as {min(missing)}")
                if strange := set(found) - keys:
                    self.violations.append(
                        f"{dataset}: {len(strange)} rows nobody sent, such as {min(strange)}"
                    )
            refused = connection.execute(
                "SELECT count(*), count(DISTINCT raw_text) FROM lake.meta.quarantine"
            ).fetchone()
        if refused != (self.delivered * BAD_ROWS,) * 2:
            self.violations.append(f"quarantine holds {refused} rows, not {self.delivered * BAD_ROWS}")
        counts = totals(lake)
        parts = sum(counts[name] for name in ("loaded", "quarantined", "duplicate", "unchanged"))
        if counts["rows_read"] != parts:
            self.violations.append(f"the identity does not hold: {counts}")

    def _sales(self) -> set[str]:
        names = sorted(self.company.inbox.glob("sales_*.csv"))
        lines = [line for name in names for line in name.read_text(encoding="utf-8").splitlines()[1:]]
        return {line.partition(",")[0] for line in lines if line.startswith("S")}

    def _largest(self) -> int:
        stock = self.company.inbox.glob("stock_*.csv")
        sizes = [len(name.read_text(encoding="utf-8").splitlines()) - 1 for name in stock]
        return max(sizes, default=0) * 10


def attack(
    folder: Path,
    catalog: str,
    lake: Mapping[str, Any],
    *,
    kills: int,
    loaders: int,
    files: int,
    full_at_bytes: Sequence[int] = FULL_AT_BYTES,
    judges_waits: bool = True,
) -> Trial:
    """Return the trial of one catalogue after all attacks on it; `lake` is the block of company.yaml.

    How long a reader waited is judged on a quiet machine only (`judges_waits`).
    """
    trial = Trial(folder, lake)
    with trial.reader(READER_WAIT_S[catalog] if judges_waits else float("inf")):
        trial.kill_often(kills)
        trial.load_at_once(loaders, files)
        trial.fill_disk(full_at_bytes)
    trial.judge()
    return trial


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Start a PostgreSQL of the benchmark's own and place the catalogue there."""
    from tests.postgres import running_postgres

    with running_postgres() as running:
        os.environ["CRASH_CATALOG_PASSWORD"] = running.password
        url = running.new_database().replace(running.password, "${env:CRASH_CATALOG_PASSWORD}")
        yield {"catalog": url}


def main(
    kills: Annotated[int, typer.Option(help="Kills on each catalogue.")] = 200,
    events: Annotated[int, typer.Option(help="Events of the stream; 0 leaves it out.")] = 1_000_000,
    catalog: Annotated[list[str] | None, typer.Option(help="sqlite, postgres; default both.")] = None,
    as_json: bool = typer.Option(False, "--json"),
) -> None:
    """Print the kills and the violations, in all and for each catalogue."""
    result: dict[str, Any] = {"kills": 0, "violations": 0}
    told: list[str] = []
    for name in catalog or ["sqlite", "postgres"]:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stocklake-crashes-")))
            lake = stack.enter_context(_postgres(folder)) if name == "postgres" else {}
            trial = attack(folder, name, lake, kills=kills, loaders=20, files=10)
        result["kills"] += trial.kills
        told += [f"{name}: {violation}" for violation in trial.violations]
        result[name] = {
            "kills": trial.kills,
            "kills_by_phase": dict(trial.kills_by_phase),
            "full_disks": trial.full_disks,
            "violations": len(trial.violations),
            "reader_looks": trial.looks,
            "reader_longest_wait_s": trial.waited_s,
            "reader_worst_look": trial.worst_look,
            "wall_s": round(time.monotonic() - began),
        }
    if events:
        from benchmarks.crashes_stream import stream_trial

        with tempfile.TemporaryDirectory(prefix="stocklake-stream-") as folder:
            stream = stream_trial(events, Path(folder))
        result["stream"] = stream
        result["kills"] += stream["kills"]
        told += [f"stream: {problem}" for problem in stream["problems"]]
    result["violations"] = len(told)
    if as_json:
        print(json.dumps(result | {"told": told}))
    else:
        print("\n".join([*(f"{key:12} {value}" for key, value in result.items()), *told]))


if __name__ == "__main__":
    typer.run(main)
