"""The dbt-duckdb plugin of the lake: loads DuckDB's extensions from wheels before dbt attaches the lake.

Only what dbt needs to open the lake belongs here; `transform.py` names this module in the profile that it writes.
"""

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from lake.connection import load_extensions


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt-duckdb ships no types
    """Found by dbt-duckdb under this name."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Run after connect and before ATTACH."""
        load_extensions(conn)
        conn.execute("SET GLOBAL TimeZone = 'UTC'")
        conn.execute("SET enable_progress_bar = false")
