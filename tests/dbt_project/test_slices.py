"""What is built by slices equals what is built whole, whatever was delivered in between (macros/slices.sql)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dbt.cli.main import dbtRunner
from polars.testing import assert_frame_equal

from lake import dbt_files, transform
from lake.company import Company
from lake.connection import Lake
from tests.dbt_project import tiny
from tests.dbt_project.changes import Deliveries
from tests.dbt_project.conftest import query, tables

SLICED = {
    "core.fct_sales_order_line", "core.fct_return_match", "core.fct_demand", "core.fct_inventory",
    "marts.int_series_span", "marts.item_location_day",
}  # fmt: skip
CHAIN = (
    " ".join(sorted(name.partition(".")[2] for name in SLICED))
    + " business_span fct_price fct_promotion stockout_day dim_item"
)
"""The models that are built by slices and what they read: the others are made anew by every build."""


class World:
    """The tiny company, built anew or by slices, in this process: a start of dbt costs more than such a build."""

    def __init__(self, folder: Path, seed: int, **settings: Any) -> None:
        self.company = tiny.company(folder, **settings)
        raw = tiny.generate()
        self.lake = Lake.of(self.company)
        for entity, rows in raw.tables.items():
            tiny.write_raw(self.lake, entity, rows)
        self.contracts = tuple(tiny.contract(entity) for entity in raw.tables)
        self.deliveries = Deliveries(self.lake, seed)

    def build(self, select: str = CHAIN, **options: Any) -> None:
        transform.build(self.company, self.contracts, select, **options)

    def made(self) -> dict[str, str]:
        """The identity of each table that is built by slices: another one, where it was made anew."""
        rows = query(
            self.company,
            "select schema_name || '.' || table_name, table_uuid::varchar from __ducklake_metadata_lake.main.ducklake_table as t"
            " join __ducklake_metadata_lake.main.ducklake_schema as s using (schema_id) where t.end_snapshot is null",
        ).rows()
        return {name: uuid for name, uuid in rows if name in SLICED}

    def check(self, said: object) -> None:
        """Compare what stands with what a whole build makes of the same raw tables; that then stands."""
        by_slices = tables(self.company)
        self.build(whole=True)
        whole = tables(self.company)
        assert by_slices.keys() == whole.keys()
        for name, table in whole.items():
            try:
                assert_frame_equal(by_slices[name], table, rel_tol=1e-9, abs_tol=1e-12)
            except AssertionError as error:
                raise AssertionError(
                    f"{name} after {said}: {error}\n{different(by_slices[name], table)}"
                ) from error


def different(one: pl.DataFrame, other: pl.DataFrame) -> str:
    with pl.Config(tbl_cols=-1, tbl_width_chars=400):
        return f"{one.join(other, on=one.columns, how='anti', nulls_equal=True).head(3)}\n{other.join(one, on=one.columns, how='anti', nulls_equal=True).head(3)}"


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def run(
        company: Company, project: transform.DbtProject, arguments: Sequence[str], results: Path | None = None
    ) -> None:
        for name, value in project.env.items():
            if name != "PYTHONPATH":
                monkeypatch.setenv(name, value)
        done = dbtRunner().invoke(["--quiet", *arguments, *project.args])
        assert done.exception is None, done.exception

    variables = dbt_files._variables
    monkeypatch.setattr(transform, "_run_dbt", run)
    # Small tables are built whole sooner; here slices are to be built however many they are.
    monkeypatch.setattr(dbt_files, "_variables", lambda *of: variables(*of) | {"most_work_of_a_part": 10**6})
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    before = Path.cwd()
    yield
    os.chdir(before)


def check_sequence(folder: Path, seed: int, steps: int, every: int, **settings: Any) -> None:
    world = World(folder, seed, **settings)
    world.build("staging " + CHAIN)
    said: list[list[str]] = []
    for step in range(1, steps + 1):
        made = world.made()
        said.append([world.deliveries.random() for _ in range(world.deliveries.chance.randint(1, 3))])
        world.build()
        assert world.made() == made, said
        if step % every == 0:
            world.check(said)
            said = []


def test_any_sequence_of_deliveries_gives_what_a_whole_build_gives(tmp_path: Path) -> None:
    check_sequence(tmp_path, seed=1, steps=6, every=3)
