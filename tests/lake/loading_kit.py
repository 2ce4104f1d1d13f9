"""What the tests of loading share: a company in a temporary folder, short contracts, and a look into the lake."""

import os
from pathlib import Path
from typing import Any

import polars as pl

from lake.company import PROJECT_ROOT, Company, CompanySettings
from lake.connection import Lake
from lake.contracts.model import Column, Contract, Location
from lake.ingest import IngestReport, ingest
from lake.period import Period

DATA = Path(os.environ.get("STOCKLAKE_DATA") or PROJECT_ROOT.parent / "shared" / "data")
"""Real data made by others; a test skips where it is absent."""
ITEM_COLUMNS = (
    Column("item_id", "Item", "string", required=True, key=True),
    Column("quantity", "Qty", "integer", required=True, minimum=-5, maximum=500),
    Column("price", "Price", "number", precision=9, scale=2),
    Column("sold_on", "Day", "date"),
)
HEADER = "Item,Qty,Price,Day\n"


def company(tmp_path: Path) -> Company:
    made = Company(
        "test", tmp_path / "company", tmp_path / "home", CompanySettings(title="Test", currency="EUR")
    )
    made.prepare()
    return made


def contract(dataset: str = "sales", columns: tuple[Column, ...] = ITEM_COLUMNS, **changes: Any) -> Contract:
    location = {"path": "${INBOX}/" + dataset + "*.csv", "format": "csv"} | changes.pop("location", {})
    return Contract(
        dataset=dataset,
        path=Path(f"{dataset}.odcs.yaml"),
        version="1.0.0",
        title=dataset,
        description="",
        owner="tests",
        domain="erp",
        location=Location(**location),
        columns=columns,
        **changes,
    )


def deliver(to: Company, name: str, content: str | bytes) -> Path:
    path = to.inbox / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(
    into: Company, *contracts: Contract, run_id: str = "run", period: Period | None = None
) -> IngestReport:
    report = ingest(into, contracts, run_id=run_id, period=period)
    assert all(one.is_balanced for one in report.files)
    return report


def rows(of: Company, query: str) -> list[tuple[Any, ...]]:
    with Lake.of(of).read() as connection:
        return connection.execute(query).fetchall()


def frame(of: Company, query: str) -> pl.DataFrame:
    with Lake.of(of).read() as connection:
        return connection.execute(query).pl()
