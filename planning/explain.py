"""Why an order is proposed: forecast, stock, lead time, policy, costs, legacy baselines, and the facts behind them.

Belongs here: reading what was decided and saying it. Not here: deciding anything again; a number that the plan has is
taken from the plan.
"""

import difflib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from lake.connection import Lake, table_exists
from lake.errors import InputError
from lake.releases import Release, list_releases
from models.inventory.distributions import demand_quantile
from models.inventory.safety_stock import fill_rate, protection_period
from models.replenishment import baselines
from planning.facts import Fact, newest_facts
from planning.narrate import order_lines

Row = dict[str, Any]


@dataclass(frozen=True)
class LineExplanation:
    """One line of the order: what it asks for, every number behind it, and where the newest facts stand."""

    order: Row
    """The row of orders.proposal_line."""
    forecast: Row
    stock: Row
    lead_time: Row
    policy: Row
    cost: Row
    legacy: Row
    """What the legacy policies would order; what they and the plan's policy cost in a year, and the fill rate of each."""
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Explanation:
    """Why one order is proposed."""

    order: Row
    """The row of orders.proposal."""
    release: Row
    items: tuple[LineExplanation, ...]

    def to_dict(self) -> Row:
        """Return plain values, ready for JSON: dates as ISO text, money as numbers."""
        items = [
            {name: _plain(getattr(item, name)) for name in LineExplanation.__dataclass_fields__}
            for item in self.items
        ]
        return {"order": _plain(self.order), "release": _plain(self.release), "lines": items}

    def lines(self) -> list[str]:
        """Return the explanation as lines of text, as `stocklake orders explain` prints it."""
        return order_lines(self.to_dict())


def explain(lake: Lake, order_id: str, item_id: str | None = None) -> Explanation:
    """Return why the order is proposed, with all its lines or that of one item.

    Raises `InputError` that names near matches when there is no such order, or no such item in it.
    """
    with lake.read() as connection:
        order = _order(connection, order_id)
        lines = _rows(
            connection,
            "SELECT * FROM lake.orders.proposal_line WHERE order_id = ? ORDER BY line_number",
            [order_id],
        )
        if item_id is not None:
            lines = _only(lines, item_id, order_id)
        items = [line["item_id"] for line in lines]
        plan = {row["item_id"]: row for row in _plan_rows(connection, order, items)}
        series = _forecast_series(connection, order, items)
    release = _release(lake, order)
    with lake.read(release.snapshot_id) as connection:
        echelon = _echelon(connection, order["location_id"])
        stock = _by_item(connection, "marts.inventory_position", order, items)
        options = _by_item(connection, "marts.supply_option", order, items)
        facts = newest_facts(connection, _asked(order, items, options), echelon)
    models = _models(series, echelon)
    return Explanation(
        order,
        {"release_id": release.release_id, "snapshot_id": release.snapshot_id, "as_of": release.as_of},
        tuple(
            _line(
                line,
                plan[item],
                models.get(item, {}),
                stock.get(item, {}),
                options.get(item, {}),
                facts[item],
            )
            for line, item in zip(lines, items, strict=True)
        ),
    )


def _only(lines: list[Row], item_id: str, order_id: str) -> list[Row]:
    found = [line for line in lines if line["item_id"] == item_id]
    if found:
        return found
    near = difflib.get_close_matches(item_id, [line["item_id"] for line in lines])
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"`stocklake orders explain {order_id}` names them."
    )
    raise InputError(f"Order {order_id} has no line for item {item_id!r}: {hint}")


def _line(line: Row, plan: Row, models: Row, stock: Row, option: Row, facts: list[Fact]) -> LineExplanation:
    lead, review = plan["lead_time_mean_days"], plan["review_period_days"]
    mean, std = plan["demand_mean_units"], plan["demand_std_units"]
    law = plan["policy"].removeprefix("order_up_to_")
    low, high = demand_quantile([0.1, 0.9], mean, std, law).tolist()
    on_order = stock.get("on_order_units", plan["on_order_units"])
    return LineExplanation(
        order=line,
        forecast={
            "mean_units": mean,
            "p10_units": low,
            "p90_units": high,
            "window_days": lead + review,
            **models,
        },
        stock={
            "on_hand_units": plan["on_hand_units"],
            "in_transit_units": stock.get("in_transit_units", 0),
            "on_order_units": on_order,
            "inventory_position_units": plan["inventory_position_units"],
            "days_of_cover_before": plan["days_of_cover_before"],
            "days_of_cover_after": plan["days_of_cover_after"],
            "is_assumed": plan["is_assumed"],
        },
        lead_time={
            "mean_days": lead,
            "std_days": plan["lead_time_std_days"],
            "contract_days": option.get("lead_time_days"),
        },
        policy=_policy(plan, law),
        cost={
            "unit_price": line["unit_price"],
            "goods_cost": line["goods_cost"],
            "freight_cost_per_unit": option.get("freight_cost_per_unit"),
            "freight_mode": option.get("freight_mode"),
            "freight_cost": line["freight_cost"],
        },
        legacy={name: plan.get(name) for name in ("eoq_units", *baselines.COLUMNS)},
        facts=tuple(facts),
    )


