from pathlib import Path

import pytest

from lake.quality.fingerprint import input_fingerprint, last_change
from lake.quality.suites import all_rules
from tests.lake.quality.house import House, new_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return new_house(tmp_path_factory.mktemp("lake"))


def fingerprint(house: House) -> str:
    snapshot = house.lake.snapshot()
    with house.lake.read(snapshot) as connection:
        return input_fingerprint(connection, snapshot, all_rules(house.contracts))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO lake.raw.items SELECT * FROM lake.raw.items LIMIT 1",
        "INSERT INTO lake.raw.items SELECT item_id, item_name, _delivery_id, _file, _sheet, _line, _known_at"
        " FROM lake.raw.items, range(5000)",
        "UPDATE lake.core.fct_inventory SET on_hand_units = 41 WHERE item_id = 'I0' AND location_id = 'L0'",
        "DELETE FROM lake.marts.item_location_day WHERE day = DATE '2026-03-04'",
        "CREATE OR REPLACE TABLE lake.marts.as_of AS SELECT DATE '2026-03-10' AS as_of",
        "ALTER TABLE lake.core.dim_item ADD COLUMN colour VARCHAR",
        "CREATE TABLE lake.core.fct_new AS SELECT 1 AS x",
        "DROP TABLE lake.core.fct_new",
        "CREATE VIEW lake.marts.seen AS SELECT 1 AS x",
        "UPDATE lake.meta.delivery SET quarantined = 0, duplicate = 3 WHERE delivery_id = 'd1'",
    ],
)
def test_it_changes_with_what_the_gate_reads(house: House, sql: str) -> None:
    before = fingerprint(house)
    assert fingerprint(house) == before
    house.execute(sql)
    assert fingerprint(house) != before


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE OR REPLACE TABLE lake.plan.replenishment AS SELECT 1 AS x",
        "CREATE OR REPLACE TABLE lake.plan.replenishment AS SELECT 2 AS x",
        "DROP TABLE lake.plan.replenishment",
        "CREATE VIEW lake.staging.stg_item AS SELECT * FROM lake.raw.items",
        "CREATE TABLE IF NOT EXISTS lake.meta.run AS SELECT 1 AS x",
        "INSERT INTO lake.meta.delivery SELECT * FROM lake.meta.delivery WHERE delivery_id = 'd3'",
    ],
)
def test_it_stays_when_something_else_changes(house: House, sql: str) -> None:
    before = fingerprint(house)
    house.execute(sql)
    assert fingerprint(house) == before


def test_it_changes_with_the_rules(house: House) -> None:
    snapshot = house.lake.snapshot()
    with house.lake.read(snapshot) as connection:
        rules = all_rules(house.contracts)
        assert input_fingerprint(connection, snapshot, rules) != input_fingerprint(
            connection, snapshot, rules[1:]
        )


def test_an_expired_snapshot_is_never_taken_for_no_change(tmp_path: Path) -> None:
    house = new_house(tmp_path)
    before = fingerprint(house)
    house.execute("UPDATE lake.core.fct_inventory SET on_hand_units = 1")
    changed = house.lake.snapshot()
    house.execute("CREATE TABLE lake.meta.run AS SELECT 1 AS x")
    from lake.connection import memory_connection

    with memory_connection() as connection:
        house.lake.prepare(connection)
        connection.execute(house.lake.attach_sql(read_only=False))
        connection.execute("CALL ducklake_expire_snapshots('lake', versions => [?])", [changed])
    newest = house.lake.snapshot()
    with house.lake.read(newest) as connection:
        assert last_change(connection, newest) == f"unknown at {newest}"
    assert fingerprint(house) != before
