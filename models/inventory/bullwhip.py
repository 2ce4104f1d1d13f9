"""Bullwhip: how much more orders vary than the demand behind them.

Belongs here: the ratio as measured, as a formula, and the orders of the order-up-to policy that the formula is about;
vectorised over items. Not here: simulation of networks (`models.twin`).
"""

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, not_negative, refuse_where, whole


def bullwhip_ratio(order_units: ArrayLike, demand_units: ArrayLike) -> Floats:
    """Return Var(orders) / Var(demand) over the last axis (periods); the other axes are items.

    Infinite where demand does not vary and orders do, 1 where neither does. Source: Chen et al. 2000.

    >>> float(bullwhip_ratio([4, 6, 2, 8], [4, 6, 4, 6]))
    5.0
    """
    orders, demand = np.asarray(order_units, dtype=np.float64), np.asarray(demand_units, dtype=np.float64)
    if orders.size == 0 or demand.size == 0:
        raise ValueError("order_units and demand_units need at least one period each")
    above, below = orders.var(axis=-1), demand.var(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), 1.0, above / below)


def bullwhip_of_moving_average(
    lead_time_periods: ArrayLike, window_periods: ArrayLike, autocorrelation: ArrayLike = 0
) -> Floats:
    """Return 1 + (2 L / n + 2 L^2 / n^2) (1 - rho^n): order-up-to by the mean of the last n periods' demand.

    L counts the periods from the order to the end of the one in which it arrives; rho is the correlation of
    demand with that of the period before (AR(1)). Exact for independent demand and, without a safety factor on
    the forecast's error, for AR(1). Source: Chen, Drezner, Ryan & Simchi-Levi 2000.

    >>> float(bullwhip_of_moving_average(2, 5).round(4))
    2.12
    """
    lead, window = not_negative(lead_time_periods=lead_time_periods, window_periods=window_periods)
    rho = np.asarray(autocorrelation, dtype=np.float64)
    refuse_where(window < 1, "window_periods must be at least 1")
    refuse_where(np.abs(rho) >= 1, "autocorrelation must lie between -1 and 1")
    return np.asarray(1 + (2 * lead / window + 2 * (lead / window) ** 2) * (1 - rho**window))


def moving_average_orders(demand_units: ArrayLike, lead_time_periods: int, window_periods: int) -> Floats:
    """Return what order-up-to orders when its level is L times the mean of the last n periods' demand.

    q_t = S_{t+1} - S_t + D_t: what was sold, and the change of the level by what was sold. Periods stand on the last
    axis; the first n, before there are two means, give no order and are left out. An order may be negative (a return),
    as in the formula. Source: Chen et al. 2000.

    >>> moving_average_orders([4, 6, 8, 4, 6], lead_time_periods=2, window_periods=2).tolist()
    [12.0, 2.0, 4.0]
    """
    demand = np.atleast_1d(np.asarray(demand_units, dtype=np.float64))
    lead, window = whole("lead_time_periods", lead_time_periods), whole("window_periods", window_periods, 1)
    if demand.shape[-1] <= window:
        raise ValueError(
            f"demand_units has {demand.shape[-1]} periods, too few for a mean over {window}: at least {window + 1} are needed"
        )
    return np.asarray(demand[..., window:] + lead * (demand[..., window:] - demand[..., :-window]) / window)