def _policy(plan: Row, law: str) -> Row:
    """The policy's numbers, with the parts of the demand variance and the fill rate to expect of them."""
    days = plan["lead_time_mean_days"] + plan["review_period_days"]
    per_day = plan["demand_mean_units"] / days
    from_lead_time = (per_day * plan["lead_time_std_days"]) ** 2
    variance_per_day = max(plan["demand_std_units"] ** 2 - from_lead_time, 0.0) / days
    until_arrival = protection_period(
        per_day, variance_per_day, plan["lead_time_mean_days"], plan["lead_time_std_days"], 0
    )
    protection = plan["demand_mean_units"], plan["demand_std_units"]
    names = [
        "review_period_days",
        "cycle_service_level",
        "demand_mean_units",
        "demand_std_units",
        "safety_stock_units",
        "reorder_point_units",
        "order_up_to_units",
        "order_quantity_units",
        "pack_size_units",
        "minimum_order_units",
        "limit_applied",
    ]
    return {
        "name": "periodic review, order up to",
        "distribution": law,
        "demand_per_day_units": per_day,
        "variance_per_day": variance_per_day,
        **{name: plan[name] for name in names},
        "expected_fill_rate": float(fill_rate(plan["reorder_point_units"], protection, until_arrival, law)),
    }


def _order(connection: duckdb.DuckDBPyConnection, order_id: str) -> Row:
    if not table_exists(connection, "orders", "proposal"):
        raise InputError("No order has been proposed yet: run `stocklake run` first.")
    rows = _rows(connection, "SELECT * FROM lake.orders.proposal WHERE order_id = ?", [order_id])
    if rows:
        return rows[0]
    known = [row["order_id"] for row in _rows(connection, "SELECT order_id FROM lake.orders.proposal", [])]
    near = difflib.get_close_matches(order_id.upper(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`stocklake orders list` names those there are."
    raise InputError(f"There is no order {order_id!r}: {hint}")


def _plan_rows(connection: duckdb.DuckDBPyConnection, order: Row, items: list[str]) -> list[Row]:
    rows = _rows(
        connection,
        "SELECT * FROM lake.plan.replenishment WHERE release_id = ? AND location_id = ? AND list_contains(?, item_id)",
        [order["release_id"], order["location_id"], items],
    )
    missing = set(items) - {row["item_id"] for row in rows}
    if missing:
        raise InputError(
            f"plan.replenishment of release {order['release_id']} has no row for item {min(missing)} any more, so order "
            f"{order['order_id']} cannot be explained: run `stocklake run` to plan and propose again."
        )
    return rows


def _release(lake: Lake, order: Row) -> Release:
    for release in list_releases(lake):
        if release.release_id == order["release_id"]:
            return release
    raise InputError(
        f"Release {order['release_id']} of order {order['order_id']} is not in meta.release: run `stocklake run` to make a new one."
    )


def _echelon(connection: duckdb.DuckDBPyConnection, location_id: str) -> pl.DataFrame:
    """location_id of every location whose stock is bought at `location_id`, itself included."""
    return connection.execute(
        "SELECT location_id FROM lake.core.dim_location WHERE purchasing_location_id = $1 UNION SELECT $1",
        [location_id],
    ).pl()


def _by_item(
    connection: duckdb.DuckDBPyConnection, table: str, order: Row, items: list[str]
) -> dict[str, Row]:
    """item_id -> its row of a mart at the order's location (and, of supply options, supplier)."""
    schema, name = table.split(".")
    if not table_exists(connection, schema, name):
        return {}
    rows = _rows(
        connection,
        f"SELECT * FROM lake.{table} WHERE location_id = ? AND list_contains(?, item_id)",
        [order["location_id"], items],
    )
    return {
        row["item_id"]: row
        for row in rows
        if row.get("supplier_id", order["supplier_id"]) == order["supplier_id"]
    }


def _asked(order: Row, items: list[str], options: dict[str, Row]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": items,
            "supplier_id": [order["supplier_id"]] * len(items),
            "location_id": [order["location_id"]] * len(items),
            "freight_mode": [options.get(item, {}).get("freight_mode") for item in items],
            "as_of": [order["as_of"]] * len(items),
        },
        schema_overrides={"freight_mode": pl.String},
    )


def _forecast_series(connection: duckdb.DuckDBPyConnection, order: Row, items: list[str]) -> pl.DataFrame:
    if not table_exists(connection, "forecasts", "demand_forecast"):
        return pl.DataFrame(schema={"item_id": pl.String, "location_id": pl.String, "model": pl.String})
    return connection.execute(
        "SELECT DISTINCT item_id, location_id, model FROM lake.forecasts.demand_forecast"
        " WHERE release_id = ? AND list_contains(?, item_id)",
        [order["release_id"], items],
    ).pl()


def _models(series: pl.DataFrame, echelon: pl.DataFrame) -> dict[str, Row]:
    """item_id -> the models that forecast it in the echelon, and at how many locations."""
    here = series.join(echelon, on="location_id", how="semi").group_by("item_id")
    found = here.agg(
        pl.col("model").unique().sort().alias("models"), pl.col("location_id").n_unique().alias("locations")
    )
    return {row.pop("item_id"): row for row in found.to_dicts()}


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> list[Row]:
    return connection.execute(query, parameters).pl().to_dicts()


def _plain(value: Any) -> Any:
    if isinstance(value, Fact):
        return _plain(value.to_dict())
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
