"""The dbt-duckdb plugin of the lake: prepares DuckDB before dbt attaches the lake.

Only what dbt needs to open the lake belongs here; `dbt_files.py` names this module in the profile that it writes.
"""

import json
import os
from pathlib import Path

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from lake.company import COMPANY_VARIABLE, Company, CompanySettings
from lake.connection import Lake


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt-duckdb ships no types
    """Found by dbt-duckdb under this name."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Run after connect and before ATTACH."""
        told = json.loads(os.environ[COMPANY_VARIABLE])
        settings = CompanySettings.model_validate(told["settings"])
        Lake.of(Company(told["name"], Path(), Path(), settings)).prepare(
            conn
        )  # what is attached is in the profile
        conn.execute("SET GLOBAL TimeZone = 'UTC'")
        conn.execute("SET enable_progress_bar = false")
