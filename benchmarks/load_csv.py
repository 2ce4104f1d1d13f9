"""Claim: a fully checked load of a sales CSV into the lake costs little more than DuckDB's own typed CSV -> Parquet.

    python -m benchmarks.load_csv [--json] [--rows N]

The file has 12 columns and one bad row in a thousand. Ours is `lake.ingest.ingest`, all of it: landing, checks,
quarantine, repeats, ledger, lake. Beside it DuckDB alone (typed, bad rows dropped in silence) and dlt (typed by
inference, nothing checked), each in a process of its own.
"""

import json
import tempfile
from pathlib import Path

import duckdb
import typer

from benchmarks.peers import run_ours, run_peer
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


def ours(csv: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        company = Company("bench", folder, folder / "home", CompanySettings(title="Bench", currency="EUR"))
        company.prepare()
        (company.inbox / "sales.csv").symlink_to(csv)
        return ingest(company, [SALES], run_id="bench").totals


def plain_duckdb(csv: str) -> dict[str, int]:
    types = {column.name: column.duckdb_type for column in COLUMNS}
    with tempfile.TemporaryDirectory() as folder:
        duckdb.execute("SET enable_progress_bar = false")
        rows = duckdb.execute(
            f"COPY (FROM read_csv('{csv}', header = true, columns = {types}, ignore_errors = true))"
            f" TO '{folder}/sales.parquet'"
        ).fetchone()
    assert rows is not None
    return {"loaded": rows[0]}


def main(rows: int = 1_000_000, as_json: bool = typer.Option(False, "--json")) -> None:
    """Print ours, the peer's and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        csv = f"{folder}/sales.csv"
        generate(Path(csv), rows)
        us = run_ours("benchmarks.load_csv", "ours", csv)
        plain = run_ours("benchmarks.load_csv", "plain_duckdb", csv)
        dlt = run_peer("benchmarks.peer_dlt", "load", csv)
    result = {
        "rows": rows,
        "cpu_s": round(us.cpu_s, 2),
        "peak_mb": round(us.peak_mb),
        "duckdb_cpu_s": round(plain.cpu_s, 2),
        "dlt_cpu_s": round(dlt.cpu_s, 2),
        "ratio_to_duckdb": round(us.cpu_s / plain.cpu_s, 2),
        "ratio_to_dlt": round(us.cpu_s / dlt.cpu_s, 2),
        "bad_found": us.result["quarantined"],
        "bad_seeded": len(range(7, rows, 1000)),
    }
    print(json.dumps(result) if as_json else "\n".join(f"{key:16} {value}" for key, value in result.items()))


if __name__ == "__main__":
    typer.run(main)
