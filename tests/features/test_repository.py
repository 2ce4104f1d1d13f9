"""The Feast repository end to end on a small lake: apply, history, today's values, training sets, Feast's own CLI."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from feast import Entity, ValueType
from polars.testing import assert_frame_equal

import features.online as online_module
from features import definitions, registry
from features.repository import (
    apply,
    historical,
    materialize,
    newest_moment,
    online,
    open_store,
    record_training_set,
    reproduce_training_set,
)
from features.training import content_sha256
from lake.company import PROJECT_ROOT, Company
from lake.connection import Lake
from lake.errors import InputError, StocklakeError
from lake.releases import Release
from tests.features.conftest import AS_OF, tables

Releaser = Callable[..., Release]
ITEMS = ["I0", "I0", "I1", "I1", "I2", "I2"]
PLACES = ["L0", "L1"] * 3


def python(code: str, company: Company) -> subprocess.Popen[str]:
    head = (
        "import sys; from pathlib import Path; from lake.company import load_company; from features.repository import *;"
        f"company = load_company('example', home=Path({str(company.home.parent)!r}));"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )


def test_apply_works_once_and_then_costs_nothing(company: Company) -> None:
    both = [python("print(apply(company))", company) for _ in range(2)]
    said = sorted(process.communicate()[0].strip() for process in both)
    assert said == ["False", "True"]
    assert [process.returncode for process in both] == [0, 0]
    again = python("print(apply(company), 'feast' in sys.modules, 'pandas' in sys.modules)", company)
    assert again.communicate()[0].strip() == "False False False"


def test_apply_follows_the_definitions(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Entity(name="gone", join_keys=["gone_id"], value_type=ValueType.STRING)
    with monkeypatch.context() as before:
        before.setattr(definitions, "OBJECTS", [*definitions.OBJECTS, old])
        before.setattr(registry, "fingerprint", lambda: "before")
        assert apply(company)
        assert "gone" in [entity.name for entity in open_store(company).list_entities()]
    assert apply(company)
    store = open_store(company)
    assert sorted(entity.name for entity in store.list_entities()) == ["item", "location", "supplier"]
    assert {s.name for s in store.list_feature_services()} == {s.name for s in definitions.SERVICES}
    (company.feast / "registry.db").unlink()
    assert apply(company)


def test_every_definition_says_what_it_is(company: Company) -> None:
    apply(company)
    store = open_store(company)
    for view in store.list_feature_views():
        assert view.ttl and view.owner and view.description and view.tags, view.name
        assert view.batch_source.created_timestamp_column == "known_at"
        for field in view.features:
            assert field.description, field.name
            assert str(field.dtype) == "Bool" or field.tags.get("unit"), field.name


def test_history_is_what_was_known(company: Company, release: Release) -> None:
    day_complete = datetime(2026, 2, 11)
    rows = pl.DataFrame(
        {
            "label": [1.5, 2.5, 3.5, 4.5],
            "location_id": ["L1", "L1", "L9", "L1"],
            "item_id": ["I0", "I0", "I0", "I0"],
            "event_timestamp": [
                day_complete,
                day_complete + timedelta(hours=6),
                day_complete,
                datetime(2026, 4, 20),
            ],
        }
    )
    found = historical(company, release, rows)
    assert_frame_equal(found.select(rows.columns), rows)
    assert found["demand_units"].to_list() == [139.0, 140.0, None, None]
    assert found["unit_price"].to_list() == [2.2345, 2.2345, None, None]
    assert found["on_hand_units"].to_list() == [239.0, 240.0, None, None]
    assert found["is_stockout"].to_list() == [False, True, None, None]
    aware = rows.with_columns(
        pl.col("event_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    assert_frame_equal(historical(company, release, aware).drop(rows.columns), found.drop(rows.columns))


def test_a_correction_that_came_later_changes_no_training_row(
    company: Company, release: Release, release_of: Releaser
) -> None:
    days = pl.datetime_range(datetime(2026, 2, 1), datetime(2026, 3, 20), "1d", eager=True)
    rows = pl.DataFrame({"item_id": ["I1"] * len(days), "location_id": "L0", "event_timestamp": days})
    corrected = release_of(
        "INSERT INTO lake.marts.item_location_feature SELECT * REPLACE (TIMESTAMP '2026-03-21' AS known_at,"
        " -1 AS demand_units, -1 AS mean_28, 0.0001 AS unit_price, -1 AS on_hand_units) FROM lake.marts.item_location_feature"
    )
    before, after = historical(company, release, rows), historical(company, corrected, rows)
    assert_frame_equal(before, after)
    late = rows.head(1).with_columns(event_timestamp=pl.lit(datetime(2026, 3, 21)))
    assert historical(company, corrected, late)["demand_units"].to_list() == [-1.0]


def test_todays_values_are_historys(company: Company, release: Release, moment: datetime) -> None:
    assert newest_moment(company, release) == moment
    done = materialize(company, release)
    assert done["status"] == "written"
    assert {name: rows for name, rows in done["entities"].items() if rows} == {
        "demand_history": 6,
        "price_promotion": 6,
        "inventory": 6,
        "supplier_lead_time": 3,
        "open_orders": 1,
        "calendar": 2,
    }
    rows = pl.DataFrame(
        {
            "item_id": [*ITEMS, "I0", "unknown"],
            "location_id": [*PLACES, "L0", "L0"],
            "supplier_id": ["S0", "S1", "S2", "S0", "S1", "S2", "S0", "S9"],
            "event_timestamp": [moment] * 8,
        }
    )
    for service in ("demand_forecast_v1", "replenishment_v1"):
        then = historical(company, release, rows, service)
        assert_frame_equal(online(company, rows, service), then)
        assert then["on_hand_units"].null_count() == 1
    assert materialize(company, release)["status"] == "unchanged"


def test_what_grew_too_old_is_null_online_too(
    company: Company, release: Release, release_of: Releaser
) -> None:
    materialize(company, release)
    later = release_of(
        "INSERT INTO lake.marts.item_location_feature SELECT * REPLACE (as_of_ts + INTERVAL 20 DAY AS as_of_ts,"
        " known_at + INTERVAL 20 DAY AS known_at) FROM lake.marts.item_location_feature WHERE item_id = 'I0'",
        as_of=AS_OF + timedelta(days=20),
    )
    assert materialize(company, later)["status"] == "written"
    rows = pl.DataFrame({"item_id": ITEMS, "location_id": PLACES}).with_columns(
        event_timestamp=pl.lit(newest_moment(company, later))
    )
    today = online(company, rows)
    assert_frame_equal(today, historical(company, later, rows))
    assert today["demand_units"].is_null().to_list() == [False, False, True, True, True, True]


def test_an_older_release_does_not_overwrite_a_newer(
    company: Company, release: Release, release_of: Releaser
) -> None:
    newer = release_of("UPDATE lake.marts.item_location_feature SET demand_units = 7000")
    materialize(company, newer)
    rows = pl.DataFrame({"item_id": ITEMS, "location_id": PLACES})
    assert materialize(company, release)["status"] == "older"
    assert online(company, rows)["demand_units"].to_list() == [7000.0] * 6


def test_a_killed_write_is_repeated(
    company: Company, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = online_module._write
    with monkeypatch.context() as half:

        def killed(store: object, view: object, moment: datetime) -> int:
            if getattr(view, "name", "") == "price_promotion":
                raise KeyboardInterrupt
            return write(store, view, moment)

        half.setattr(online_module, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            materialize(company, release)
    assert materialize(company, release)["status"] == "written"


def test_an_empty_lake_has_no_features_and_no_trouble(company: Company, release_of: Releaser) -> None:
    empty = release_of(tables())
    assert set(materialize(company, empty)["entities"].values()) == {0}
    rows = pl.DataFrame({"item_id": ["I0"], "location_id": ["L0"], "event_timestamp": [datetime(2026, 4, 1)]})
    assert online(company, rows)["demand_units"].to_list() == [None]
    assert historical(company, empty, rows)["demand_units"].to_list() == [None]
    assert len(historical(company, empty, rows.clear())) == 0


def test_a_training_set_is_made_again_equal(company: Company, release: Release, release_of: Releaser) -> None:
    rows = pl.DataFrame(
        {
            "item_id": ITEMS,
            "location_id": PLACES,
            "event_timestamp": [datetime(2026, 3, 1, 7, tzinfo=UTC)] * 6,
            "label": [1.0, None, 0.1, float("nan"), -0.0, 9.0],
        }
    )
    made = historical(company, release, rows)
    recorded = record_training_set(company, release, made, rows.columns)
    assert record_training_set(company, release, made, rows.columns) == recorded
    release_of("DELETE FROM lake.marts.item_location_feature")
    assert_frame_equal(reproduce_training_set(company, recorded.training_set_id), made)
    with Lake.of(company).read() as connection:
        standing = connection.execute(
            "SELECT release_id, snapshot_id, service, row_count, content_sha256 FROM lake.meta.training_set"
        ).fetchall()
    assert standing == [
        (release.release_id, release.snapshot_id, "demand_forecast_v1", 6, content_sha256(made))
    ]
    with pytest.raises(InputError, match="No training set 'none'"):
        reproduce_training_set(company, "none")
    with Lake.of(company).write() as connection:
        connection.execute("UPDATE lake.meta.training_set SET content_sha256 = 'other'")
    with pytest.raises(StocklakeError, match="cannot be made again"):
        reproduce_training_set(company, recorded.training_set_id)


def test_the_hash_sees_every_change() -> None:
    frame = pl.DataFrame(
        {"a": [1, None, 3], "b": ["x", "", None], "c": [True, False, None], "d": [date(2026, 1, 1)] * 3}
    )
    others = [
        frame.with_columns(a=pl.Series([1, 0, 3])),
        frame.with_columns(b=pl.Series(["", "x", None])),
        frame.with_columns(b=pl.Series(["x", None, None])),
        frame.with_columns(c=pl.Series([True, False, False])),
        frame.rename({"a": "aa"}),
        frame.reverse(),
        frame.head(2),
        frame.with_columns(pl.col("a").cast(pl.Int32)),
    ]
    assert len({content_sha256(other) for other in [frame, frame.clone(), *others]}) == 1 + len(others)


def test_feasts_own_commands_work_from_the_folder(company: Company, release: Release, tmp_path: Path) -> None:
    """In a copy beside a home of its own, because feature_store.yaml names the default home."""
    shutil.copytree(
        PROJECT_ROOT / "features", tmp_path / "features", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / ".stocklake").symlink_to(company.home.parent)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path) + os.pathsep + str(PROJECT_ROOT)}

    command = [str(Path(sys.executable).with_name("feast")), "apply", "--no-progress"]
    done = subprocess.run(
        command, cwd=tmp_path / "features", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(open_store(company, release).list_feature_views()) == len(definitions.VIEWS)
