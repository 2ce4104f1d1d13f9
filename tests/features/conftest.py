import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import features  # noqa: F401 (before a test imports Feast: it makes that import quick)
from lake.company import Company, load_company
from lake.connection import Lake
from lake.releases import Release

AS_OF = date(2026, 3, 31)

CLOSES_AFTER_HOURS = 6

# Types as the mart has them; those of the other marts follow from their views.
TYPES = {
    "demand_units": "BIGINT",
    "lag_7": "HUGEINT",
    "days_since_last_sale": "INTEGER",
    "on_hand_units": "HUGEINT",
    "unit_price": "DECIMAL(18, 4)",
}


def tables() -> str:
    """SQL that makes every mart that features are read from, empty."""
    from features.definitions import SOURCES, VIEWS
    from features.stores.lake import SQL_TYPES

    made = []
    for source in SOURCES:
        columns = {"day": "DATE", "as_of_ts": "TIMESTAMP", "known_at": "TIMESTAMP"}
        for view in VIEWS:
            if view.batch_source.name == source.name:
                for field in [*view.entity_columns, *view.features]:
                    columns[field.name] = TYPES.get(field.name, SQL_TYPES[field.dtype])
        named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        made.append(f"CREATE OR REPLACE TABLE lake.{source.table} ({named});")
    return "\n".join(made)


DAYS = """
INSERT INTO lake.marts.item_location_feature BY NAME
SELECT 'I' || s // 2 AS item_id, 'L' || s % 2 AS location_id, CAST(d AS DATE) AS day, d + INTERVAL 1 DAY AS as_of_ts,
       d + INTERVAL 30 HOUR AS known_at, n AS demand_units, n - 7 AS lag_7, n - 14 AS lag_14, n - 28 AS lag_28,
       n + .07 AS mean_7, n + .28 AS mean_28, n + .91 AS mean_91, s + .5 AS std_28, n AS median_28, n AS p90_28,
       n + .1 AS dow_mean_1, n + .2 AS dow_mean_2, n + .3 AS dow_mean_3, n + .4 AS dow_mean_4, n + .5 AS dow_mean_5,
       n + .6 AS dow_mean_6, n + .7 AS dow_mean_7, .25 AS zero_share_28, 1.5 AS demand_interval_91, .5 AS size_cv2_91,
       n % 5 AS days_since_last_sale, 100 + n AS on_hand_units, 0 AS on_hand_age_days, n % 10 = 0 AS is_stockout,
       1.2345 + s AS unit_price, .1 AS discount_share, n % 7 = 0 AS is_promoted, .14 AS promoted_share_28
FROM (SELECT d, s, 100 * s + CAST(date_diff('day', DATE '2026-01-01', d) AS BIGINT) AS n
      FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '{as_of}', INTERVAL 1 DAY) AS days (d),
           range(6) AS series (s));
INSERT INTO lake.marts.supplier_lead_time BY NAME
SELECT 'S' || s AS supplier_id, CAST(d AS DATE) AS day, d + INTERVAL 1 DAY AS as_of_ts, d + INTERVAL 30 HOUR AS known_at,
       5 + s AS lead_time_mean_days, 1.5 AS lead_time_std_days, 9 AS lead_time_p90_days, .9 AS on_time_share,
       .2 AS late_mean_days, 10 + s AS receipts
FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '{as_of}', INTERVAL 9 DAY) AS days (d), range(3) AS suppliers (s);
INSERT INTO lake.marts.open_order_day BY NAME
SELECT 'I0' AS item_id, 'L0' AS location_id, DATE '2026-02-01' AS day, TIMESTAMP '2026-02-02' AS as_of_ts,
       TIMESTAMP '2026-02-02 06:00:00' AS known_at, 40 AS on_order_units, 2 AS open_order_lines;
INSERT INTO lake.marts.location_calendar_day BY NAME
SELECT 'L' || l AS location_id, CAST(d AS DATE) AS day, d + INTERVAL 1 DAY AS as_of_ts, d + INTERVAL 30 HOUR AS known_at,
       isodow(d) AS day_of_week, month(d) AS month, isodow(d) > 5 AS is_weekend, false AS is_holiday,
       false AS is_holiday_tomorrow, 2 AS days_off_ahead_7
FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '{as_of}', INTERVAL 1 DAY) AS days (d), range(2) AS places (l);
"""


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = load_company("example", home=tmp_path / "home")
    settings = company.settings.model_copy(update={"day_closes_after_hours": CLOSES_AFTER_HOURS})
    company = replace(company, settings=settings)
    company.prepare()
    return company


@pytest.fixture
def release_of(company: Company) -> Callable[..., Release]:
    """Run SQL on the lake and call what then stands a release."""

    def release(sql: str, as_of: date = AS_OF) -> Release:
        lake = Lake.of(company)
        with lake.write() as connection:
            connection.execute(sql)
        with closing(sqlite3.connect(company.catalog)) as catalog:  # a tenth of the time of opening the lake
            snapshot = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()[0]
        return Release(f"release-{snapshot}", snapshot, "gate-run", datetime(2026, 4, 1), as_of)

    return release


@pytest.fixture
def release(release_of: Callable[..., Release]) -> Release:
    """Six item-locations and three suppliers, a quarter of days, every row known when its day closes, 6 hours after it."""
    return release_of(tables() + DAYS.format(as_of=AS_OF))


@pytest.fixture
def moment() -> datetime:
    """The moment at which all of `release` is known."""
    return datetime.combine(AS_OF, datetime.min.time()) + timedelta(hours=30)
