"""What every asset shows in the Dagster UI: row count, column schema with units, a plot."""

import base64

import dagster as dg
import duckdb

from lake.connection import Lake
from lake.contracts.model import Contract


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


def table_metadata(lake: Lake, table: str) -> dict[str, object]:
    """Return the row count and column schema of `lake.<table>` as it stands; nothing if there is no such table."""
    with lake.read() as connection:
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
