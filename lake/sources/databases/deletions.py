"""What was deleted at the source: keys that raw holds and the source does not, as rows that say so (tombstones)."""

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from lake.connection import Lake, table_exists
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.databases.parquet_files import Piece, PieceWriter

BATCH_ROWS = 100_000


def tombstones(
    lake: Lake, snapshot: int, contract: Contract, keys: pa.RecordBatchReader, folder: Path, now: datetime
) -> Piece | None:
    """Return a file with a tombstone for each live key of raw (at a snapshot of the lake) that `keys` do not have.

    `keys` holds the key columns under their names in the source. Raises `SourceFailed` when it is empty and raw is not.
    """
    there = _spool(keys, folder / "keys")
    with lake.read(snapshot) as connection:
        if not table_exists(connection, "raw", contract.dataset):
            return None
        if there is None:
            _refuse_all(connection, contract)
            return None
        same = " AND ".join(
            f'standing."{name}" = TRY_CAST(there.{_quoted(contract.column(name).source_name)}'
            f" AS {contract.column(name).duckdb_type})"
            for name in contract.keys
        )
        query = f"SELECT {selected(contract, now)} FROM {live(contract)} AS standing ANTI JOIN read_parquet(?) AS there ON {same}"
        return _write(connection.execute(query, [str(there.path)]), folder, contract)


def live(contract: Contract) -> str:
    """Return the raw rows that count now, as a subquery."""
    return f'(FROM lake.raw."{contract.dataset}" WHERE {contract.live_condition or "true"})'


def selected(contract: Contract, now: datetime) -> str:
    """Return what of a raw row its tombstone keeps, under the names of the source: the key, and when it is known.

    The contract's other columns are there, and empty. A row that comes back with the times it had must count again, so a tombstone is known when its row was. In a history
    the version ends when the deletion was found.
    """
    columns = [f'standing."{name}" AS {_quoted(contract.column(name).source_name)}' for name in contract.keys]
    times = {contract.known_at.column, contract.history.valid_from, contract.business_date} - {
        None,
        *contract.keys,
    }
    for name in sorted(str(one) for one in times):
        value = f'standing."{name}"'
        if contract.write_mode == "history" and name != contract.business_date:
            value = f"greatest({value}, TIMESTAMP '{now}'::{contract.column(name).duckdb_type})"
        columns.append(f"{value} AS {_quoted(contract.column(name).source_name)}")
    for column in contract.columns:
        if column.name not in {*contract.keys, *times, contract.deletion_column}:
            columns.append(f"NULL::VARCHAR AS {_quoted(column.source_name)}")
    return ", ".join(columns)


def _write(found: duckdb.DuckDBPyConnection, folder: Path, contract: Contract) -> Piece | None:
    assert contract.deletion_column is not None
    name = contract.column(contract.deletion_column).source_name
    (folder / "deleted").mkdir(exist_ok=True)
    writer = PieceWriter(folder / "deleted", constants={name: True})
    for batch in found.to_arrow_reader(BATCH_ROWS):
        writer.write(batch)
    return writer.finish()


def _spool(keys: pa.RecordBatchReader, folder: Path) -> Piece | None:
    folder.mkdir(exist_ok=True)
    writer = PieceWriter(folder)
    for batch in keys:
        writer.write(batch)
    return writer.finish()


def _refuse_all(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    row = connection.execute(f"SELECT count(*) FROM {live(contract)}").fetchone()
    if row and row[0]:
        raise SourceFailed(
            f"The source of {contract.dataset} has no rows, so all {row[0]} that stand would count as deleted: nothing was"
            " changed; fill it, or remove `deletes` from the contract."
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
