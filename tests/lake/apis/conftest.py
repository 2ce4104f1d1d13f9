import json
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from lake.company import Company
from lake.contracts.model import Column, Contract
from lake.contracts.source_settings import KINDS, load
from lake.errors import SourceFailed
from lake.sources.apis.bodies import lookup
from lake.sources.port import Position, Source
from tests.lake import loading_kit
from tests.lake.apis.server import Api, Record, serving

COLUMNS = (
    Column("id", "id", "integer", required=True, key=True),
    Column("quantity", "quantity", "integer", required=True),
    Column("changed_at", "changed_at", "timestamp", required=True),
)
FAULTS = (
    "reset",
    "drop",
    "cut_chunked",
    "cut_json",
    "cut_gzip",
    "html",
    "error",
    "status:503",
    "status:429 0",
)


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api()) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def records(count: int, first: int = 1) -> list[Record]:
    return [
        {"id": number, "quantity": number * 2, "changed_at": f"2024-01-{1 + number // 86400:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"}
        for number in range(first, first + count)
    ]  # fmt: skip


def contract(api: Api, path: str, *, records_path: str | None = "rows", **changes: Any) -> Contract:
    """Return a contract of the test API; settings of the source are those with other names than the contract's."""
    limits = {"backoff_s": 0.001, "timeout_s": 5, "attempts": 5} | changes.pop("limits", {})
    known = {"write_mode", "duplicates", "columns", "dataset", "partition_by"}
    settings = {key: changes.pop(key) for key in list(changes) if key not in known}
    settings = {"kind": "rest", "url": api.url(path), "limits": limits, **settings}
    source = load(KINDS[settings["kind"]][0]).model_validate(settings)
    changes = {"write_mode": "upsert", "columns": COLUMNS} | changes
    location = {"path": "", "format": "json", "records_path": records_path}
    made = loading_kit.contract(source=source, location=location, **changes)
    assert not list(source.problems(made))
    return made


@dataclass
class Fetched:
    """What one fetch brought: its records, the position after each arrival, and how it ended."""

    records: list[Record] = field(default_factory=list)
    positions: list[Position | None] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    error: str = ""

    @property
    def ids(self) -> list[int]:
        return [one["id"] for one in self.records]

    @property
    def position(self) -> Position | None:
        """The position that a loader would have committed last."""
        return next((one for one in reversed(self.positions) if one is not None), None)


def fetched(company: Company, contract: Contract, position: Position | None = None) -> Fetched:
    """Fetch as the loader does, without loading."""
    assert contract.source is not None
    source: Source = load(KINDS[contract.source.kind][1])(company, contract)
    found = Fetched()
    try:
        with closing(source):
            for arrival in source.deliveries(position):
                found.files.append(arrival.path.read_bytes())
                found.positions.append(arrival.position)
                with tarfile.open(arrival.path) as archive:
                    for member in archive:
                        page = json.load(archive.extractfile(member))  # type: ignore[arg-type]
                        found.records += lookup(page, contract.location.records_path or "")
                arrival.path.unlink()
    except SourceFailed as error:
        found.error = str(error)
    return found
