"""Claim: a fully checked load of a sales CSV into the lake costs little more than DuckDB's own typed CSV -> Parquet.

    python -m benchmarks.ingest [--json] [--rows 10000000] [--peer-rows N] [--growth]

The file is an ERP's sales export: 9 columns, about 57 bytes a row, one row in a thousand bad in one of 8 ways. Ours is
`lake.ingest.ingest`, all of it: landing, checks, quarantine, ledger, lake. Beside it DuckDB alone (typed by `columns`, what it
cannot read dropped in silence) and dlt (typed by inference, nothing checked), each in a process of its own.

`ratio_to_duckdb` is our CPU / DuckDB's (1.5 is the aim). dlt stands here twice, because it has two readers of CSV and who compares
should see both: `ratio_to_dlt` is dlt's CPU / ours with `read_csv`, the reader that its guides show (4 is the aim);
`ratio_to_dlt_quickest` with `read_csv_duckdb`, where DuckDB reads and nothing is looked at row by row. `peak_mb` is what our processes had together at the worst moment. `bad_found` and `bad_seeded` count rows by column and reason.
`--peer-rows` gives dlt a smaller file (`dlt_rows`) and scales its CPU to ours; by default it has the same one. `--growth` repeats ours at
1, 3, 10 and 30 M rows.
"""

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from benchmarks.peers import Measured, run_ours, run_peer
from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.contracts.model import Column, Contract, Location
from lake.ingest import ingest
from lake.parsing import process

COLUMNS = (
    Column("order_id", "order_id", "string", required=True, key=True),
    Column("order_line", "order_line", "integer", required=True, key=True, minimum=1),
    Column("order_date", "order_date", "date", required=True),
    Column("location_id", "location_id", "string", required=True),
    Column("item_id", "item_id", "string", required=True, pattern="I[0-9]{5}"),
    Column("quantity", "quantity", "integer", required=True, minimum=-500, maximum=5000),
    Column("unit_price", "unit_price", "number", scale=4, minimum=0),
    Column("customer_id", "customer_id", "string"),
    Column("channel", "channel", "string", allowed=("web", "store", "phone")),
)
SALES = Contract(
    "sales", Path("sales.odcs.yaml"), "1.0.0", "Sales", "", "benchmarks", "erp", Location("${INBOX}/sales.csv", "csv"), COLUMNS,
    business_date="order_date",
)  # fmt: skip
BAD_EVERY = 1000
KINDS = (
    ("quantity type", "quantity", "1.7"),
    ("unit_price scale", "unit_price", "1.23456"),
    ("quantity range", "quantity", "5001"),
    ("channel allowed", "channel", "fax"),
    ("item_id required", "item_id", ""),
    ("order_date type", "order_date", "2024-02-30"),
    ("row field_count", "location_id", "L0,0"),
    ("row quote", "customer_id", 'C"7'),
)
"""What is wrong, in which column, and the text that makes it so."""
GROWTH = (1_000_000, 3_000_000, 10_000_000, 30_000_000)


