"""The ingest step as people start it in the UI: one dataset, a range of days; and the sensor of sources that are fetched."""

import dagster as dg

from benchmarks.crash_loader import JournalSettings
from lake.contracts.model import Column
from orchestration.defs.landing.sensor import fetch_sensor
from orchestration.defs.raw.assets import raw_assets
from orchestration.house import House
from tests.lake.loading_kit import HEADER, contract, deliver, rows
from tests.orchestration.kit import open_tiny, resource_over


def materialize(house: House, dataset: str, **config: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [raw_assets(house)],
        resources={"house": resource_over(house)},
        selection=[dg.AssetKey(["landing", dataset]), dg.AssetKey(["raw", dataset])],
        run_config={"ops": {"ingest": {"config": config}}},
    )


def metadata(result: dg.ExecuteInProcessResult, *key: str) -> dict[str, object]:
    event = next(
        e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(list(key))
    )
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_one_dataset_alone_says_what_became_of_its_rows(tmp_path):
    house = open_tiny(tmp_path, contract("item"), contract("sales"))
    deliver(house.company, "item_1.csv", HEADER + "A1,1,2.50,2024-01-05\n")
    deliver(house.company, "sales_1.csv", HEADER + "A1,1,2.50,2024-01-05\nA2,x,2.50,2024-01-05\n")
    result = materialize(house, "sales")
    assert result.success
    assert rows(
        house.company, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'raw'"
    ) == [("sales",)]
    shown = metadata(result, "raw", "sales")
    assert (shown["loaded"], shown["quarantined"], shown["quarantined_share"]) == (1, 1, 0.5)
    assert "type: 1" in str(shown["quarantine"])
    assert "stocklake quarantine show sales" in str(shown["quarantine"])
    assert metadata(result, "landing", "sales")["files"] == 1
    checks = result.get_asset_check_evaluations()
    assert [(check.asset_key.path[-1], check.passed) for check in checks] == [("sales", True)]


def test_a_refused_file_is_named_where_people_look(tmp_path):
    house = open_tiny(tmp_path)
    deliver(house.company, "sales_1.csv", "")
    result = dg.materialize(
        [raw_assets(house)], resources={"house": resource_over(house)}, raise_on_error=False
    )
    assert "sales_1.csv is empty" in str(metadata(result, "landing", "sales")["refused_files"])
    assert not result.get_asset_check_evaluations()[0].passed


def test_a_range_of_days_brings_in_no_others(tmp_path):
    house = open_tiny(tmp_path)
    for day in (1, 2, 3):
        deliver(house.company, f"sales_2026-01-0{day}.csv", HEADER + f"A{day},1,2.50,2026-01-0{day}\n")
    assert materialize(house, "sales", since="2026-01-02", until="2026-01-02").success
    assert rows(house.company, "SELECT item_id FROM lake.raw.sales") == [("A2",)]


def journal(poll_minutes: float | None) -> JournalSettings:
    return JournalSettings(kind="journal", journal="nowhere", poll_minutes=poll_minutes)


def test_each_interval_of_a_source_starts_one_run(tmp_path, monkeypatch):
    columns = (Column("event_id", "event_id", "string", required=True, key=True),)
    house = open_tiny(
        tmp_path,
        contract("sales"),
        contract("often", columns, source=journal(10), location={"path": ""}),
        contract("seldom", columns, source=journal(60), location={"path": ""}),
        contract("daily", columns, source=journal(None), location={"path": ""}),
    )
    definitions = dg.Definitions(
        assets=[raw_assets(house)], sensors=[fetch_sensor(house)], resources={"house": resource_over(house)}
    )
    sensor = fetch_sensor(house)
    clock = 3_600_000.0
    monkeypatch.setattr("time.time", lambda: clock)

    def tick(cursor: str | None) -> tuple[list[str], str | None]:
        context = dg.build_sensor_context(cursor=cursor, definitions=definitions)
        found = sensor(context)
        if isinstance(found, dg.SkipReason):
            return [], cursor
        return [request.run_key for request in found.run_requests], found.cursor

    first, cursor = tick(None)
    assert first == ["often-6000", "seldom-1000"]
    assert tick(cursor) == ([], cursor)
    clock += 11 * 60
    assert tick(cursor)[0] == ["often-6001"]
