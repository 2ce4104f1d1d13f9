"""stockpyl's simulation of the networks of `benchmarks.twin`, in the peers' venv. Imports nothing of Stocklake."""

import time

from stockpyl.policy import Policy
from stockpyl.sim import simulation
from stockpyl.supply_chain_network import SupplyChainNetwork
from stockpyl.supply_chain_node import SupplyChainNode


def simulate(kind: str, stores: int, periods: int) -> dict[str, float]:
    """Simulate one item, one replication; return CPU seconds of the simulation alone and its node-periods."""
    network = _serial() if kind == "serial" else _tree(stores)
    before = time.process_time()
    simulation(network, periods, rand_seed=7, progress_bar=False)
    return {"cpu_s": time.process_time() - before, "node_periods": len(network.nodes) * periods}


def _serial() -> SupplyChainNetwork:
    levels, costs, leads = {3: 11, 2: 6, 1: 7}, {3: 2, 2: 4, 1: 7}, {3: 2, 2: 1, 1: 1}
    return _network([(3, 2), (2, 1)], levels, costs, leads, sellers=[1], source=3)


def _tree(stores: int) -> SupplyChainNetwork:
    places = range(1, stores + 1)
    levels = {0: 24 * stores, **dict.fromkeys(places, 22)}
    costs = {0: 0.5, **dict.fromkeys(places, 1.0)}
    leads = {0: 3, **dict.fromkeys(places, 2)}
    return _network([(0, place) for place in places], levels, costs, leads, sellers=places, source=0)


def _network(edges, levels, costs, leads, *, sellers, source) -> SupplyChainNetwork:
    nodes = {}
    for index in levels:
        node = SupplyChainNode(index)
        node.local_holding_cost = costs[index]
        node.shipment_lead_time = leads[index]
        node.initial_inventory_level = levels[index]
        node.inventory_policy = Policy(type="BS", base_stock_level=levels[index], node=node)
        node.supply_type = "U" if index == source else None
        if index in sellers:
            node.stockout_cost = 9
            node.demand_source.type = "P"
            node.demand_source.mean = 5
        nodes[index] = node
    network = SupplyChainNetwork()
    for node in nodes.values():
        network.add_node(node)
    for upstream, downstream in edges:
        network.add_edge(upstream, downstream)
    return network
