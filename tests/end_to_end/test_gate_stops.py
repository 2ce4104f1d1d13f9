"""Data that fails its gate stops the way: nothing is planned from it, however a step is launched."""

import json

import pytest

from lake.connection import Lake
from tests.end_to_end.house import House, assert_one_sentence

DOWNSTREAM = ("forecasts.demand_forecast", "plan.replenishment", "orders.proposal", "orders.proposal_line")
BAD_PRICES = (
    "UPDATE lake.marts.supply_option SET unit_price = -1"
    " WHERE item_id = (SELECT min(item_id) FROM lake.marts.supply_option)"
)


def downstream(house: House) -> dict[str, list]:
    """Return everything that stands after the gate, and the online store's time of change."""
    tables = {table: sorted(house.ask(f"SELECT * FROM lake.{table}"), key=repr) for table in DOWNSTREAM}
    stores = sorted(house.company.feast.rglob("*.db"))
    assert stores
    return tables | {"online": [(path.name, path.stat().st_mtime_ns) for path in stores]}


@pytest.fixture(scope="module")
def stopped(own_home: House):
    """Negative prices in a mart, and a run on it. Afterwards marts are built anew and pass."""
    before = downstream(own_home)
    figures = ("series_forecast", "skill_vs_seasonal_naive")
    state = own_home.json("status")
    forecast = [state[figure] for figure in figures]
    good = own_home.ask("SELECT * FROM lake.marts.supply_option ORDER BY ALL")
    with Lake.of(own_home.company).write() as connection:
        rows = connection.execute(BAD_PRICES).fetchone()[0]
    done = own_home.cli("run")
    yield before, rows, done
    again = own_home.cli("run")
    assert again.returncode == 0, again.stderr
    assert own_home.ask("SELECT * FROM lake.marts.supply_option ORDER BY ALL") == good
    state = own_home.json("status")
    assert state["gates_failed"] == 0
    assert [state[figure] for figure in figures] == pytest.approx(forecast, rel=1e-6)
    assert state["last_run"]["orders_proposed"] == 0
    assert (
        sorted(own_home.ask("SELECT * FROM lake.orders.proposal_line"), key=repr)
        == before["orders.proposal_line"]
    )


def test_the_run_stops_at_the_gate_and_says_why(own_home: House, stopped) -> None:
    before, rows, done = stopped
    assert_one_sentence(done, 3, "marts.supply_option", "unit_price", f"{rows} row")
    assert downstream(own_home) == before
    state = own_home.json("status")
    assert state["gates_failed"] >= 1
    assert not state["last_run"]["succeeded"] or state["last_run"]["gates_failed"] >= 1


def test_the_plan_launched_alone_fails_the_same_way(own_home: House, stopped) -> None:
    before, _, _ = stopped
    said = launch(own_home, "plan/replenishment")
    assert not said["success"]
    assert said["exit_codes"] == [3]
    assert "marts.supply_option" in said["descriptions"][0]
    assert "--last-good" in said["descriptions"][0]
    assert downstream(own_home) == before


def test_last_good_passes_the_gate_and_plans_from_the_release_before(own_home: House, stopped) -> None:
    before, _, _ = stopped
    said = launch(own_home, "--last-good", "gate/release", "plan/replenishment")
    assert said == {"success": True, "descriptions": [], "exit_codes": []}
    assert len(own_home.json("releases", "list")) == 1
    assert downstream(own_home) == before


def launch(house: House, *arguments: str) -> dict:
    done = house.python("-m", "tests.end_to_end.launch", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
