"""Everything downstream of the gate reads one release, whole."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from lake.catalogs import SqliteCatalog
from lake.connection import Lake
from lake.errors import InputError
from lake.releases import GateRun, Release, create_tables, record_gate_run
from orchestration import frames
from orchestration.house import House, HouseResource


def _release(lake: Lake, name: str, hour: int) -> Release:
    with lake.write() as connection:
        create_tables(connection)
        moment = datetime(2026, 7, 1, hour, tzinfo=UTC).replace(tzinfo=None)
        made = Release(name, hour, f"gate-{name}", moment, date(2026, 6, 30))
        run = GateRun(f"gate-{name}", hour, moment, True, made.as_of, name, (), made)
        record_gate_run(connection, run)
    return made


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite", tmp_path / "writer.lock")
    return Lake(catalog, tmp_path / "data", tmp_path / "spill")


def test_a_run_keeps_its_release_when_another_run_makes_a_newer_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HouseResource, "open", lambda self: House(None, (), lake))  # type: ignore[arg-type]
    resource = HouseResource(company="any", home="any")
    first = _release(lake, "first", 1)
    assert resource.release("run-a") == first
    second = _release(lake, "second", 2)
    assert resource.release("run-a") == first
    assert resource.release("run-b") == second


def test_nothing_is_decided_from_a_plan_that_is_missing(lake: Lake) -> None:
    first, second = _release(lake, "first", 1), _release(lake, "second", 2)
    plan = pl.DataFrame({"item_id": ["A"], "order_quantity_units": [3]})
    with pytest.raises(InputError, match=r"first has no plan\.replenishment yet: materialise plan"):
        frames.read_result(lake, first, "plan.replenishment")
    frames.write_results(lake, first, {"plan.replenishment": plan})
    assert frames.read_result(lake, first, "plan.replenishment").equals(plan)
    with pytest.raises(InputError, match="second has no"):
        frames.read_result(lake, second, "plan.replenishment")


def test_a_table_of_an_older_version_takes_the_columns_that_results_have_now(lake: Lake) -> None:
    first, second = _release(lake, "first", 1), _release(lake, "second", 2)
    older = pl.DataFrame({"item_id": ["A"], "eoq_units": [3.5]})
    newer = older.with_columns(pl.lit("7.25").cast(pl.Decimal(18, 2)).alias("legacy_cost_per_year"))
    frames.write_results(lake, first, {"plan.replenishment": older})
    frames.write_results(lake, second, {"plan.replenishment": newer})
    assert frames.read_result(lake, second, "plan.replenishment").equals(newer)
    assert frames.read_result(lake, first, "plan.replenishment")["legacy_cost_per_year"].to_list() == [None]
