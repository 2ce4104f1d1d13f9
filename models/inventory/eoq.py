"""Economic order quantity: how much to order at once when demand is steady and known.

Belongs here: the EOQ family, vectorised over items. Not here: when to order (`policies.py`) and the stock held
against surprise (`safety_stock.py`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def economic_order_quantity(
    fixed_cost_per_order: ArrayLike, holding_cost_per_unit_year: ArrayLike, demand_units_per_year: ArrayLike
) -> NDArray[np.float64]:
    """Return Q* = sqrt(2 K d / h), the order quantity of least yearly cost, in units.

    K fixed cost of one order (currency), h cost of holding a unit for a year (currency), d demand (units per year);
    any shapes that broadcast. Without demand it is 0. Where holding is free (h = 0) it is infinite.
    Source: Harris 1913; Snyder & Shen, Fundamentals of Supply Chain Theory, sec. 3.2 (ex. 3.1).

    >>> float(economic_order_quantity(8, 0.225, 1300).round(10))
    304.0467800264
    """
    fixed, holding, demand = np.broadcast_arrays(
        *(
            np.asarray(value, dtype=np.float64)
            for value in (fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year)
        )
    )
    if (fixed < 0).any() or (holding < 0).any() or (demand < 0).any():
        raise ValueError("order cost, holding cost and demand must not be negative")
    with np.errstate(divide="ignore", invalid="ignore"):
        quantity: NDArray[np.float64] = np.sqrt(2 * fixed * demand / holding)
    return np.where(fixed * demand == 0, 0.0, quantity)


def annual_order_and_holding_cost(
    order_quantity_units: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
) -> NDArray[np.float64]:
    """Return g(Q) = K d / Q + h Q / 2, currency per year, for order quantities Q > 0.

    Symbols as in `economic_order_quantity`. Source: Snyder & Shen, sec. 3.2 (ex. 3.1).

    >>> float(annual_order_and_holding_cost(250, 8, 0.225, 1300).round(6))
    69.725
    """
    quantity = np.asarray(order_quantity_units, dtype=np.float64)
    if (quantity <= 0).any():
        raise ValueError("an order quantity must be above 0")
    fixed, holding, demand = (
        np.asarray(value, dtype=np.float64)
        for value in (fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year)
    )
    return np.asarray(fixed * demand / quantity + holding * quantity / 2, dtype=np.float64)
