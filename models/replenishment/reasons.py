"""One sentence per planned item that a planner can read and check with a pencil.

Belongs here: words. Not here: numbers that the plan has not already decided.
"""

from typing import Any

ASSUMED = " ASSUMED: stock or supplier terms follow rules in company.yaml, not data."
LIMIT_WORDS = {
    "maximum_cover_days": "the limit of {maximum_cover_days} days of cover",
    "maximum_order_value": "the limit of {maximum_order_value} on an order's value",
}


def reason(row: dict[str, Any]) -> str:
    """Return why this row orders what it orders. `row` has the columns of the plan and the planner's limits."""
    return _decision(row) + (ASSUMED if row["is_assumed"] else "")


def _decision(row: dict[str, Any]) -> str:
    if row["is_discontinued"]:
        return "No order: the item is discontinued."
    if row["supplier_id"] is None:
        return "No order: no supplier is known for this item here; add its supplier terms."
    if row["on_hand_units"] is None:
        return (
            "No order: no stock record of this item is known here; count it, or add it to the stock export."
        )
    if row["demand_mean_units"] == 0 and not row["is_due"]:
        return f"No order: no demand is expected in the {_days(row)}."
    position = f"position {row['inventory_position_units']} (on hand {row['on_hand_units']}, on order {row['on_order_units']})"
    point = (
        f"reorder point {number(row['reorder_point_units'])} = {number(row['demand_mean_units'])} expected over the "
        f"{_days(row)} + {number(row['safety_stock_units'])} safety stock for {row['cycle_service_level']:.1%} service"
    )
    if not row["is_due"]:
        return f"No order: {position} is above the {point}."
    return (
        f"{_order(row)}: {position} is at or below the {point}.{_limit(row)}{_supplier(row)}{_freight(row)}"
    )


def number(value: float) -> str:
    """Return a number as a planner writes it: whole from 100 up, one decimal below.

    >>> number(1234.5), number(12.34), number(7.0)
    ('1,234', '12.3', '7')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")


def _order(row: dict[str, Any]) -> str:
    quantity = row["order_quantity_units"]
    if quantity == 0:
        return "No order although one is due"
    pack, minimum = row["pack_size_units"], row["minimum_order_units"]
    why = [f"up to {number(row['order_up_to_units'])}"]
    if pack > 1:
        why.append(f"in packs of {pack}")
    if quantity == row["smallest_order_units"] and minimum > pack:
        why.append(f"the minimum order is {minimum}")
    return f"Order {quantity} ({', '.join(why)})"


def _limit(row: dict[str, Any]) -> str:
    if row["limit_applied"] is None:
        return ""
    limit = LIMIT_WORDS[row["limit_applied"]].format(**row)
    if row["order_quantity_units"]:
        return f" Cut to {limit}."
    return f" The smallest order ({row['smallest_order_units']}) is beyond {limit}: decide by hand."


def _supplier(row: dict[str, Any]) -> str:
    if row["instead_of"] is None:
        return ""
    if row["usual_is_blocked"]:
        return f" From {row['supplier_id']}, because {row['instead_of']} cannot take the order within the limits."
    return f" From {row['supplier_id']} instead of {row['instead_of']}: {row['saving_share']:.1%} cheaper with freight."


def _freight(row: dict[str, Any]) -> str:
    return (
        "" if row["freight_is_known"] else " No freight rate is known for the lane: freight is counted as 0."
    )


def _days(row: dict[str, Any]) -> str:
    lead, review = row["lead_time_mean_days"], row["review_period_days"]
    return f"{number(lead + review)} days (lead time {number(lead)} + review {review})"
