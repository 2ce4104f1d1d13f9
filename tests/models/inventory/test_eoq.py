"""EOQ against the published example."""

import numpy as np
import pytest

from models.inventory.eoq import annual_order_and_holding_cost, economic_order_quantity


def test_published_example_to_the_digit() -> None:
    quantity = economic_order_quantity(8, 0.225, 1300)
    assert f"{float(quantity):.10f}" == "304.0467800264"
    assert f"{float(annual_order_and_holding_cost(quantity, 8, 0.225, 1300)):.10f}" == "68.4105255059"
    assert float(annual_order_and_holding_cost(250, 8, 0.225, 1300)) == pytest.approx(69.725, abs=1e-12)


def test_it_is_the_least_cost_for_every_item() -> None:
    demand = np.array([10.0, 1300.0, 1e6])
    best = economic_order_quantity(8, 0.225, demand)
    least = annual_order_and_holding_cost(best, 8, 0.225, demand)
    for factor in (0.5, 0.99, 1.01, 2):
        assert (annual_order_and_holding_cost(best * factor, 8, 0.225, demand) > least).all()


def test_edges() -> None:
    assert economic_order_quantity([0, 8, 8, 0], [1, 1, 0, 0], [5, 0, 5, 5]).tolist() == [0, 0, np.inf, 0]
    with pytest.raises(ValueError, match="negative"):
        economic_order_quantity(8, -1, 5)
    with pytest.raises(ValueError, match="above 0"):
        annual_order_and_holding_cost(0, 8, 1, 5)
