"""What the tests of databases share: a table, its contract, and a fetch without a lake."""

import re
from contextlib import closing

import polars as pl
import psycopg2

from lake.contracts.model import Column, KnownAt
from lake.sources.databases.settings import DatabaseSettings
from lake.sources.databases.tables import DatabaseSource
from tests.lake.loading_kit import contract

COLUMNS = (
    Column("line_id", "line_id", "integer", required=True, key=True),
    Column("item", "item", "string", required=True),
    Column("price", "price", "number", precision=12, scale=4),
    Column("changed_at", "changed_at", "timestamp"),
    Column("is_deleted", "is_deleted", "boolean", required=True, default="false"),
)
TABLE = """
CREATE TABLE line (
    line_id int PRIMARY KEY, item text NOT NULL, price numeric(12, 4), changed_at timestamptz DEFAULT clock_timestamp()
)
"""


def source(url: str, **settings: object) -> DatabaseSettings:
    asked = {} if "query" in settings else {"table": "line"}
    url = re.sub(r":[0-9a-f]{16}@", ":${env:TEST_PASSWORD}@", url)
    return DatabaseSettings.model_validate({"kind": "database", "url": url} | asked | settings)


def lines(url: str, columns=COLUMNS, write_mode: str = "upsert", **settings: object):
    has_deletions = write_mode in ("upsert", "history") and any(one.name == "is_deleted" for one in columns)
    changes = {
        "write_mode": write_mode,
        "location": {"path": "", "format": "parquet"},
        "known_at": KnownAt("changed_at") if any(one.name == "changed_at" for one in columns) else KnownAt(),
        "deletion_column": "is_deleted" if has_deletions else None,
    }
    kept = tuple(one for one in columns if has_deletions or one.name != "is_deleted")
    made = contract("line", kept, source=source(url, **settings), **changes)
    assert not list(made.source.problems(made))
    return made


def run(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def fetched(home, made, position=None) -> tuple[pl.DataFrame, list[dict[str, object]]]:
    """Fetch without a lake: all rows in order, and the positions that they lead to."""
    reading, frames, positions = DatabaseSource(home, made), [], []
    with closing(reading):
        for arrival in reading.deliveries(position):
            frames.append(pl.read_parquet(arrival.path).with_columns(pl.lit(arrival.name).alias("file")))
            positions.append(arrival.position)
    return (pl.concat(frames) if frames else pl.DataFrame()), positions
