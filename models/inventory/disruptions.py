"""Orders and stock against a supplier that fails from time to time.

Belongs here: EOQ and newsvendor with supply that is on or off, vectorised over items. Not here: supply that delivers
less or more than ordered (`random_yield.py`), a second supplier (`dual_sourcing.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.inventory.arguments import Floats, above_zero, not_negative, refuse_where, shares
from models.inventory.eoq import OrderPlan, economic_order_quantity


class DisruptedStock(NamedTuple):
    """The level to order up to (units), the periods of supply beyond the next one in it, and the cost per period."""

    base_stock_units: Floats
    extra_periods: Floats
    cost_per_period: Floats


def disrupted_order_cost(
    order_quantity_units: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    lost_sale_cost_per_unit: ArrayLike,
    demand_units_per_year: ArrayLike,
    disruptions_per_year: ArrayLike,
    recoveries_per_year: ArrayLike,
) -> Floats:
    """Return the yearly cost of ordering Q whenever stock runs out, from a supplier that is down at times.

    g(Q) = (K + h Q^2 / (2 d) + p d psi / mu) / (Q / d + psi / mu), with psi(Q) = lambda / (lambda + mu)
    (1 - exp(-(lambda + mu) Q / d)), the probability of finding the supplier down: up and down times are exponential,
    `disruptions_per_year` lambda while it is up, `recoveries_per_year` mu while it is down. Demand while there is no
    stock is lost, at p a unit. Source: Berk & Arreola-Risa 1994; Snyder & Shen, sec. 9.2.1 (ex. 9.1).

    >>> float(disrupted_order_cost(700, 8, 0.225, 5, 1300, 1.5, 14).round(4))
    174.7871
    """
    (quantity,) = above_zero(order_quantity_units=order_quantity_units)
    fixed, holding, lost, demand, down, up = _order_arguments(
        fixed_cost_per_order,
        holding_cost_per_unit_year,
        lost_sale_cost_per_unit,
        demand_units_per_year,
        disruptions_per_year,
        recoveries_per_year,
    )
    waiting_years = down / (down + up) * -np.expm1(-(down + up) * quantity / demand) / up
    cycle_cost = fixed + holding * quantity**2 / (2 * demand) + lost * demand * waiting_years
    return np.asarray(cycle_cost / (quantity / demand + waiting_years))


def economic_order_quantity_with_disruptions(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    lost_sale_cost_per_unit: ArrayLike,
    demand_units_per_year: ArrayLike,
    disruptions_per_year: ArrayLike,
    recoveries_per_year: ArrayLike,
) -> OrderPlan:
    """Return the Q of least `disrupted_order_cost` and that cost; without disruptions it is the EOQ.

    Raises `ValueError` where losing every sale (p d) costs no more than serving demand: nothing should be ordered then.
    The cost falls to one minimum and rises beyond it (Berk & Arreola-Risa 1994); its slope is bisected.
    Source: Snyder & Shen, sec. 9.2.1 (ex. 9.1).

    >>> [float(part.round(4)) for part in economic_order_quantity_with_disruptions(8, 0.225, 5, 1300, 1.5, 14)]
    [772.8111, 173.95]
    """
    fixed, holding, lost, demand, *_ = given = _order_arguments(
        fixed_cost_per_order,
        holding_cost_per_unit_year,
        lost_sale_cost_per_unit,
        demand_units_per_year,
        disruptions_per_year,
        recoveries_per_year,
    )
    undisturbed = np.sqrt(2 * fixed * demand * holding)
    refuse_where(
        lost * demand <= undisturbed,
        "lost_sale_cost_per_unit is too low: to lose every sale costs no more than to order and hold stock",
    )
    low = np.zeros_like(lost)
    high = economic_order_quantity(fixed, holding, demand)
    while (falling := _is_falling(high, *given)).any():
        low, high = np.where(falling, high, low), np.where(falling, 2 * high, high)
    for _ in range(100):  # beyond the last bit of a float
        middle = (low + high) / 2
        falling = _is_falling(middle, *given)
        low, high = np.where(falling, middle, low), np.where(falling, high, middle)
    return OrderPlan(high, disrupted_order_cost(high, *given))


def newsvendor_with_disruptions(
    holding_cost_per_unit_period: ArrayLike,
    backorder_cost_per_unit_period: ArrayLike,
    demand_units_per_period: ArrayLike,
    disruption_probability: ArrayLike,
    recovery_probability: ArrayLike,
) -> DisruptedStock:
    """Return the base-stock level S = (n + 1) d for known demand d and supply that is down in some periods.

    The supplier goes down with `disruption_probability` alpha after a period up, and comes back with
    `recovery_probability` beta. n is the least whole number with F(n) >= p / (p + h), where F(n) = 1 - alpha /
    (alpha + beta) (1 - beta)^n is the probability of at most n periods without supply by now. Demand that is not met
    waits. Source: Guellue, Oenol & Erkip 1997; Snyder & Shen, sec. 9.2.2 (ex. 9.3).

    >>> [float(part.round(6)) for part in newsvendor_with_disruptions(0.25, 3, 2000, 0.04, 0.25)]
    [8000.0, 3.0, 2737.068966]
    """
    holding, backorder = above_zero(
        holding_cost_per_unit_period=holding_cost_per_unit_period,
        backorder_cost_per_unit_period=backorder_cost_per_unit_period,
    )
    (demand,) = not_negative(demand_units_per_period=demand_units_per_period)
    fails, recovers = shares(
        disruption_probability=disruption_probability, recovery_probability=recovery_probability
    )
    down, allowed = fails / (fails + recovers), holding / (backorder + holding)
    # 1e-12: a ratio that is met exactly is met.
    periods = np.ceil(np.log(np.minimum(allowed / down, 1.0)) / np.log1p(-recovers) - 1e-12)
    # E[(N - n)+] is a geometric tail; E[N] is its value at n = 0.
    short = down * (1 - recovers) ** periods / recovers
    held = periods - down / recovers + short
    return DisruptedStock(
        *np.broadcast_arrays((periods + 1) * demand, periods, demand * (holding * held + backorder * short))
    )


def _is_falling(
    quantity: Floats, fixed: Floats, holding: Floats, lost: Floats, demand: Floats, down: Floats, up: Floats
) -> NDArray[np.bool_]:
    """Whether the slope of the cost, a fraction A(Q) / B(Q), is negative: A' B < A B'."""
    years = quantity / demand
    waiting = down / (down + up) * -np.expm1(-(down + up) * years) / up
    waiting_slope = down / demand * np.exp(-(down + up) * years) / up
    cost = fixed + holding * quantity * years / 2 + lost * demand * waiting
    cost_slope = holding * years + lost * demand * waiting_slope
    return np.asarray(cost_slope * (years + waiting) < cost * (1 / demand + waiting_slope))


def _order_arguments(*values: ArrayLike) -> tuple[Floats, ...]:
    fixed, holding, lost, demand, up = above_zero(
        fixed_cost_per_order=values[0],
        holding_cost_per_unit_year=values[1],
        lost_sale_cost_per_unit=values[2],
        demand_units_per_year=values[3],
        recoveries_per_year=values[5],
    )
    (down,) = not_negative(disruptions_per_year=values[4])
    return fixed, holding, lost, demand, down, up
