"""The company of `benchmarks.truth`: M5's daily units as an ERP would export them, in a folder of its own.

The till of each store closes once a day and posts a line for each item on its shelves, days without a sale too: all
13,128,180 rows of M5 are delivered, those of zero units (7,627,412) among them. Closings are numbered as time goes on, as
document numbers are. The history comes as a Parquet file a month, one more day as a file of its own; the masters of
items and stores, which M5 hides in its ids, come beside them.
"""

from datetime import date
from pathlib import Path

import duckdb

from lake.company import Company, CompanySettings
from lake.contracts.model import Column, Contract, KnownAt, Location

M5 = "m5/daily_units.parquet"
LAST_DAY = date(2016, 5, 22)


def _contract(dataset: str, columns: tuple[Column, ...], **options: object) -> Contract:
    return Contract(
        dataset, Path(f"{dataset}.odcs.yaml"), "1.0.0", dataset, "", "benchmarks", "erp",
        Location(f"${{INBOX}}/{dataset}_*.parquet", "parquet"), columns, **options,  # type: ignore[arg-type]
    )  # fmt: skip


CONTRACTS = (
    _contract(
        "till_line",
        (
            Column("closing", "closing", "string", required=True, key=True),
            Column("line", "line", "integer", required=True, key=True, minimum=1),
            Column("sold_on", "sold_on", "date", required=True),
            Column("store", "store", "string", required=True),
            Column("item", "item", "string", required=True),
            Column("units", "units", "integer", required=True, minimum=0, maximum=100_000),
        ),
        entity="sales_order_line",
        mapping=(
            ("order_id", "closing"), ("order_line", "line"), ("sold_at", "sold_on"), ("location_id", "store"),
            ("item_id", "item"), ("quantity_units", "units"),
        ),
        business_date="sold_on",
        known_at=KnownAt("sold_on", delay_days=1),
    ),
    _contract(
        "item_master",
        (Column("item", "item", "string", required=True, key=True), Column("department", "department", "string")),
        entity="item",
        mapping=(("item_id", "item"), ("item_name", "item"), ("category", "department")),
        write_mode="replace",
        known_at=KnownAt(filename_pattern=r"_(\d{4}-\d{2}-\d{2})"),
    ),
    _contract(
        "store_master",
        (Column("store", "store", "string", required=True, key=True), Column("state", "state", "string")),
        entity="location",
        mapping=(("location_id", "store"), ("location_name", "store"), ("region", "state")),
        write_mode="replace",
        known_at=KnownAt(filename_pattern=r"_(\d{4}-\d{2}-\d{2})"),
    ),
)  # fmt: skip


def company(folder: Path) -> Company:
    """Return the company, at home in `folder`."""
    made = Company("m5", folder, folder / "home", CompanySettings(title="M5", currency="USD"))
    made.prepare()
    return made


def export(m5: Path, to: Path, *, series_share: float = 1.0) -> int:
    """Write the company's exports; the last day's sales stand in `to/later`. Returns how many sales lines there are.

    `series_share` below 1 takes that share of the items, for a quick look.
    """
    later = to / "later"
    later.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""
            CREATE TABLE series AS
            WITH id AS (SELECT DISTINCT id, string_split(id, '_') AS part FROM '{m5}'),
            named AS (
                SELECT id, part[1] || '_' || part[2] AS department, part[1] || '_' || part[2] || '_' || part[3] AS item,
                    part[4] AS state, part[4] || '_' || part[5] AS store
                FROM id
            )
            SELECT *, dense_rank() OVER (ORDER BY store) AS store_number, dense_rank() OVER (ORDER BY item) AS line
            FROM named WHERE hash(item) % 1000 < {int(1000 * series_share)}
            """
        )
        connection.execute(
            f"""
            CREATE TABLE line AS
            SELECT 'T' || lpad(((date - DATE '2015-01-01') * 10 + store_number)::VARCHAR, 7, '0') AS closing, line::BIGINT AS line,
                date AS sold_on, store, item, units::BIGINT AS units
            FROM '{m5}' JOIN series USING (id)
            """
        )
        months = connection.execute(
            f"SELECT DISTINCT strftime(sold_on, '%Y-%m') FROM line WHERE sold_on < '{LAST_DAY}' ORDER BY 1"
        ).fetchall()
        for (month,) in months:
            connection.execute(
                f"COPY (FROM line WHERE strftime(sold_on, '%Y-%m') = '{month}' AND sold_on < '{LAST_DAY}' ORDER BY closing, line)"
                f" TO '{to}/till_line_{month}.parquet'"
            )
        connection.execute(
            f"COPY (FROM line WHERE sold_on = '{LAST_DAY}' ORDER BY closing, line) TO '{later}/till_line_{LAST_DAY}.parquet'"
        )
        connection.execute(
            f"COPY (SELECT DISTINCT item, department FROM series ORDER BY 1) TO '{to}/item_master_2015-03-01.parquet'"
        )
        connection.execute(
            f"COPY (SELECT DISTINCT store, state FROM series ORDER BY 1) TO '{to}/store_master_2015-03-01.parquet'"
        )
        counted = connection.execute("SELECT count(*) FROM line").fetchone()
    assert counted is not None
    return int(counted[0])
