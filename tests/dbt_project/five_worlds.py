"""Five example worlds in one lake: their exports go straight into raw tables, each seed's codes with the seed in front.

The platform's reader has its own tests; here one build of the models serves five seeds.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from lake.company import PROJECT_ROOT, Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.dbt_files import ENTITIES
from tests.dbt_project import tiny

EXAMPLE = PROJECT_ROOT / "companies" / "example"
SEEDS = (1, 2, 3, 4, 5)
SIZES = {
    "items": 42,
    "stores": 8,
    "centres": 8,
    "suppliers": 7,
    "days": 90,
    "sales-lines": 6000,
    "dirt": 0,
    "spelling": 0,
}
CODES = (
    "item_id", "location_id", "supplier_id", "purchase_order_id", "receipt_id", "shipment_id", "movement_id", "invoice_id",
    "reference_id", "origin", "destination", "place", "order_id", "original_order_id", "replenished_from",
)  # fmt: skip
FOREIGN = {
    "price", "promotion", "stock_count", "supplier_price_list", "article", "shipper", "planner_item", "planner_location",
    "market_price", "public_interest", "weather_forecast",
}  # fmt: skip
"""Datasets that say nothing about supply, or say it in a way that only the platform's reader reads."""


@dataclass(frozen=True)
class Worlds:
    """The built lake, what went into it (entity -> frame), and where each seed's truth lies."""

    company: Company
    raw: dict[str, pl.DataFrame]
    truths: dict[int, Path]

    def query(self, sql: str) -> pl.DataFrame:
        with Lake.of(self.company).read() as connection:
            return connection.execute(sql).pl()

    def truth(self, name: str) -> pl.DataFrame:
        """A true table of all seeds, codes as in the lake."""
        return pl.concat(
            _coded(pl.read_parquet(folder / f"{name}.parquet"), seed).with_columns(seed=pl.lit(seed))
            for seed, folder in self.truths.items()
        )


def _coded(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the frame with the seed in front of every code, so that no two worlds share one."""
    return frame.with_columns(
        pl.format("{}:{}", pl.lit(seed), pl.col(name)).alias(name) for name in CODES if name in frame.columns
    )


def make(folder: Path) -> tuple[dict[str, pl.DataFrame], dict[int, Path]]:
    """Generate the worlds side by side; return the raw rows by entity and the truth folders."""
    sizes = [text for name, size in SIZES.items() for text in (f"--{name}", str(size))]
    program = [sys.executable, str(EXAMPLE / "generate.py")]
    runs = [
        subprocess.Popen([*program, "--out", str(folder / str(seed) / "inbox"), "--seed", str(seed), *sizes],
                         stdout=subprocess.DEVNULL)
        for seed in SEEDS
    ]  # fmt: skip
    assert [run.wait() for run in runs] == [0] * len(runs)
    parts: dict[str, list[pl.DataFrame]] = {}
    for path in sorted((EXAMPLE / "contracts").glob("*.odcs.yaml")):
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        if contract["schema"][0]["name"] in FOREIGN:
            continue
        for seed in SEEDS:
            frame = _read(contract, folder / str(seed) / "inbox")
            if frame is not None:
                parts.setdefault(_custom(contract["schema"][0])["entity"], []).append(_coded(frame, seed))
    return (
        {entity: pl.concat(frames, how="diagonal_relaxed") for entity, frames in parts.items()},
        {seed: folder / str(seed) / "truth" for seed in SEEDS},
    )


def load(company: Company, raw: dict[str, pl.DataFrame]) -> tuple[Contract, ...]:
    """Write the raw tables; return a contract for each entity."""
    entities = yaml.safe_load(ENTITIES.read_text(encoding="utf-8"))
    for entity, frame in raw.items():
        types = {name: spec["type"] for name, spec in entities[entity]["columns"].items()}
        columns = [
            f'CAST({name if name in frame.columns else "NULL"} AS {kind}) AS "{name}"'
            for name, kind in (types | {"_known_at": "TIMESTAMP"}).items()
        ]
        with Lake.of(company).write() as connection:
            connection.register("arriving", frame)
            connection.execute(
                f"CREATE OR REPLACE TABLE lake.raw.{entity} AS SELECT {', '.join(columns)}, 'd1' AS _delivery_id,"
                f" '{entity}.csv' AS _file, NULL::VARCHAR AS _sheet, _line FROM arriving"
            )
    return tuple(tiny.contract(entity) for entity in raw)


def _custom(part: dict[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry["value"] for entry in part.get("customProperties", [])}


def _read(contract: dict[str, Any], inbox: Path) -> pl.DataFrame | None:
    """Return a dataset's rows under the entity's column names; None where it was not delivered."""
    server, schema = contract["servers"][0], contract["schema"][0]
    files = sorted(inbox.glob(server["path"].removeprefix("${INBOX}/")))
    if not files:
        return None
    if server["format"] == "jsonl":
        frame = pl.concat(pl.read_ndjson(path) for path in files).unnest(
            "shipment", "event", "route", separator="."
        )
    else:
        options = {"separator": server.get("delimiter", ","), "encoding": server.get("encoding", "utf-8")}
        frame = pl.concat(pl.read_csv(path, infer_schema=False, **options) for path in files)
    columns = {column["name"]: _typed(column) for column in schema["properties"]}
    mapped = {
        _custom(c).get("maps_to"): columns[c["name"]] for c in schema["properties"] if "maps_to" in _custom(c)
    }
    custom = _custom(schema)
    mapped |= {name: pl.lit(value) for name, value in custom.get("constants", {}).items()}
    if known := custom.get("known_at"):
        delay = pl.duration(days=known.get("delay_days", 0))
        mapped["_known_at"] = columns[known["column"]].cast(pl.Datetime) + delay
    return frame.select(**mapped).with_row_index("_line", offset=2)


def _typed(column: dict[str, Any]) -> pl.Expr:
    """Return the field as a date or moment where it is one; DuckDB casts the rest from text."""
    text = pl.col(column.get("physicalName", column["name"]))
    form = column.get("logicalTypeOptions", {}).get("format")
    match column["logicalType"]:
        case "date":
            return text.str.to_date(form)
        case "timestamp":
            return text.str.to_datetime(form or "%Y-%m-%d %H:%M:%S")
        case "boolean":
            return text == str(form).split("/")[0]
    return text
