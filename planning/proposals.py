"""Proposed purchase orders: the plan's quantities as orders.proposal and orders.proposal_line.

A proposal is identified by what it answers: item, location and need date. The same plan twice proposes nothing twice;
a new plan supersedes what it answers differently, visibly, and leaves what is unchanged as it stands.
Not here: approval and sending (`planning.procurement`, later), files for people (`export.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from lake.connection import Lake, table_exists
from lake.errors import InputError
from lake.releases import Release

_TABLES = """
CREATE TABLE IF NOT EXISTS lake.orders.proposal (
    order_id VARCHAR, supplier_id VARCHAR, location_id VARCHAR, release_id VARCHAR, as_of DATE, need_date DATE,
    status VARCHAR, superseded_by VARCHAR, line_count INTEGER, units BIGINT, goods_cost DECIMAL(18, 2),
    freight_cost DECIMAL(18, 2), total_cost DECIMAL(18, 2), currency VARCHAR, is_assumed BOOLEAN
);
CREATE TABLE IF NOT EXISTS lake.orders.proposal_line (
    order_id VARCHAR, line_number INTEGER, proposal_key VARCHAR, item_id VARCHAR, order_quantity_units BIGINT,
    need_date DATE, unit_price DECIMAL(18, 4), goods_cost DECIMAL(18, 2), freight_cost DECIMAL(18, 2), reason VARCHAR
);
"""


@dataclass(frozen=True)
class ProposalReport:
    """What one call did. `is_stale`: a newer release had spoken, so nothing was done."""

    new_orders: tuple[str, ...] = ()
    superseded_orders: tuple[str, ...] = ()
    unchanged_orders: tuple[str, ...] = ()
    proposed_value: float = 0.0
    """Total cost of the new orders, company currency."""
    is_stale: bool = False

    @property
    def proposed(self) -> int:
        """Number of new orders."""
        return len(self.new_orders)


@dataclass(frozen=True)
class _Line:
    proposal_key: str
    item_id: str
    order_quantity_units: int
    need_date: date
    unit_price: Decimal
    goods_cost: Decimal
    freight_cost: Decimal
    reason: str
    is_assumed: bool

    @property
    def total_cost(self) -> Decimal:
        return self.goods_cost + self.freight_cost

    @property
    def content(self) -> tuple[str, int, Decimal, Decimal]:
        """What makes it another line: the need it answers, how much, and at which money."""
        return (self.proposal_key, self.order_quantity_units, self.unit_price, self.total_cost)


@dataclass(frozen=True)
class _Order:
    supplier_id: str
    location_id: str
    lines: tuple[_Line, ...]
    order_id: str = ""

    @property
    def total_cost(self) -> Decimal:
        return sum((line.total_cost for line in self.lines), Decimal(0))

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.supplier_id, self.location_id, tuple(sorted(line.content for line in self.lines)))


def propose(
    lake: Lake,
    release: Release,
    plan: pl.DataFrame,
    currency: str,
    *,
    maximum_order_value: float | None = None,
) -> ProposalReport:
    """Propose what `plan` (plan.replenishment of `release`) orders, in one transaction; return what that changed.

    One order per supplier and location; where that exceeds `maximum_order_value` its lines are divided, in order of
    need, over as many orders as keep within it. An open order that the plan does not repeat line by line becomes
    `superseded`, by the order that takes over its needs or, where nothing does, by the release. Raises `InputError`
    when the plan answers one need twice. Two calls at once take turns at the lake's writer lock.
    """
    wanted = list(_orders(plan, maximum_order_value)) if plan.height else []
    with lake.write() as connection:
        connection.execute(_TABLES)
        if _is_stale(connection, release):
            return ProposalReport(is_stale=True)
        standing = _open_orders(connection)
        kept = {order.content: order.order_id for order in standing}
        ids = {
            str(row[0]) for row in connection.execute("SELECT order_id FROM lake.orders.proposal").fetchall()
        }
        new = []
        for order in wanted:
            if order.content not in kept:
                order = replace(order, order_id=_order_id(order, release, currency, ids))  # noqa: PLW2901
                ids.add(order.order_id)
                new.append(order)
        contents = {order.content for order in wanted}
        gone = [order for order in standing if order.content not in contents]
        _supersede(connection, gone, new, release)
        _insert(connection, new, release, currency)
    return ProposalReport(
        new_orders=tuple(order.order_id for order in new),
        superseded_orders=tuple(order.order_id for order in gone),
        unchanged_orders=tuple(sorted(kept[content] for content in contents if content in kept)),
        proposed_value=float(sum((order.total_cost for order in new), Decimal(0))),
    )


def list_proposals(lake: Lake, *, include_superseded: bool = False) -> list[dict[str, Any]]:
    """Return the open orders (or all), one per row of orders.proposal, most urgent first; empty before the first."""
    with lake.read() as connection:
        if not table_exists(connection, "orders", "proposal"):
            return []
        condition = "" if include_superseded else "WHERE status = 'open'"
        found = connection.execute(
            f"SELECT * FROM lake.orders.proposal {condition} ORDER BY need_date, order_id"
        )
        return found.pl().to_dicts()


def proposal_key(item_id: str, location_id: str, need_date: date) -> str:
    """Return the identity of the need that a proposal answers.

    >>> proposal_key("A", "DC1", date(2026, 7, 7))
    '9825be5de3eac54e'
    """
    return _digest(item_id, location_id, need_date.isoformat())[:16]


def _orders(plan: pl.DataFrame, maximum_order_value: float | None) -> Iterator[_Order]:
    groups: dict[tuple[str, str], list[_Line]] = defaultdict(list)
    seen: set[str] = set()
    for row in (
        plan.filter(pl.col("order_quantity_units") > 0).sort("item_id", "location_id").iter_rows(named=True)
    ):
        key = proposal_key(row["item_id"], row["location_id"], row["need_date"])
        if key in seen:
            raise InputError(
                f"plan.replenishment: item_id {row['item_id']}, location_id {row['location_id']} is ordered more than "
                f"once for {row['need_date']}: make the plan again, it has one row per item and location."
            )
        seen.add(key)
        line = _Line(
            proposal_key=key, **{name: row[name] for name in _Line.__dataclass_fields__ if name in row}
        )
        groups[row["supplier_id"], row["location_id"]].append(line)
    for (supplier, location), lines in sorted(groups.items()):
        by_need = sorted(lines, key=lambda line: (line.need_date, line.item_id))
        for part in _within_value(by_need, maximum_order_value):
            yield _Order(supplier, location, tuple(part))


def _within_value(lines: Sequence[_Line], maximum: float | None) -> Iterator[list[_Line]]:
    """Divide lines, in their order, so that no part costs more than `maximum` (a single line never is divided)."""
    limit = None if maximum is None else Decimal(str(maximum))
    part: list[_Line] = []
    for line in lines:
        if part and limit is not None and sum(each.total_cost for each in part) + line.total_cost > limit:
            yield part
            part = []
        part.append(line)
    if part:
        yield part


def _is_stale(connection: duckdb.DuckDBPyConnection, release: Release) -> bool:
    """Whether a newer release has open proposals: a run that was overtaken must not bring the older ones back."""
    newest = connection.execute(
        "SELECT max(release.snapshot_id) FROM lake.orders.proposal JOIN lake.meta.release USING (release_id)"
        " WHERE status = 'open'"
    ).fetchone()
    return newest is not None and newest[0] is not None and newest[0] > release.snapshot_id


def _open_orders(connection: duckdb.DuckDBPyConnection) -> list[_Order]:
    rows = connection.execute(
        "SELECT order_id, supplier_id, location_id, proposal_key, item_id, order_quantity_units, line.need_date,"
        " unit_price, line.goods_cost, line.freight_cost, reason, is_assumed"
        " FROM lake.orders.proposal AS proposal JOIN lake.orders.proposal_line AS line USING (order_id)"
        " WHERE status = 'open' ORDER BY order_id, line_number"
    ).fetchall()
    lines: dict[tuple[str, str, str], list[_Line]] = defaultdict(list)
    for order_id, supplier, location, *rest in rows:
        lines[order_id, supplier, location].append(_Line(*rest))
    return [
        _Order(supplier, location, tuple(lines_of), order_id)
        for (order_id, supplier, location), lines_of in lines.items()
    ]


def _order_id(order: _Order, release: Release, currency: str, taken: set[str]) -> str:
    """Return a readable id that the content decides; content that comes back after being superseded is a new order."""
    attempt = 0
    while True:
        parts = (
            currency,
            order.supplier_id,
            order.location_id,
            *map(repr, sorted(x.content for x in order.lines)),
        )
        order_id = f"PO-{release.as_of:%Y%m%d}-{_digest(*parts, str(attempt))[:6].upper()}"
        if order_id not in taken:
            return order_id
        attempt += 1


def _supersede(
    connection: duckdb.DuckDBPyConnection, gone: Sequence[_Order], new: Sequence[_Order], release: Release
) -> None:
    """Mark orders as superseded by the new order that takes most of their items, else by the release."""
    if not gone:
        return
    successor = []
    for order in gone:
        items = {line.item_id for line in order.lines}
        heirs = [
            (len(items & {line.item_id for line in other.lines}), other.order_id)
            for other in new
            if other.location_id == order.location_id
        ]
        shared, heir = max(heirs, default=(0, ""))
        successor.append((order.order_id, heir if shared else release.release_id))
    connection.register(
        "successor", pl.DataFrame(successor, schema=["order_id", "superseded_by"], orient="row")
    )
    connection.execute(
        "UPDATE lake.orders.proposal SET status = 'superseded', superseded_by = successor.superseded_by"
        " FROM successor WHERE proposal.order_id = successor.order_id"
    )


def _insert(
    connection: duckdb.DuckDBPyConnection, orders: Sequence[_Order], release: Release, currency: str
) -> None:
    if not orders:
        return
    heads, lines = [], []
    for order in orders:
        goods = sum((line.goods_cost for line in order.lines), Decimal(0))
        freight = sum((line.freight_cost for line in order.lines), Decimal(0))
        heads.append(
            {
                "order_id": order.order_id,
                "supplier_id": order.supplier_id,
                "location_id": order.location_id,
                "release_id": release.release_id,
                "as_of": release.as_of,
                "need_date": min(line.need_date for line in order.lines),
                "status": "open",
                "superseded_by": None,
                "line_count": len(order.lines),
                "units": sum(line.order_quantity_units for line in order.lines),
                "goods_cost": goods,
                "freight_cost": freight,
                "total_cost": goods + freight,
                "currency": currency,
                "is_assumed": any(line.is_assumed for line in order.lines),
            }
        )
        for number, line in enumerate(order.lines, start=1):
            fields = asdict(line)
            del fields["is_assumed"]  # it stands on the order
            lines.append({"order_id": order.order_id, "line_number": number, **fields})
    for table, rows in (("proposal", heads), ("proposal_line", lines)):
        connection.register("new_rows", pl.DataFrame(rows, infer_schema_length=None))
        connection.execute(f"INSERT INTO lake.orders.{table} BY NAME SELECT * FROM new_rows")


def _digest(*parts: str) -> str:
    """Hash the parts so that ('ab', 'c') and ('a', 'bc') differ."""
    return hashlib.sha256("\x1f".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