def generate(path: Path, rows: int) -> dict[str, int]:
    """Write the file; return how many rows are bad, by column and reason."""
    good = {
        "order_id": "'SO' || (i // 3)",
        "order_line": "(i % 3 + 1)::VARCHAR",
        "order_date": "(DATE '2024-01-01' + (i % 540)::INT)::VARCHAR",
        "location_id": "'L' || lpad((i * 7 % 15)::VARCHAR, 2, '0')",
        "item_id": "'I' || lpad((i * 31 % 25000)::VARCHAR, 5, '0')",
        "quantity": "(i * 13 % 90 + 1)::VARCHAR",
        "unit_price": "((i * 17 % 90000) / 100)::DECIMAL(9, 2)::VARCHAR",
        "customer_id": "'C' || (i * 101 % 200000)",
        "channel": "['web', 'store', 'phone'][i % 3 + 1]",
    }
    fields = []
    for column, text in good.items():
        spoiled = " ".join(
            f"WHEN i % {BAD_EVERY} = 7 AND i // {BAD_EVERY} % {len(KINDS)} = {kind} THEN '{bad}'"
            for kind, (_, where, bad) in enumerate(KINDS)
            if where == column
        )
        fields.append(f"CASE {spoiled} ELSE {text} END" if spoiled else text)
    line = " || ',' || ".join(fields)
    # Lines whole, as text: no writer would write the bad ones.
    duckdb.execute(
        f"COPY (SELECT {line} AS \"{','.join(good)}\" FROM range({rows}) AS numbers (i)) TO '{path}'"
        " (FORMAT csv, HEADER, QUOTE '', ESCAPE '', DELIMITER '\x1f')"
    )
    seeded = Counter(KINDS[i // BAD_EVERY % len(KINDS)][0] for i in range(7, rows, BAD_EVERY))
    return dict(sorted(seeded.items()))


def ours(csv: str) -> dict[str, Any]:
    """Load the file into a lake; return what was loaded and what was found bad."""
    with tempfile.TemporaryDirectory(dir=Path(csv).parent) as name:
        folder = Path(name)
        company = Company("bench", folder, folder / "home", CompanySettings(title="Bench", currency="EUR"))
        company.prepare()
        (company.inbox / "sales.csv").symlink_to(csv)
        totals = ingest(company, [SALES], run_id="bench").totals
        process.close()  # the CPU of a child counts when it has ended
        with Lake.of(company).read() as connection:
            found = connection.execute(
                """
                WITH reason AS (SELECT unnest(columns) AS column_name, unnest(rules) AS rule FROM lake.meta.quarantine)
                SELECT coalesce(column_name, 'row') || ' ' || rule AS reason, count(*) FROM reason GROUP BY ALL ORDER BY 1
                """
            ).fetchall()
        return {"totals": totals, "bad_found": dict(found)}


def plain_duckdb(csv: str) -> dict[str, int]:
    """Convert the file to Parquet, typed."""
    types = {column.name: column.duckdb_type for column in COLUMNS}
    with tempfile.TemporaryDirectory(dir=Path(csv).parent) as folder:
        duckdb.execute("SET enable_progress_bar = false")
        rows = duckdb.execute(
            f"COPY (FROM read_csv('{csv}', header = true, columns = {types}, ignore_errors = true))"
            f" TO '{folder}/sales.parquet'"
        ).fetchone()
    assert rows is not None
    return {"loaded": rows[0]}


def measure_ours(folder: str, rows: int) -> tuple[Measured, dict[str, int], str]:
    """Return what ours cost at so many rows, the bad rows seeded, and the file."""
    csv = f"{folder}/sales_{rows}.csv"
    seeded = generate(Path(csv), rows)
    return run_ours("benchmarks.ingest", "ours", csv), seeded, csv


def growth() -> None:
    """Print what ours costs as the file grows."""
    for rows in GROWTH:
        with tempfile.TemporaryDirectory() as folder:
            us, _, _ = measure_ours(folder, rows)
        print(
            f"{rows:>11,} rows {us.cpu_s:7.1f} CPU s {us.cpu_s / rows * 1e6:6.2f} per M rows {us.peak_mb:6.0f} MB"
        )


def main(
    rows: int = 10_000_000,
    peer_rows: Annotated[int, typer.Option(help="Rows for dlt; 0 means the same.")] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    with_growth: Annotated[bool, typer.Option("--growth")] = False,
) -> None:
    """Print ours, the peers' and the ratios."""
    if with_growth:
        growth()
        return
    with tempfile.TemporaryDirectory() as folder:
        us, seeded, csv = measure_ours(folder, rows)
        plain = run_ours("benchmarks.ingest", "plain_duckdb", csv)
        peer_csv = csv
        if peer_rows:
            peer_csv = f"{folder}/peer/sales.csv"
            Path(peer_csv).parent.mkdir()
            generate(Path(peer_csv), peer_rows)
        dlt, quickest = (
            run_peer("benchmarks.peer_dlt", name, peer_csv) for name in ("load", "load_quickest")
        )
    share = rows / (peer_rows or rows)
    dlt_cpu_s, quickest_cpu_s = dlt.cpu_s * share, quickest.cpu_s * share
    result = {
        "rows": rows,
        "cpu_s": round(us.cpu_s, 2),
        "peak_mb": round(us.peak_mb),
        "duckdb_cpu_s": round(plain.cpu_s, 2),
        "dlt_reader": "read_csv",
        "dlt_cpu_s": round(dlt_cpu_s, 2),
        "dlt_quickest_reader": "read_csv_duckdb",
        "dlt_quickest_cpu_s": round(quickest_cpu_s, 2),
        "dlt_rows": peer_rows or rows,
        "ratio_to_duckdb": round(us.cpu_s / plain.cpu_s, 2),
        "ratio_to_dlt": round(dlt_cpu_s / us.cpu_s, 2),
        "ratio_to_dlt_quickest": round(quickest_cpu_s / us.cpu_s, 2),
        "bad_found": us.result["bad_found"],
        "bad_seeded": seeded,
    }
    print(json.dumps(result) if as_json else "\n".join(f"{key:22} {value}" for key, value in result.items()))


if __name__ == "__main__":
    typer.run(main)
