"""The dbt-duckdb plugin of the lake: prepares DuckDB before dbt attaches the lake.

Only what dbt needs to open the lake belongs here; `dbt_files.py` names this module in the profile that it writes.
"""

import json
import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from lake.company import COMPANY_VARIABLE, Company, CompanySettings
from lake.connection import Lake, limit_threads, quoted_text


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt-duckdb ships no types
    """Found by dbt-duckdb under this name."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Run after connect and before ATTACH."""
        _lake(json.loads(os.environ[COMPANY_VARIABLE])).prepare(conn)  # what is attached is in the profile
        limit_threads(conn)
        conn.execute("SET GLOBAL TimeZone = 'UTC'")
        conn.execute("SET enable_progress_bar = false")

    def configure_cursor(self, cursor: DuckDBPyConnection) -> None:
        """Tell each of dbt's connections what its macros ask for; variables do not pass from one to the next."""
        told = json.loads(os.environ[COMPANY_VARIABLE])
        cursor.execute(f"SET VARIABLE build_code = {quoted_text(told['code'])}")


def _lake(told: dict[str, Any]) -> Lake:
    settings = CompanySettings.model_validate(told["settings"])
    return Lake.of(Company(told["name"], Path(), Path(), settings))
