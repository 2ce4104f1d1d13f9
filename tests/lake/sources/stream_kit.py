"""What the tests of streams share: a company with the example contracts for telemetry, each test's streams its own."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.company import Company, load_company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.contracts.reading import load_contracts
from lake.ingest import IngestReport, ingest
from lake.ledger import position
from tests.nats import NatsServer

CONTRACTS = Path(__file__).parent / "contracts"


@dataclass
class House:
    """A company that listens to one server. `prefix` goes before the names of its streams and subjects."""

    company: Company
    server: NatsServer
    prefix: str

    @property
    def contracts(self) -> tuple[Contract, ...]:
        return load_contracts(self.company)

    def change(self, dataset: str, **source: Any) -> None:
        """Change settings of a contract's source; None takes one away."""
        path = self.company.contracts / f"{dataset}.odcs.yaml"
        document = yaml.safe_load(path.read_text())
        found = document["servers"][0]["customProperties"][1]["value"]
        found |= source
        for key in [key for key, value in found.items() if value is None]:
            del found[key]
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def stream(self, name: str) -> str:
        return f"{self.prefix}_{name}"

    def make_stream(self, name: str, **configuration: Any) -> None:
        self.server.make_stream(self.stream(name), f"{self.prefix}.{name.lower()}.>", **configuration)

    def publish(self, *messages: Any, subject: str = "till.7.sale", **headers: str) -> int:
        return self.server.publish(((f"{self.prefix}.{subject}", one) for one in messages), **headers)

    def ingest(self, *datasets: str) -> IngestReport:
        report = ingest(self.company, self.contracts, run_id="run", datasets=datasets or ["till_sale"])
        assert all(one.is_balanced for one in report.files)
        return report

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with Lake.of(self.company).read() as connection:
            return connection.execute(query).fetchall()

    def position(self, dataset: str = "till_sale") -> Any:
        return position(Lake.of(self.company), dataset)


def make_house(
    server: NatsServer, folder: Path, monkeypatch: pytest.MonkeyPatch, url: str | None = None
) -> House:
    """Return a company below `folder` whose contracts read streams named after the folder."""
    prefix = "".join(character for character in folder.name if character.isalnum()).lower()
    monkeypatch.setenv("STOCKLAKE_COMPANIES", str(folder / "companies"))
    monkeypatch.setenv("NATS_URL", url or server.url)
    acme = folder / "companies" / "acme"
    shutil.copytree(CONTRACTS, acme / "contracts")
    (acme / "company.yaml").write_text("title: Acme\ncurrency: EUR\n")
    company = load_company("acme", folder / "home")
    company.prepare()
    house = House(company, server, prefix)
    for dataset, stream in (("till_sale", "TILL"), ("dock_scan", "DOCK"), ("vehicle_position", "FLEET")):
        house.change(dataset, stream=house.stream(stream), subjects=f"{prefix}.{stream.lower()}.>")
    return house


def sale(number: int, **changes: Any) -> dict[str, Any]:
    """Return the event of a till; the same number gives the same event."""
    return {
        "event_id": f"E{number:06d}",
        "receipt": {"number": f"R{number // 3}", "line": number % 3 + 1},
        "sold_at": f"2026-03-01T{8 + number // 3600 % 12:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "store_id": "S1",
        "item_id": f"I{number % 5}",
        "quantity": 1 + number % 4,
        "unit_price": 1.5,
        "till": "T7",
    } | changes


def contract(house: House, dataset: str = "till_sale") -> Contract:
    return next(one for one in house.contracts if one.dataset == dataset)


def loaded(house: House) -> list[int]:
    return [number for (number,) in house.rows("SELECT event_id[2:]::INT FROM lake.raw.till_sale ORDER BY 1")]


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
