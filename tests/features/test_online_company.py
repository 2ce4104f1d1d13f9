"""A company that names Redis in its company.yaml: written, pushed to and read as from SQLite."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.registry import settings
from features.repository import historical, materialize, online, open_store
from lake.company import Company, CompanySettings
from lake.errors import StocklakeError
from lake.releases import Release
from tests.features.stores.online_kit import redis_server


@pytest.fixture
def company(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    with redis_server(tmp_path) as url:
        monkeypatch.setenv("REDIS_OF_TEST", url)
        online_settings = {"redis": "${env:REDIS_OF_TEST}"}
        written = company.settings.model_dump(exclude={"online"}) | {"online": online_settings}
        yield replace(company, settings=CompanySettings.model_validate(written))


def test_redis_holds_what_history_says_and_newer_pushes(
    company: Company, release: Release, moment: datetime
) -> None:
    materialize(company, release)
    rows = pl.DataFrame(
        {"item_id": ["I0", "I2", None], "location_id": ["L1", "L0", "L0"], "event_timestamp": [moment] * 3}
    )
    then = historical(company, release, rows)
    assert then["demand_units"].null_count() == 1
    assert_frame_equal(online(company, rows), then)
    pushed = {"item_id": ["I0"], "location_id": ["L1"], "on_hand_units": [3.0], "on_hand_age_days": [0]}
    pushed |= {"is_stockout": [False]}
    moments = {"as_of_ts": [moment + timedelta(hours=1)], "known_at": [moment + timedelta(hours=1)]}
    open_store(company).write_to_online_store("inventory", pl.DataFrame(pushed | moments).to_pandas())
    (company.feast / "online.json").unlink()
    assert materialize(company, release)["status"] == "written"
    assert online(company, rows)["on_hand_units"].to_list() == [3.0, then["on_hand_units"][1], None]
    assert str(settings(company)).count("127.0.0.1") == 0


def test_what_is_no_redis_is_refused(company: Company) -> None:
    for wrong in ("localhost:6379", "http://redis", "${env:A}${env:B}"):
        with pytest.raises(ValueError, match="redis://host:6379/0"):
            CompanySettings.model_validate({"title": "T", "currency": "EUR", "online": {"redis": wrong}})
    gone = replace(company, settings=company.settings.model_copy(deep=True))
    gone.settings.online.redis.template = "redis://127.0.0.1:1/0"  # type: ignore[union-attr]
    with pytest.raises(StocklakeError, match=r"127\.0\.0\.1:1 cannot be reached"):
        online(gone, pl.DataFrame({"item_id": ["I0"], "location_id": ["L0"]}))
