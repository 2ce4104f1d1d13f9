"""What every asset shows in the Dagster UI: row count, column schema with units, a plot."""

import base64
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import duckdb

from lake.catalogue.lineage import Source
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.ingest import IngestReport
from lake.ledger import COUNTS, Delivery
from lake.loading import count_rules


def column_schema(contract: Contract) -> dg.TableSchema:
    """Return a contract's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.duckdb_type,
                description=column.description + (f" [{column.unit}]" if column.unit else ""),
                constraints=dg.TableColumnConstraints(
                    nullable=not column.required, unique=contract.keys == (column.name,)
                ),
            )
            for column in contract.columns
        ]
    )


def plain_spec(spec: dg.AssetSpec) -> dict[str, object]:
    """Return what Dagster is told of an asset, as plain values."""
    told: dict[str, object] = {
        "key": spec.key.to_user_string(),
        "group": spec.group_name,
        "description": spec.description,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "deps": [dep.asset_key.to_user_string() for dep in spec.deps],
        "tags": {
            name: value for name, value in sorted(spec.tags.items()) if not name.startswith("dagster/kind")
        },
    }
    for name, value in spec.metadata.items():
        told[name] = (
            [
                {"name": one.name, "type": one.type, "nullable": one.constraints.nullable}
                for one in value.columns
            ]
            if isinstance(value, dg.TableSchema)
            else value
        )
    return told


def lineage_metadata(sources: Mapping[str, Sequence[Source]]) -> dict[str, object]:
    """Return where a table's columns come from, as Dagster draws it."""
    deps = {
        column: [dg.TableColumnDep(dg.AssetKey(table.split(".")), name) for table, name in found]
        for column, found in sources.items()
        if found
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)} if deps else {}


def delivered_metadata(files: Sequence[Delivery]) -> dict[str, object]:
    """Return what arrived of a dataset: how many files, how large, which were refused and why."""
    shown: dict[str, object] = {
        "files": len(files),
        "bytes": sum(file.size_bytes or 0 for file in files if file.status == "loaded"),
    }
    refused = [f"- {file.file_name}: {file.reason}" for file in files if file.status == "refused"]
    if refused:
        shown["refused_files"] = dg.MetadataValue.md("\n".join(refused))
    return shown


def loaded_metadata(report: IngestReport, dataset: str) -> dict[str, object]:
    """Return what became of the rows of a dataset: counts, shares, rules, drift, and how to look at the quarantine."""
    files = [file for file in report.files if file.dataset == dataset]
    counts = {name: sum(getattr(file, name) for file in files) for name in COUNTS}
    shown: dict[str, object] = {**counts, "dagster/row_count": counts["loaded"]}
    shown["dagster/table_name"] = f"lake.raw.{dataset}"
    if counts["rows_read"]:
        for name in ("quarantined", "duplicate", "unchanged"):
            shown[f"{name}_share"] = round(counts[name] / counts["rows_read"], 6)
    drift = [f"{file.file_name}: {said.message}" for file in files for said in file.drift]
    if drift:
        shown["drift"] = dg.MetadataValue.md("\n".join(f"- {one}" for one in drift))
    if counts["quarantined"]:
        rules = "\n".join(f"- {rule}: {rows}" for rule, rows in count_rules(files).items())
        shown["quarantine"] = dg.MetadataValue.md(
            f"{rules}\n\n`stocklake quarantine show {dataset}` shows each row with its reasons,"
            f" `stocklake quarantine replay {dataset}` loads those that a corrected contract accepts."
        )
    return shown


def tables_metadata(lake: Lake, tables: Iterable[str]) -> dict[str, dict[str, object]]:
    """Return row count and column schema of each `lake.<table>` as it stands; nothing of a table that is not there.

    One connection asks for them all: to open one reads the whole catalogue, .1 CPU s.
    """
    with lake.read() as connection:
        return {table: _table_metadata(connection, table) for table in tables}


def table_metadata(lake: Lake, table: str) -> dict[str, object]:
    """Return row count and column schema of one table."""
    return tables_metadata(lake, [table])[table]


def _table_metadata(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, object]:
    try:
        columns = connection.execute(f"DESCRIBE lake.{table}").fetchall()
        rows = connection.execute(f"SELECT count(*) FROM lake.{table}").fetchone()
    except duckdb.CatalogException:
        return {}
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind, *_ in columns])
    return {
        "dagster/row_count": rows[0] if rows else 0,
        "dagster/column_schema": schema,
        "dagster/table_name": f"lake.{table}",
    }


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG as metadata that the UI draws."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
