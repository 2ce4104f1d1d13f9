"""`stocklake features` as a data scientist meets it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from lake.company import Company
from lake.connection import Lake
from lake.errors import InputError, NoRelease, StocklakeError
from lake.releases import Release, create_tables
from orchestration.cli import app
from tests.features.conftest import AS_OF


@pytest.fixture
def run(company: Company) -> Any:
    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app, ["features", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


def _released(company: Company, release: Release) -> None:
    with Lake.of(company).write() as connection:
        create_tables(connection)
        connection.execute(
            "INSERT INTO lake.meta.release VALUES (?, ?, ?, ?, ?, [])",
            [release.release_id, release.snapshot_id, "gate-run", release.released_at, AS_OF],
        )


def test_a_newcomer_finds_a_feature(run: Any) -> None:
    listed = json.loads(run("list", "--json"))
    assert {"mean_28", "days_to_stockout", "competitor_price"} <= {row["feature"] for row in listed}
    assert all(row["meaning"] and row["owner"] and row["keys"] for row in listed)
    forecast = json.loads(run("list", "--service", "demand_forecast_v1", "--json"))
    assert len(forecast) == 22
    shown = run("show", "mean_28")
    for said in ("units/day", "item_location_feature.sql", "demand planning", "replenishment_v1"):
        assert said in shown
    assert "demand_history:mean_28" in run("show", "stock_cover_v1")
    with pytest.raises(InputError, match="No feature, view or service is called 'men_28'"):
        run("show", "men_28")
    with pytest.raises(InputError, match="no service 'v9'"):
        run("list", "--service", "v9")


def test_a_training_set_is_made_and_made_again(
    run: Any, company: Company, release: Release, tmp_path: Path
) -> None:
    _released(company, release)
    home = ("--home", str(company.home.parent))
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "item_id,location_id,event_timestamp,label\nI0,L1,2026-02-11T06:00:00,3\nI9,L1,2026-02-11T06:00:00,\n"
    )
    out, again = tmp_path / "set.parquet", tmp_path / "again.parquet"
    made = json.loads(
        run(
            "training-set",
            "make",
            str(rows),
            "--service",
            "stock_cover_v1",
            "--out",
            str(out),
            "--json",
            *home,
        )
    )
    assert (made["release_id"], made["service"], made["row_count"]) == (
        release.release_id,
        "stock_cover_v1",
        2,
    )
    table = pl.read_parquet(out)
    assert table["on_hand_units"].to_list() == [240.0, None]
    assert table["days_of_cover"].to_list() == [pytest.approx(240 / 140.28), None]
    assert table["days_to_stockout"][0] == pytest.approx(1.7, abs=0.1)
    assert table["days_to_stockout"][1] is None
    said = run("training-set", "again", made["training_set_id"], "--out", str(again), *home)
    assert "equal to those of" in said
    assert_frame_equal(pl.read_parquet(again), table)
    assert made["training_set_id"] in run("training-set", "list", *home)


def test_what_is_wrong_with_entity_rows_is_said(
    run: Any, company: Company, release: Release, tmp_path: Path
) -> None:
    home = ("--home", str(company.home.parent), "--out", str(tmp_path / "out"), "--service", "stock_cover_v1")
    rows = tmp_path / "rows.csv"
    rows.write_text("item_id,location_id\nI0,L1\n")
    with pytest.raises(InputError, match="no column event_timestamp"):
        run("training-set", "make", str(rows), *home)
    with pytest.raises(InputError, match="cannot be read"):
        run("training-set", "make", str(tmp_path / "none.parquet"), *home)
    rows.write_text("item_id,location_id,event_timestamp\nI0,L1,2026-02-11T06:00:00\n")
    with pytest.raises(NoRelease):
        run("training-set", "make", str(rows), *home)
    _released(company, release)
    with pytest.raises(NoRelease, match="no release 'other'"):
        run("training-set", "make", str(rows), "--release", "other", *home)
    rows.write_text("item_id,event_timestamp\nI0,2026-02-11T06:00:00\n")
    with pytest.raises((StocklakeError, ValueError), match="no column location_id"):
        run("training-set", "make", str(rows), *home)


def test_plan_and_apply(run: Any, company: Company) -> None:
    home = ("--home", str(company.home.parent))
    assert "create" in run("plan", *home)
    assert CliRunner().invoke(app, ["features", "plan", "--check", *home]).exit_code == 1
    assert "brought up" in run("apply", *home)
    assert "Nothing had changed" in run("apply", *home)
    assert "as the definitions are" in run("plan", "--check", *home)
