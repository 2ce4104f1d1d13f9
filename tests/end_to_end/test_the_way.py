"""The main job on a small company: what one run leaves behind, and what a second one adds (nothing)."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.repository import reproduce_training_set
from lake.connection import Lake
from lake.releases import current_release
from tests.conftest import SmallHome

FIGURES = {
    "rows_read", "loaded", "quarantined", "duplicate", "unchanged", "files_refused", "gates_passed", "gates_failed",
    "series_forecast", "skill_vs_seasonal_naive", "orders_proposed", "order_value", "release",
}  # fmt: skip


def _json(home: SmallHome, *arguments: str) -> Any:
    done = home.stocklake(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def state(small_home: SmallHome) -> dict[str, Any]:
    return _json(small_home, "status")


def test_status_gives_every_figure_of_all_time_and_of_the_last_run(state: dict[str, Any]) -> None:
    assert set(state) >= FIGURES | {"last_run"}
    assert set(state["last_run"]) >= FIGURES
    for figures in (state, state["last_run"]):
        accounted = figures["loaded"] + figures["quarantined"] + figures["duplicate"] + figures["unchanged"]
        assert figures["rows_read"] == accounted > 0
    assert state["files_refused"] == 0
    assert state["gates_failed"] == 0 and state["gates_passed"] > 100
    assert state["release"].startswith(state["as_of"])


def test_every_series_is_forecast_better_than_by_the_naive_method(
    small_home: SmallHome, state: dict[str, Any]
) -> None:
    lake = Lake.of(small_home.company)
    with lake.read(current_release(lake).snapshot_id) as connection:
        panel = connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT item_id, location_id FROM lake.marts.item_location_day)"
        ).fetchone()
    assert panel is not None and state["series_forecast"] == panel[0]
    assert state["skill_vs_seasonal_naive"] > 0.1


def test_a_second_run_loads_nothing_and_proposes_nothing(
    small_home: SmallHome, state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = small_home.copy_to(tmp_path, monkeypatch)
    before = _json(home, "orders", "list", "--all")
    again = _json(home, "run")
    last = again.pop("last_run")
    assert last["rows_read"] == last["loaded"] == last["orders_proposed"] == last["series_forecast"] == 0
    assert last["succeeded"]
    assert again == {key: value for key, value in state.items() if key != "last_run"}
    assert _json(home, "orders", "list", "--all") == before


def test_every_order_explains_itself_down_to_the_source_line(small_home: SmallHome) -> None:
    orders = _json(small_home, "orders", "list")
    assert orders
    inbox = {path.name: path for path in small_home.company.inbox.rglob("*.csv")}
    checked = 0
    for order in orders:
        for line in _json(small_home, "orders", "explain", order["order_id"])["lines"]:
            for fact in line["facts"]:
                if fact["file"] in inbox and fact["kind"] != "freight rate":
                    text = inbox[fact["file"]].read_bytes().splitlines()[fact["line"] - 1].decode("latin-1")
                    assert line["order"]["item_id"] in text, fact
                    checked += 1
    assert checked >= len(orders)


def test_the_exported_orders_are_the_open_proposals(small_home: SmallHome) -> None:
    listed = {order["order_id"]: order["total_cost"] for order in _json(small_home, "orders", "list")}
    exports = small_home.company.exports
    exported = json.loads((exports / "purchase_orders.json").read_text(encoding="utf-8"))
    assert {order["order_id"] for order in exported} == set(listed)
    workbook = pl.read_excel(exports / "purchase_orders.xlsx", sheet_id=1, has_header=False)
    cells = {cell for row in workbook.rows() for cell in row}
    assert set(listed) <= cells


def test_the_training_set_of_the_forecast_can_be_made_again(small_home: SmallHome) -> None:
    with Lake.of(small_home.company).read() as connection:
        made = connection.execute("SELECT training_set_id, row_count FROM lake.meta.training_set").fetchall()
    assert made
    for training_set_id, row_count in made:
        assert len(reproduce_training_set(small_home.company, training_set_id)) == row_count


def test_the_journal_has_the_cost_of_every_stage(small_home: SmallHome) -> None:
    with Lake.of(small_home.company).read() as connection:
        steps = connection.execute("SELECT stage, cpu_s, peak_mb FROM lake.meta.run_step").fetchall()
    assert [stage for stage, *_ in steps] == [
        "raw",
        "matching",
        "transform",
        "gate",
        "features",
        "forecasts",
        "plan",
        "orders",
    ]
    assert all(cpu_s > 0 and peak_mb > 50 for _, cpu_s, peak_mb in steps)


def test_the_catalogue_shows_every_table_and_where_each_column_of_marts_comes_from(
    small_home: SmallHome, tmp_path: Path
) -> None:
    told = _json(small_home, "docs", "--out", str(tmp_path / "site"))
    site = Path(told["page"]).parent
    page = (site / "marts.item_location_day.html").read_text(encoding="utf-8")
    for source in ("core.fct_demand.html#demand_units", "core.fct_price.html#unit_price"):
        assert f'href="{source}"' in page
    assert (site / "plan.replenishment.html").is_file() and (site / "raw.sales_order_line.html").is_file()
    assert told["tables"] > 50
