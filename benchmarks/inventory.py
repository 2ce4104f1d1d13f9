"""Inventory mathematics over a million items at once, and exact policies in milliseconds, beside stockpyl 1.0.2.

    python -m benchmarks.inventory [--json] [--items N] [--peer-items N]

The same inputs for both. stockpyl takes one item a call: it gets `--peer-items` of the items, and its seconds are told for
all of them (its cost is linear in calls). `safety stock` has no peer; it mixes the three laws by the nature of demand, as the
plan does. Making the inputs is counted in ours. Results must agree where both are exact.
"""

import argparse
import json
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.peers import PEERS_NUMPY1_PYTHON, Measured, run_ours, run_peer
from models.inventory.distributions import distribution_for, poisson_probabilities
from models.inventory.eoq import economic_order_quantity
from models.inventory.guaranteed_service import Stage, optimise_service_times
from models.inventory.lost_sales import LostSales, optimal_cost
from models.inventory.newsvendor import newsvendor_normal
from models.inventory.r_q import r_q_poisson
from models.inventory.s_s import s_s_poisson
from models.inventory.safety_stock import protection_period, safety_stock
from models.inventory.serial_systems import SerialSystem, clark_scarf

PEER = "benchmarks.peer_stockpyl_formulas"
CLOCK_S = 0.01
"""What the clock of processes can tell apart; what is quicker is repeated."""
MEANS = [10, 15, 20, 25, 30, 35, 52, 64]
RATES = [1.5, 4.0, 10.0, 25.0]


def main() -> None:
    """Print ours, stockpyl's and the ratio of each question."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--peer-items", type=int, default=1_000)
    asked = parser.parse_args()
    found = [
        _many("EOQ", "eoq", asked.items, asked.peer_items, times=200),
        _many("newsvendor, normal", "base_stock", asked.items, asked.peer_items, times=1),
        _row(f"safety stock of {asked.items:,} items", _ours("mixed_safety_stock", asked.items)),
        _same("(s, S) exact, 8 of Zheng & Federgruen's", "s_s", MEANS, times=20),
        _same("(r, Q) exact, Poisson, 4 rates", "r_q", RATES, times=50),
        _serial(),
        _same("guaranteed service, tree of 40", "tree", *_a_tree(40), times=20),
        _row("lost sales, exact optimum, p 9, L 4", _ours("lost_sales", times=3)),
    ]
    if asked.json:
        print(json.dumps(found))
        return
    for row in found:
        peer = f"stockpyl {row['peer_cpu_s']:.4g}, ratio {row['ratio']:.3g}" if "ratio" in row else "no peer"
        print(f"{row['question']}: {row['ours_cpu_s']:.4g} CPU s; {peer}{row.get('note', '')}")


def _ours(function: str, *arguments: Any, times: int = 1) -> Measured:
    found = run_ours("benchmarks.inventory", "repeated", function, times, *arguments)
    return replace(found, cpu_s=max(found.cpu_s, CLOCK_S) / times)


def _peer(function: str, *arguments: Any, times: int = 1) -> Measured:
    found = run_peer(PEER, "repeated", function, times, *arguments, python=PEERS_NUMPY1_PYTHON)
    return replace(found, cpu_s=max(found.cpu_s, CLOCK_S) / times)


def _many(what: str, function: str, items: int, peer_items: int, times: int) -> dict[str, Any]:
    ours = _ours(function, items, peer_items, times=5)
    columns = (column[:peer_items].tolist() for column in _items(function, items))
    peer = _peer(function, *columns, times=times)
    _agree(what, ours.result, peer.result)
    return _row(f"{what} of {items:,} items", ours, replace(peer, cpu_s=peer.cpu_s * items / peer_items))


def _same(what: str, function: str, *arguments: Any, times: int) -> dict[str, Any]:
    ours, peer = _ours(f"{function}_ours", *arguments, times=times), _peer(function, *arguments)
    _agree(what, ours.result, peer.result)
    return _row(what, ours, peer)


def _serial() -> dict[str, Any]:
    ours, peer = _ours("serial_ours", times=50), _peer("serial")
    costs = f"; cost {ours.result:.3f}, stockpyl {peer.result:.3f}"
    return {**_row("serial system, normal, ex. 6.1", ours, peer), "note": costs}


def _row(question: str, ours: Measured, peer: Measured | None = None) -> dict[str, Any]:
    row = {"question": question, "ours_cpu_s": ours.cpu_s}
    return row if peer is None else {**row, "peer_cpu_s": peer.cpu_s, "ratio": ours.cpu_s / peer.cpu_s}


def _agree(what: str, ours: Any, peer: Any) -> None:
    if not np.allclose(ours, peer, rtol=1e-6):
        raise SystemExit(f"{what}: ours is {ours}, stockpyl's {peer}")


def repeated(function: str, times: int, *arguments: Any) -> Any:
    """Call a function of this module again and again; return what the last call did."""
    for _ in range(times):
        result = globals()[function](*arguments)
    return result


def _items(function: str, count: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    first, second = random.uniform(0.1, 5, count), random.uniform(6, 90, count)
    mean = random.gamma(0.8, 50, count) + 0.05
    return (
        (second, first, mean * 365)
        if function == "eoq"
        else (first, second, mean, mean * random.uniform(0.1, 1, count))
    )


def eoq(items: int, checked: int) -> float:
    return float(economic_order_quantity(*_items("eoq", items))[:checked].sum())


def base_stock(items: int, checked: int) -> float:
    return float(newsvendor_normal(*_items("base_stock", items)).base_stock_units[:checked].sum())


def mixed_safety_stock(items: int) -> float:
    _, _, mean, std = _items("base_stock", items)
    mean, std = protection_period(mean / 7, std**2 / 7, 7, 1, 7)
    return float(safety_stock(0.95, mean, std, distribution_for(mean, std)).sum())


def s_s_ours(means: list[float]) -> list[list[float]]:
    return np.stack(s_s_poisson(1, 9, 64, means), axis=1).tolist()


def r_q_ours(rates: list[float]) -> list[list[float]]:
    return np.stack(r_q_poisson(20, 150, 100, rates, 2), axis=1).tolist()


def serial_ours() -> float:
    return clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, 5, 1)).cost_per_period


def tree_ours(arcs: list[list[int]], holding: list[float], processing: list[int]) -> float:
    suppliers = {supplier for supplier, _ in arcs}
    stages = {
        str(index): Stage(holding[index], processing[index], 0.0 if index in suppliers else 1.0)
        for index in range(len(holding))
    }
    return optimise_service_times(stages, [(str(one), str(other)) for one, other in arcs]).cost_per_period


def lost_sales() -> float:
    return optimal_cost(LostSales(1, 9, 4, poisson_probabilities(5)))


def _a_tree(stages: int) -> tuple[list[list[int]], list[float], list[int]]:
    """A tree from plants to shops: value is added at each step; nobody has two suppliers."""
    random = np.random.default_rng(2)
    parents = [int(random.integers(max(index // 3 - 1, 0), max(index // 2, 1))) for index in range(1, stages)]
    holding = [1.0]
    for parent in parents:
        holding.append(holding[parent] + float(random.uniform(0.5, 2)))
    arcs = [[parent, index + 1] for index, parent in enumerate(parents)]
    return arcs, holding, random.integers(1, 4, stages).tolist()


if __name__ == "__main__":
    main()
