"""The newest facts behind an order line, with the file and line that each came from.

Belongs here: which table of the lake proves what. Everything is read at the release's snapshot, one query per kind of
fact for all lines of an order. Not here: words around the facts (`explain.py`).
"""

from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import polars as pl

from lake.connection import ALIAS


@dataclass(frozen=True)
class Fact:
    """One fact and where it stands; `file` is None where the company has no such fact and a rule stands in."""

    kind: str
    statement: str
    dated: str | None = None
    file: str | None = None
    line: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fact as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Source:
    """How to find the newest fact of a kind: `asked` has one row per line of the order, `echelon` its locations."""

    kind: str
    table: str
    joined: str
    dated: str
    statement: str
    newest_first: str
    rule: str
    """What stands in for the fact where there is none."""
    newest_of: str = "asked.item_id"
    """Of what the newest fact is wanted: of the item, or of each location that holds it."""

    @property
    def query(self) -> str:
        return (
            f"SELECT asked.item_id, {self.statement} AS statement, CAST({self.dated} AS VARCHAR) AS dated,"
            f" fact._file AS file, fact._line AS line"
            f" FROM asked JOIN {ALIAS}.{self.table} AS fact ON {self.joined}"
            f" QUALIFY row_number() OVER (PARTITION BY {self.newest_of} ORDER BY {self.newest_first}) = 1"
            " ORDER BY statement"
        )


# Staging spells item codes as the source does; core has conformed them (upper case where the company says so).
_SAME_ITEM = "(fact.item_id = asked.item_id OR upper(trim(fact.item_id)) = asked.item_id)"
_IN_ECHELON = "fact.location_id IN (SELECT location_id FROM echelon)"

_SOURCES = (
    _Source(
        "newest sales line",
        "core.fct_sales_order_line",
        f"fact.item_id = asked.item_id AND {_IN_ECHELON} AND fact.sold_on <= asked.as_of",
        "fact.sold_on",
        "format('{} units at {}, order {}', fact.quantity_units, fact.location_id, fact.order_id)",
        "fact.sold_at DESC, fact.known_at DESC, fact._file DESC, fact._line DESC",
        "no sales line of the item is known",
    ),
    _Source(
        "inventory snapshot",
        "core.fct_inventory",
        f"fact.item_id = asked.item_id AND {_IN_ECHELON} AND fact.snapshot_date <= asked.as_of AND NOT fact.is_assumed",
        "fact.snapshot_date",
        "format('at {}: {} units on hand', fact.location_id, fact.on_hand_units)",
        "fact.snapshot_date DESC",
        "stock on hand follows the company's assumption",
        newest_of="asked.item_id, fact.location_id",
    ),
    _Source(
        "newest purchase order line",
        "core.fct_purchase_order_line",
        f"fact.item_id = asked.item_id AND {_IN_ECHELON} AND fact.ordered_on <= asked.as_of",
        "fact.ordered_on",
        "format('{} of {} units still open, order {} of {}', fact.open_units, fact.ordered_units,"
        " fact.purchase_order_id, fact.supplier_id)",
        "fact.ordered_on DESC, fact.known_at DESC, fact._file DESC, fact._line DESC",
        "no purchase order of the item is known: nothing counts as on order",
    ),
    _Source(
        "supplier terms",
        "staging.stg_supplier_item",
        f"{_SAME_ITEM} AND fact.supplier_id = asked.supplier_id"
        " AND (fact.valid_from IS NULL OR fact.valid_from <= asked.as_of)",
        "fact.valid_from",
        "format('lead time {} days, minimum {}, packs of {}, price {}', fact.lead_time_days,"
        " coalesce(fact.minimum_order_units, 1), coalesce(fact.pack_size_units, 1),"
        " CAST(fact.unit_price AS VARCHAR))",
        "fact.valid_from DESC NULLS LAST, fact._known_at DESC NULLS LAST, fact._file DESC, fact._line DESC",
        "supplier, lead time, minimum, pack and price follow the company's assumptions",
    ),
    _Source(
        "freight rate",
        "staging.stg_freight_rate",
        "fact.origin = asked.supplier_id AND fact.destination = asked.location_id"
        " AND fact.mode = asked.freight_mode AND fact.valid_from <= asked.as_of",
        "fact.valid_from",
        "format('{} per kg by {}, fuel surcharge {}', CAST(fact.rate_per_kg AS VARCHAR), fact.mode,"
        " coalesce(CAST(fact.fuel_surcharge_share AS VARCHAR), '0'))",
        "fact.valid_from DESC, fact._known_at DESC NULLS LAST, fact._file DESC, fact._line DESC",
        "no freight rate of the lane is known; freight follows the company's assumption, else counts as 0",
    ),
    _Source(
        "selling price",
        "staging.stg_price",
        f"{_SAME_ITEM} AND (fact.location_id IS NULL OR {_IN_ECHELON}) AND fact.valid_from <= asked.as_of",
        "fact.valid_from",
        "format('{} a unit', CAST(fact.unit_price AS VARCHAR))",
        "fact.valid_from DESC, fact._known_at DESC NULLS LAST, fact._file DESC, fact._line DESC",
        "prices are those of the sales lines",
    ),
)


def newest_facts(
    connection: duckdb.DuckDBPyConnection, asked: pl.DataFrame, echelon: pl.DataFrame
) -> dict[str, list[Fact]]:
    """Return item_id -> its facts, at least one of each kind, as the connection's snapshot knows them.

    `asked`: item_id, supplier_id, location_id, freight_mode, as_of, one row per item; `echelon`: location_id of all
    locations that the order's location replenishes. A table or column that the lake lacks reads as no fact.
    """
    connection.register("asked", asked)
    connection.register("echelon", echelon)
    facts: dict[str, list[Fact]] = {item: [] for item in asked["item_id"]}
    for source in _SOURCES:
        found = _rows_by_item(connection, source)
        for item, of_item in facts.items():
            rows = found.get(item)
            assumed = Fact(source.kind, f"assumed: {source.rule}")
            of_item.extend([Fact(source.kind, *row) for row in rows] if rows else [assumed])
    return facts


def _rows_by_item(connection: duckdb.DuckDBPyConnection, source: _Source) -> dict[str, list[tuple[Any, ...]]]:
    try:
        rows = connection.execute(source.query).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return {}
    found: dict[str, list[tuple[Any, ...]]] = {}
    for item, *rest in rows:
        found.setdefault(item, []).append(tuple(rest))
    return found
