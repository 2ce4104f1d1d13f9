"""The peer dlt: loads a CSV into DuckDB, in the two ways that it documents. Runs in the peers' venv (`peers.py`).

`load` takes its CSV reader as its guides show it (`read_csv`: pandas, rows normalised one by one); `load_quickest` its DuckDB
reader, which hands on Arrow tables as Parquet: no row is touched in Python. Neither checks a row: what does not fit makes its
whole column wider, and a row with too many fields is left out.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.filesystem import filesystem, read_csv, read_csv_duckdb

CHUNK_ROWS = 200_000


def load(csv: str) -> dict[str, int]:
    """Load one CSV with a header by dlt's CSV reader; return the rows that arrived."""
    return _run(csv, read_csv(chunksize=CHUNK_ROWS, on_bad_lines="skip"))


def load_quickest(csv: str) -> dict[str, int]:
    """Load one CSV with a header by dlt's DuckDB reader; return the rows that arrived."""
    reader = read_csv_duckdb(
        chunk_size=CHUNK_ROWS, use_pyarrow=True, header=True, delimiter=",", ignore_errors=True
    )
    return _run(csv, reader)


def _run(csv: str, reader: Any) -> dict[str, int]:
    path = Path(csv)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        os.environ["DLT_DATA_DIR"] = folder
        pipeline = dlt.pipeline(
            "sales",
            pipelines_dir=f"{folder}/pipelines",
            destination=dlt.destinations.duckdb(f"{folder}/sales.duckdb"),
            dataset_name="raw",
        )
        rows = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name) | reader
        pipeline.run(rows.with_name("sales"), loader_file_format="parquet")
        with pipeline.sql_client() as client:
            return {"loaded": client.execute_sql("SELECT count(*) FROM sales")[0][0]}
