"""Replenishment policies: when to order, up to where, and what a supplier's packs and minimum make of it.

Belongs here: levels and quantities, vectorised over items. Not here: the distribution of demand
(`safety_stock.py`), costs, the choice of supplier and anything that knows a frame (`models.replenishment`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def order_up_to_level(
    reorder_point_units: ArrayLike, economic_quantity_units: ArrayLike, review_demand_units: ArrayLike
) -> Floats:
    """Return S of the periodic review policy (R, s, S), in units.

    S = s + max(Q - mu_R, 0): an order is made only when it is worth its fixed cost, so S lies above the reorder
    point s by the part of the economic quantity Q that one review period's demand mu_R does not use up. Where
    mu_R >= Q, S = s and the policy is order-up-to in every review (R, S).
    A heuristic after Silver, Pyke & Thomas 2017, ch. 6 (s and Q set one after the other); an exact (s, S) is dearer
    to explain than it is better here.

    >>> order_up_to_level(100, [80, 20], 30).tolist()
    [150.0, 100.0]
    """
    point, economic, review = (
        np.asarray(value, dtype=np.float64)
        for value in (reorder_point_units, economic_quantity_units, review_demand_units)
    )
    return np.asarray(point + np.maximum(economic - review, 0.0))


def whole_packs_up(units: ArrayLike, pack_size_units: ArrayLike) -> Integers:
    """Return `units` rounded up to whole packs; what is not above 0 gives 0.

    The sixth decimal is where rounding begins: sums that differ in their last bits make the same order.

    >>> whole_packs_up([-3, 0, 1, 24, 24.0000001, 25], 12).tolist()
    [0, 0, 12, 24, 24, 36]
    """
    wanted = np.round(np.maximum(np.asarray(units, dtype=np.float64), 0.0), 6)
    pack = np.asarray(pack_size_units, dtype=np.int64)
    return np.asarray(np.ceil(wanted / pack) * pack, dtype=np.int64)


def whole_packs_down(units: ArrayLike, pack_size_units: ArrayLike) -> Integers:
    """Return `units` rounded down to whole packs; what is not above 0 gives 0.

    >>> whole_packs_down([-3, 11, 12, 35.9], 12).tolist()
    [0, 0, 12, 24]
    """
    allowed = np.round(np.maximum(np.asarray(units, dtype=np.float64), 0.0), 6)
    pack = np.asarray(pack_size_units, dtype=np.int64)
    return np.asarray(np.floor(allowed / pack) * pack, dtype=np.int64)


def order_quantity(
    inventory_position_units: ArrayLike,
    reorder_point_units: ArrayLike,
    order_up_to_units: ArrayLike,
    pack_size_units: ArrayLike,
    minimum_order_units: ArrayLike,
) -> Integers:
    """Return what (R, s, S) orders now: from the position up to S in whole packs, at least the minimum.

    Nothing where the position is above the reorder point, or already at S.

    >>> order_quantity([90, 101, 100], 100, [150, 150, 100], pack_size_units=24, minimum_order_units=100).tolist()
    [120, 0, 0]
    """
    position, point, level = (
        np.asarray(value, dtype=np.float64)
        for value in (inventory_position_units, reorder_point_units, order_up_to_units)
    )
    wanted = whole_packs_up(level - position, pack_size_units)
    smallest = whole_packs_up(minimum_order_units, pack_size_units)
    is_due = (np.round(position - point, 6) <= 0) & (wanted > 0)
    return np.where(is_due, np.maximum(wanted, smallest), 0)


def within_limit(
    quantity_units: ArrayLike,
    largest_units: ArrayLike,
    pack_size_units: ArrayLike,
    minimum_order_units: ArrayLike,
) -> Integers:
    """Return the quantity cut to at most `largest_units` in whole packs; 0 where the minimum no longer fits.

    >>> within_limit([120, 120, 48], [100, 30, 100], 24, 48).tolist()
    [96, 0, 48]
    """
    quantity = np.asarray(quantity_units, dtype=np.int64)
    cut = whole_packs_down(largest_units, pack_size_units)
    cut = np.where(cut >= whole_packs_up(minimum_order_units, pack_size_units), cut, 0)
    return np.minimum(quantity, cut)
