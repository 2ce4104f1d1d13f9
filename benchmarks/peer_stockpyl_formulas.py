"""The formulas of stockpyl 1.0.2, one item at a time. Runs in the peers' venv with numpy 1 (`peers.py`)."""

import warnings
from typing import Any

warnings.filterwarnings("ignore")

from stockpyl.eoq import economic_order_quantity  # noqa: E402
from stockpyl.gsm_tree import optimize_committed_service_times, preprocess_tree  # noqa: E402
from stockpyl.newsvendor import newsvendor_normal  # noqa: E402
from stockpyl.rq import r_q_poisson_exact  # noqa: E402
from stockpyl.ss import s_s_discrete_exact  # noqa: E402
from stockpyl.ssm_serial import optimize_base_stock_levels  # noqa: E402
from stockpyl.supply_chain_network import SupplyChainNetwork  # noqa: E402
from stockpyl.supply_chain_node import SupplyChainNode  # noqa: E402


def repeated(function: str, times: int, *arguments: Any) -> Any:
    """Call a function of this module again and again; return what the last call did."""
    for _ in range(times):
        result = globals()[function](*arguments)
    return result


def eoq(fixed: list[float], holding: list[float], demand: list[float]) -> float:
    """Return the sum of the order quantities, one call per item."""
    return sum(economic_order_quantity(*item)[0] for item in zip(fixed, holding, demand, strict=True))


def base_stock(holding: list[float], shortage: list[float], mean: list[float], std: list[float]) -> float:
    """Return the sum of the newsvendor levels, one call per item."""
    return sum(newsvendor_normal(*item)[0] for item in zip(holding, shortage, mean, std, strict=True))


def s_s(mean: list[float]) -> list[list[float]]:
    """Return s, S and cost of each mean, at h 1, p 9, K 64."""
    return [list(map(float, s_s_discrete_exact(1, 9, 64, True, each))) for each in mean]


def r_q(rate: list[float]) -> list[list[float]]:
    """Return r, Q and cost of each demand rate, at h 20, p 150, K 100 and a lead time of 2."""
    return [list(map(float, r_q_poisson_exact(20, 150, 100, each, 2))) for each in rate]


def serial() -> float:
    """Return the cost of ex. 6.1 with normal demand, on the grid of stockpyl's own example."""
    _, cost = optimize_base_stock_levels(
        num_nodes=3,
        node_order_in_system=[3, 2, 1],
        node_order_in_lists=[1, 2, 3],
        echelon_holding_cost=[3, 2, 2],
        lead_time=[1, 1, 2],
        stockout_cost=37.12,
        demand_mean=5,
        demand_standard_deviation=1,
        x_num=1000,
        d_num=100,
    )
    return float(cost)


def tree(arcs: list[list[int]], holding: list[float], processing: list[int]) -> float:
    """Return the cost of committed service times on a tree; stages without customers have demand of std 1."""
    network = SupplyChainNetwork()
    suppliers = {supplier for supplier, _ in arcs}
    for index in range(len(holding)):
        node = SupplyChainNode(index, local_holding_cost=holding[index], processing_time=processing[index])
        if index not in suppliers:
            node.demand_source.type = "N"
            node.demand_source.mean, node.demand_source.standard_deviation = 0, 1
            node.external_outbound_cst = 0
        node.demand_bound_constant = 1
        network.add_node(node)
    for supplier, customer in arcs:
        network.add_edge(supplier, customer)
    _, cost = optimize_committed_service_times(preprocess_tree(network))
    return float(cost)
