"""Claim: a fully checked load of a sales CSV into the lake costs little more than DuckDB's own typed CSV -> Parquet.

`python -m benchmarks.load_csv [--rows N] [--json]` generates a file of 12 columns with one bad row in a thousand, and
runs ours and the peer each in a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import typer

from lake.company import Company, CompanySettings
from lake.contracts.model import Column, Contract, Location
from lake.ingest import ingest

COLUMNS = (
    Column("order_id", "order_id", "string", required=True, key=True),
    Column("order_line", "order_line", "integer", required=True, key=True, minimum=1),
    Column("order_date", "order_date", "date", required=True),
    Column("posted_at", "posted_at", "timestamp", required=True),
    Column("location_id", "location_id", "string", required=True),
    Column("item_id", "item_id", "string", required=True, pattern="I[0-9]{5}"),
    Column("quantity", "quantity", "integer", required=True, minimum=-500, maximum=5000),
    Column("unit_price", "unit_price", "number", scale=4, minimum=0),
    Column("discount", "discount", "number", scale=2, minimum=0, maximum=1),
    Column("customer_id", "customer_id", "string"),
    Column("channel", "channel", "string", allowed=("web", "store", "phone")),
    Column("currency", "currency", "string", pattern="[A-Z]{3}"),
)
SALES = Contract(
    "sales", Path("sales.odcs.yaml"), "1.0.0", "Sales", "", "benchmarks", "erp", Location("${INBOX}/sales.csv", "csv"), COLUMNS
)  # fmt: skip


def generate(path: Path, rows: int) -> None:
    duckdb.execute(
        f"""
        COPY (
            SELECT 'SO' || (i // 3) AS order_id, i % 3 + 1 AS order_line, DATE '2024-01-01' + (i % 540)::INT AS order_date,
                strftime(TIMESTAMP '2024-01-01 08:00:00' + to_seconds(i * 41 % 46000000), '%Y-%m-%d %H:%M:%S') AS posted_at,
                'L' || lpad((i * 7 % 15)::VARCHAR, 2, '0') AS location_id,
                'I' || lpad((i * 31 % 250)::VARCHAR, 5, '0') AS item_id,
                CASE WHEN i % 1000 = 7 THEN '1.7' ELSE (i * 13 % 90 + 1)::VARCHAR END AS quantity,
                ((i * 17 % 9000) / 100)::DECIMAL(9, 2) AS unit_price, ((i % 5) / 20)::DECIMAL(4, 2) AS discount,
                'C' || (i * 101 % 20000) AS customer_id, ['web', 'store', 'phone'][i % 3 + 1] AS channel, 'EUR' AS currency
            FROM range({rows}) AS numbers (i)
        ) TO '{path}' (HEADER, DELIMITER ',')
        """
    )


def ours(folder: Path) -> dict[str, float]:
    company = Company("bench", folder, folder / "home", CompanySettings(title="Bench", currency="EUR"))
    company.prepare()
    (folder / "sales.csv").rename(company.inbox / "sales.csv")
    before = _cpu_s()
    report = ingest(company, [SALES], run_id="bench")
    cost = _cpu_s() - before
    (company.inbox / "sales.csv").rename(folder / "sales.csv")
    return {"cpu_s": cost, "peak_mb": _peak_mb(), **report.totals}


def peer(folder: Path) -> dict[str, float]:
    types = {column.name: column.duckdb_type for column in COLUMNS}
    duckdb.execute("SET enable_progress_bar = false")
    before = _cpu_s()
    duckdb.execute(
        f"COPY (SELECT * FROM read_csv('{folder}/sales.csv', header = true, columns = {types}, ignore_errors = true))"
        f" TO '{folder}/peer.parquet'"
    )
    return {"cpu_s": _cpu_s() - before, "peak_mb": _peak_mb()}


def _cpu_s() -> float:
    return time.process_time()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _apart(which: str, folder: Path) -> dict[str, float]:
    code = f"import json; from pathlib import Path; from benchmarks.load_csv import {which}; print(json.dumps({which}(Path({str(folder)!r}))))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(rows: int = 1_000_000, as_json: bool = typer.Option(False, "--json")) -> None:
    """Print ours, the peer's and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "sales.csv", rows)
        us, them = _apart("ours", folder), _apart("peer", folder)
    result = {
        "rows": rows,
        "cpu_s": round(us["cpu_s"], 2),
        "peak_mb": round(us["peak_mb"]),
        "duckdb_cpu_s": round(them["cpu_s"], 2),
        "ratio_to_duckdb": round(us["cpu_s"] / them["cpu_s"], 2),
        "bad_found": us["quarantined"],
        "bad_seeded": len(range(7, rows, 1000)),
    }
    print(json.dumps(result) if as_json else "\n".join(f"{key:16} {value}" for key, value in result.items()))


if __name__ == "__main__":
    typer.run(main)
