import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import features  # noqa: F401 (before a test imports Feast: it makes that import quick)
from lake.company import Company, load_company
from lake.connection import Lake
from lake.releases import Release

AS_OF = date(2026, 3, 31)

TABLES = """
CREATE OR REPLACE TABLE lake.marts.item_location_day (
    item_id VARCHAR, location_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP, demand_units BIGINT,
    lag_7 BIGINT, lag_14 BIGINT, lag_28 BIGINT, mean_7 DOUBLE, mean_28 DOUBLE, mean_91 DOUBLE, std_28 DOUBLE,
    dow_mean_1 DOUBLE, dow_mean_2 DOUBLE, dow_mean_3 DOUBLE, dow_mean_4 DOUBLE, dow_mean_5 DOUBLE, dow_mean_6 DOUBLE,
    dow_mean_7 DOUBLE, zero_share_28 DOUBLE, days_since_last_sale INTEGER, on_hand_units HUGEINT, is_stockout BOOLEAN,
    unit_price DECIMAL(18, 4), discount_share DECIMAL(18, 6), is_promoted BOOLEAN);
CREATE OR REPLACE TABLE lake.marts.supplier_lead_time (
    supplier_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP, lead_time_mean_days DOUBLE,
    lead_time_std_days DOUBLE, on_time_share DOUBLE, receipts BIGINT);
"""

DAYS = """
INSERT INTO lake.marts.item_location_day
SELECT 'I' || s // 2, 'L' || s % 2, CAST(d AS DATE), d + INTERVAL 1 DAY, d + INTERVAL 30 HOUR,
       n, n - 7, n - 14, n - 28, n + .07, n + .28, n + .91, s + .5, n + .1, n + .2, n + .3, n + .4, n + .5, n + .6,
       n + .7, .25, n % 5, 100 + n, n % 10 = 0, 1.2345 + s, .1, n % 7 = 0
FROM (SELECT d, s, 100 * s + CAST(date_diff('day', DATE '2026-01-01', d) AS BIGINT) AS n
      FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '{as_of}', INTERVAL 1 DAY) AS days (d),
           range(6) AS series (s));
INSERT INTO lake.marts.supplier_lead_time
SELECT 'S' || s, CAST(d AS DATE), d + INTERVAL 1 DAY, d + INTERVAL 1 DAY, 5 + s, 1.5, .9, 10 + s
FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '{as_of}', INTERVAL 9 DAY) AS days (d), range(3) AS suppliers (s);
"""


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = load_company("example", home=tmp_path / "home")
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
    """Six item-locations and three suppliers, a quarter of days, every row known 6 hours after its day."""
    return release_of(TABLES + DAYS.format(as_of=AS_OF))


@pytest.fixture
def moment() -> datetime:
    """The moment at which all of `release` is known."""
    return datetime.combine(AS_OF, datetime.min.time()) + timedelta(hours=30)
