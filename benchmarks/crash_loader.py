"""The loader that `benchmarks.crashes` kills: one ingest over a company, dead at a chosen point of a chosen phase.

The phases are the product's own functions, wrapped here: nothing in the product knows of it. A point is (phase, which call
of it, how long after it began), so that kills spread over landing, loading, committing and acknowledging.
"""

import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lake.fetching
import lake.landing
import lake.loading
from lake.company import Company, CompanySettings
from lake.contracts.model import Column, Contract, Location
from lake.contracts.source_settings import KINDS, SourceSettings
from lake.ingest import ingest
from lake.sources.port import Arrival, Position

PHASES = ("landing", "loading", "committing", "acknowledging")
BATCH_ROWS, MOST_BATCHES = 500, 20
"""What killed loaders left behind is caught up in larger batches."""


class JournalSettings(SourceSettings):
    """A log that is read from an offset and told how far it was taken: what a broker does, in two files."""

    journal: str


class Journal:
    """The source of it."""

    def __init__(self, company: Company, contract: Contract) -> None:
        assert isinstance(contract.source, JournalSettings)
        self.path, self.folder = Path(contract.source.journal), company.arriving
        self.folder.mkdir(parents=True, exist_ok=True)
        # Looked at before the position is: another loader may commit and acknowledge in between.
        self.acknowledged = _number(self.path.with_suffix(".acknowledged"))

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        events = self.path.read_text(encoding="utf-8").splitlines()
        start = int(position["offset"]) if position else 0
        if self.acknowledged > start:
            raise AssertionError(f"acknowledged {self.acknowledged}, but only {start} is committed")
        rows = max(BATCH_ROWS, (len(events) - start) // MOST_BATCHES)
        for first in range(start, len(events), rows):
            batch = events[first : first + rows]
            arrival = self.folder / f"journal-{os.getpid()}-{first}.csv"
            arrival.write_text("event_id,quantity\n" + "\n".join(batch) + "\n", encoding="utf-8")
            end = first + len(batch)
            yield Arrival(
                f"journal-{first:08}.csv", arrival, {"offset": end}, lambda end=end: self._acknowledge(end)
            )

    def _acknowledge(self, end: int) -> None:
        _acknowledge(self.path.with_suffix(".acknowledged"), end)

    def close(self) -> None:
        pass


def _acknowledge(path: Path, end: int) -> None:
    half_made = path.with_suffix(f".{os.getpid()}")
    half_made.write_text(str(end), encoding="utf-8")
    half_made.replace(path)


def _number(path: Path) -> int:
    return int(path.read_text(encoding="utf-8")) if path.exists() else 0


KINDS["journal"] = (f"{__name__}:JournalSettings", f"{__name__}:Journal")


def company(folder: Path, lake: Mapping[str, Any]) -> Company:
    """Return the company of the trial; `lake` is the block of company.yaml that places the catalogue."""
    settings = CompanySettings.model_validate({"title": "Crash", "currency": "EUR", "lake": dict(lake)})
    made = Company("crash", folder / "company", folder / "home", settings)
    made.prepare()
    return made


def contracts(folder: Path) -> list[Contract]:
    """Return three datasets: files that append, files that upsert, a journal that commits its offset."""
    quantity = Column("quantity", "quantity", "integer", required=True, minimum=0)
    key = Column("event_id", "event_id", "string", required=True, key=True)
    day = Column("sold_on", "sold_on", "date", required=True)

    def contract(name: str, columns: tuple[Column, ...], path: str = "", **more: Any) -> Contract:
        location = Location(path, "csv")
        return Contract(
            name, Path(f"{name}.odcs.yaml"), "1.0.0", name, "", "crash", "erp", location, columns, **more
        )

    return [
        contract("sales", (key, day, quantity), "${INBOX}/sales_*.csv", optional=True),
        contract("stock", (key, quantity), "${INBOX}/stock_*.csv", write_mode="upsert", optional=True),
        contract(
            "journal",
            (key, quantity),
            source=JournalSettings(kind="journal", journal=str(folder / "journal.txt")),
        ),
    ]


class _Doom:
    """Kills this process `delay_s` after the `call`-th call of `phase` began; without a phase it only measures."""

    def __init__(self, phase: str | None, call: int, delay_s: float) -> None:
        self.phase, self.call, self.delay_s = phase, call, delay_s
        self.calls: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        work: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            self.calls[phase] += 1
            if phase == self.phase and self.calls[phase] == self.call:
                threading.Thread(target=self._kill, daemon=True).start()
            began = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds[phase].append(time.perf_counter() - began)

        setattr(owner, name, watched)

    def _kill(self) -> None:
        time.sleep(self.delay_s)
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, plan: str) -> None:
    """Run one ingest by the plan (JSON: lake, run_id, phase, call, delay_s, limit) and print what it did as JSON."""
    told = json.loads(plan)
    if "limit" in told:  # no file grows beyond it, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["limit"], told["limit"]))
    doom = _Doom(told.get("phase"), told.get("call", 1), told.get("delay_s", 0.0))
    for module in (lake.landing, lake.fetching):  # wherever the name is looked up
        doom.wrap(module, "land_file", "landing")
    doom.wrap(lake.loading.Loader, "load", "loading")
    doom.wrap(lake.loading.Loader, "commit", "committing")
    doom.wrap(sys.modules[__name__], "_acknowledge", "acknowledging")
    report = ingest(company(Path(folder), told["lake"]), contracts(Path(folder)), run_id=told["run_id"])
    print(json.dumps({"problems": report.problems, "totals": report.totals, "seconds": doom.seconds}))
