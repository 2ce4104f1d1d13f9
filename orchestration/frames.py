"""Frames between the lake and the models: read at a release, written under its id.

A result belongs to a release: writing it again replaces what stood for that release, in one transaction.
"""

from collections.abc import Mapping

import duckdb
import polars as pl

from lake.connection import Lake, table_exists
from lake.errors import InputError
from lake.releases import Release


def read(lake: Lake, release: Release, table: str, columns: str = "*") -> pl.DataFrame:
    """Return `lake.<table>` (such as 'marts.item_location_day') as it stands in the release."""
    with lake.read(release.snapshot_id) as connection:
        return connection.execute(f"SELECT {columns} FROM lake.{table}").pl()


def read_result(lake: Lake, release: Release, table: str) -> pl.DataFrame:
    """Return what a stage after the gate wrote for the release, without `release_id`.

    Raises `InputError` where the stage has not run for this release: nothing is decided from a result that is missing.
    """
    schema, name = table.split(".")
    with lake.read() as connection:
        if not (table_exists(connection, schema, name) and _is_written(connection, schema, release)):
            raise InputError(
                f"Release {release.release_id} has no {table} yet: materialise {schema} for it first, or run everything."
            )
        return connection.execute(
            f"SELECT * EXCLUDE (release_id) FROM lake.{table} WHERE release_id = ?", [release.release_id]
        ).pl()


_MAIN_TABLE = {"forecasts": "demand_forecast", "plan": "replenishment"}
"""The table of each schema that has rows whenever its stage has run."""


def _is_written(connection: duckdb.DuckDBPyConnection, schema: str, release: Release) -> bool:
    row = connection.execute(
        f"SELECT count(*) FROM lake.{schema}.{_MAIN_TABLE[schema]} WHERE release_id = ?", [release.release_id]
    ).fetchone()
    return bool(row and row[0])


def has_result(lake: Lake, release: Release, schema: str) -> bool:
    """Say whether the stage that writes `schema` has run for the release."""
    with lake.read() as connection:
        return table_exists(connection, schema, _MAIN_TABLE[schema]) and _is_written(
            connection, schema, release
        )


def write_results(lake: Lake, release: Release, frames: Mapping[str, pl.DataFrame]) -> None:
    """Write frames as tables of the release, all of them in one transaction, replacing its earlier ones."""
    with lake.write() as connection:
        for table, frame in frames.items():
            _replace(connection, table, release, frame)


def _replace(
    connection: duckdb.DuckDBPyConnection, table: str, release: Release, frame: pl.DataFrame
) -> None:
    frame = frame.select(pl.lit(release.release_id).alias("release_id"), *frame.columns)
    connection.register("result", frame.to_arrow())
    connection.execute(f"CREATE TABLE IF NOT EXISTS lake.{table} AS SELECT * FROM result LIMIT 0")
    _add_new_columns(connection, table)
    connection.execute(f"DELETE FROM lake.{table} WHERE release_id = ?", [release.release_id])
    connection.execute(f"INSERT INTO lake.{table} BY NAME SELECT * FROM result")
    connection.unregister("result")


def _add_new_columns(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Give a table of an older version the columns that results have now; its earlier rows have none."""
    standing = {row[0] for row in connection.execute(f"DESCRIBE lake.{table}").fetchall()}
    for name, kind, *_ in connection.execute("DESCRIBE result").fetchall():
        if name not in standing:
            connection.execute(f'ALTER TABLE lake.{table} ADD COLUMN "{name}" {kind}')
