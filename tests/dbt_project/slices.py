"""A company that is built by slices and whole, in turns, in this process: a start of dbt costs more than such a build."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lake import dbt_files, transform
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from tests.dbt_project import tiny
from tests.dbt_project.changes import Deliveries
from tests.dbt_project.conftest import query, tables

SLICED = {
    "core.fct_sales_order_line", "core.fct_return_match", "core.fct_demand", "core.fct_inventory", "core.fct_price",
    "core.fct_promotion", "core.superseded_sales_order_line", "marts.int_series_span", "marts.item_location_day",
    "marts.item_location_feature",
}  # fmt: skip
CHAIN = " ".join(sorted(name.partition(".")[2] for name in SLICED)) + (
    # Staging's views too: which codes they translate depends on the crosswalk.
    " stg_sales_order_line stg_inventory_snapshot stg_price stg_promotion stg_item stg_location"
    " business_span stockout_day dim_item dim_location dim_unit_conversion fct_exchange_rate int_active_series"
    " int_series_promotion_day"
)
"""The models that are built by slices and what they read: the others are made anew by every build."""


class World:
    """The tiny company; everything random comes from `seed`."""

    may_be_whole = False
    """Whether models may be made anew where that is cheaper."""

    def __init__(
        self, folder: Path, seed: int, *, with_codes: bool = False, with_units: bool = False, **settings: Any
    ) -> None:
        """`with_codes`: codes mean something else now and then; `with_units`: units, money and days are converted."""
        self.compared: set[str] = set()
        tables = tiny.generate().tables
        if with_codes:
            settings["matching"] = {"master": "erp"}
        if with_units:
            tables |= {"unit_conversion": [], "exchange_rate": []}
            settings["business_rules"] = {"sold_at_time_zone": "UTC"}
        self.company = tiny.company(folder, **settings)
        self.lake = Lake.of(self.company)
        for entity, rows in tables.items():
            tiny.write_raw(self.lake, entity, rows)
        contracts = {entity: tiny.contract(entity) for entity in tables}
        if with_units:
            sales = contracts["sales_order_line"]
            more = (("unit", "unit"), ("currency", "currency"))
            contracts["sales_order_line"] = replace(sales, mapping=(*sales.mapping, *more))
            contracts["exchange_rate"] = whole_contract("exchange_rate")
        self.contracts = tuple(contracts.values())
        self.deliveries = Deliveries(self.lake, seed, with_codes=with_codes, with_units=with_units)
        if with_units:
            self.deliveries.factors()
        if with_codes:
            self.deliveries.codes()

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
        self.compared |= whole.keys()
        for name, table in whole.items():
            try:
                assert_frame_equal(by_slices[name], table, rel_tol=1e-9, abs_tol=1e-12)
            except AssertionError as error:
                raise AssertionError(
                    f"{name} after {said}: {error}\n{different(by_slices[name], table)}"
                ) from error


def whole_contract(entity: str) -> Contract:
    """A contract that maps every column of its entity; tiny's leave out what would be converted."""
    made = tiny.contract(entity)
    return replace(made, mapping=tuple((column.name, column.name) for column in made.columns))


def different(one: pl.DataFrame, other: pl.DataFrame) -> str:
    """Show rows that only one of two tables has."""
    with pl.Config(tbl_cols=-1, tbl_width_chars=400):
        sides = [
            a.join(b, on=a.columns, how="anti", nulls_equal=True) for a, b in ((one, other), (other, one))
        ]
        return "\n".join(f"{side.height} rows: {side.head(3)}" for side in sides)


def check_sequence(world: World, steps: int, *, every: int | None = None) -> list[list[str]]:
    """Deliver at random and build by slices, `steps` times; compare with a whole build after `every` of them and at the end.

    Returns what was delivered before each build.
    """
    world.build("staging " + CHAIN)
    said: list[list[str]] = []
    for step in range(1, steps + 1):
        made = world.made()
        said.append([world.deliveries.random() for _ in range(world.deliveries.chance.randint(1, 4))])
        world.build()
        anew = {name for name, uuid in world.made().items() if made[name] != uuid}
        may_be_whole = world.may_be_whole or world.deliveries.with_units or "merged_files" in said[-1]
        assert may_be_whole or not anew, f"{anew} made anew after {said}"
        if step == steps or (every and step % every == 0):
            world.check(said[-(every or steps) :])
    return said


@contextmanager
def dbt_in_process(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run dbt in this process, without tests, and by slices however many there are."""
    from dbt.cli.main import dbtRunner

    def run(
        company: Company, project: transform.DbtProject, arguments: Sequence[str], results: Path | None = None
    ) -> None:
        # A log file would stay open.
        for name, value in (project.env | {"DBT_LOG_LEVEL_FILE": "none"}).items():
            if name != "PYTHONPATH":
                patch.setenv(name, value)
        done = dbtRunner().invoke(["--quiet", *arguments, *project.args])
        assert done.exception is None, done.exception

    variables = dbt_files._variables
    patch.setattr(transform, "_run_dbt", run)
    patch.setattr(dbt_files, "_variables", lambda *of: variables(*of) | {"most_work_of_a_part": 10**6})
    patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    patch.setenv("STOCKLAKE_BUILD_BY_SLICES", "1")
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)
