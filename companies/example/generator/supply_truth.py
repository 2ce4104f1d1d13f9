"""What is true of postings, invoices, scans and versions of master data, for tests. The platform never reads these files."""

import io
from dataclasses import dataclass

import polars as pl

from generator.hubs import Scans, scans_frame
from generator.invoices import Invoices, wrong_frame
from generator.ledger import Ledger, breaks_frame
from generator.versions import item_versions, supplier_versions, terms_versions
from generator.world import World
from generator.writing import Folder


@dataclass(frozen=True)
class Supply:
    """What is exported beside the systems of old."""

    ledger: Ledger
    invoices: Invoices
    scans: Scans


def write_supply(truth: Folder, world: World, supply: Supply) -> None:
    """Write the true tables of supply."""
    tables = {
        "stock_break": _named(world, breaks_frame(supply.ledger)),
        "invoice_discrepancy": wrong_frame(supply.invoices),
        "hub_scan": scans_frame(world, supply.scans),
        "item_version": _named(world, item_versions(world)),
        "supplier_version": _named(world, supplier_versions(world)),
        "supplier_item_version": _named(world, terms_versions(world)),
    }
    for name, frame in tables.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1)
        truth.write(f"{name}.parquet", buffer.getvalue())


def _named(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with dates and codes in place of indices."""
    codes = {"location": world.location_id, "item": world.item_id, "supplier": world.supplier_id}
    start = pl.lit(world.sizes.start)
    columns = []
    for name in frame.columns:
        if name in codes:
            columns.append(pl.Series(f"{name}_id", codes[name], dtype=pl.String).gather(frame[name]))
        elif name in ("day", "resolved", "valid_from"):
            columns.append((start + pl.duration(days=pl.col(name))).alias(name))
        else:
            columns.append(pl.col(name))
    return frame.select(columns)
