"""A small lake made by SQL, as the rooms before this one leave it."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from lake.catalogs import SqliteCatalog
from lake.connection import Lake
from lake.releases import Release, create_tables
from models.replenishment.plan import plan
from tests.models.replenishment.cases import (
    AS_OF,
    forecast,
    locations,
    option,
    options,
    position,
    settings,
    steady,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    folder = tmp_path / "lake"
    catalog = SqliteCatalog(folder / "catalog.sqlite", folder / "writer.lock")
    return Lake(catalog, folder / "data", folder / "spill")


@pytest.fixture
def release_of(lake: Lake) -> Callable[..., Release]:
    """Write a release as the gate does, at the lake's newest snapshot."""

    def make(name: str = "R1", as_of: date = AS_OF) -> Release:
        release = Release(name, lake.snapshot(), f"G-{name}", datetime(2026, 7, 1), as_of)
        with lake.write() as connection:
            create_tables(connection)
            connection.execute(
                "INSERT INTO lake.meta.release VALUES (?, ?, ?, ?, ?, [])",
                [
                    release.release_id,
                    release.snapshot_id,
                    release.gate_run_id,
                    release.released_at,
                    release.as_of,
                ],
            )
        return release

    return make


DEMAND = forecast({("A", "DC"): steady(10, 8), ("A", "ST"): steady(5, 6), ("B", "DC"): steady(2, 3)})


def small_plan(on_hand_a: int = 50, on_hand_b: int = 10, **changes: float) -> pl.DataFrame:
    """Two items bought from S1 and S2 for one centre with one store."""
    return plan(
        DEMAND,
        None,
        locations(DC="DC", ST="DC"),
        position(("A", "DC", on_hand_a, 0, 20), ("B", "DC", on_hand_b, 0, 0)),
        options(
            option(
                "A",
                pack_size_units=24,
                minimum_order_units=48,
                lead_time_mean_days=8.5,
                lead_time_std_days=1.5,
            ),
            option("B", supplier="S2", unit_price=3.335),
        ),
        settings=settings(order_cost=50.0, **changes),
        as_of=AS_OF,
    )
