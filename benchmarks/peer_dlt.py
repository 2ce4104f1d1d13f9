"""The peer dlt: loads a CSV into DuckDB the fastest way that it documents. Runs in the peers' venv (`peers.py`).

Its DuckDB reader infers the types and hands on Arrow tables, which pass as Parquet: no row is touched in Python, and no
row is checked either: what does not fit makes its whole column wider, and a row with too many fields is left out.
"""

import os
import tempfile
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.filesystem import filesystem, read_csv_duckdb

CHUNK_ROWS = 200_000


def load(csv: str) -> dict[str, int]:
    """Load one CSV with a header; return the rows that arrived."""
    path = Path(csv)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        os.environ["DLT_DATA_DIR"] = folder
        pipeline = dlt.pipeline(
            "sales",
            pipelines_dir=f"{folder}/pipelines",
            destination=dlt.destinations.duckdb(f"{folder}/sales.duckdb"),
            dataset_name="raw",
        )
        rows = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name) | read_csv_duckdb(
            chunk_size=CHUNK_ROWS, use_pyarrow=True, header=True, delimiter=",", ignore_errors=True
        )
        pipeline.run(rows.with_name("sales"), loader_file_format="parquet")
        with pipeline.sql_client() as client:
            return {"loaded": client.execute_sql("SELECT count(*) FROM sales")[0][0]}
