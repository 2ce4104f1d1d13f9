"""Claim: the twin's general simulator is thousands of times faster than a well-kept library's, and a year of M5 takes a minute.

    python -m benchmarks.twin [--json] [--year-series 30490]

Two networks: a serial chain of 3 stages (backorders), and a warehouse with 50 stores (lost sales, random lead times, packs,
whole units, proportional allocation, freight per shipment and weight); 10 items, 1,000 replications, base stock, Poisson
demand. Both count costs, sales and losses. A node-period is one item at one place in one period of one replication. Compile
time (the first call less the second) and sampling stand apart. The peer is stockpyl 1.0.2 on the same structures, one item and
one replication at a time (fixed lead times, no packs, no freight: it does less). The year is every item x store of M5 with
customers drawn from its last two years by weeks, (s, S) by each series' own mean and spread, sampling included.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.peers import PEERS_NUMPY1_PYTHON, run_ours, run_peer
from lake.company import load_company

ITEMS, REPLICATIONS, STORES = 10, 1_000, 50
PERIODS = {"serial": 400, "tree": 60}
PEER_PERIODS = {"serial": 2_000, "tree": 150}
YEAR_DAYS, YEAR_REPLICATIONS, YEAR_BLOCK = 365, 20, 305


def main(
    year_series: int = typer.Option(30_490, help="How many of M5's series to simulate for a year; 0: none."),
    as_json: bool = typer.Option(False, "--json"),
) -> None:
    """Print speeds of ours and of stockpyl, the growth of cost, and the cost of the year."""
    os.environ["XLA_FLAGS"] = (
        "--xla_cpu_multi_thread_eigen=false"  # the processes below: one thread, honest CPU seconds
    )
    figures: dict[str, Any] = {}
    ours, peers = {}, {}
    for kind in PERIODS:
        told = run_ours("benchmarks.twin", "speed", kind, ITEMS, REPLICATIONS, STORES).result
        peer = run_peer(
            "benchmarks.peer_stockpyl", "simulate", kind, STORES, PEER_PERIODS[kind], python=PEERS_NUMPY1_PYTHON
        ).result  # fmt: skip
        ours[kind], peers[kind] = told["node_periods"] / told["cpu_s"], peer["node_periods"] / peer["cpu_s"]
        figures |= {
            f"{kind}_node_periods_per_cpu_s": ours[kind],
            f"{kind}_compile_cpu_s": told["compile_cpu_s"],
            f"{kind}_sampling_cpu_s": told["sampling_cpu_s"],
            f"{kind}_stockpyl_node_periods_per_cpu_s": peers[kind],
        }
    figures["node_periods_per_cpu_s"] = min(ours.values())
    figures["ratio_to_stockpyl"] = min(ours[kind] / peers[kind] for kind in ours)
    figures["ratio_to_stockpyl_worst_pairing"] = min(ours.values()) / max(peers.values())
    figures |= run_ours("benchmarks.twin", "growth").result
    data = Path(load_company("example").variables["STOCKLAKE_DATA"]) / "m5" / "daily_units.parquet"
    if year_series and data.is_file():
        year = run_ours("benchmarks.twin", "year", str(data), year_series)
        figures |= {"year_cpu_s": year.cpu_s, "peak_mb": year.peak_mb} | year.result
    rounded = {key: float(f"{value:.4g}") for key, value in figures.items()}
    print(
        json.dumps(rounded)
        if as_json
        else "\n".join(f"{key:42} {value:,.6g}" for key, value in rounded.items())
    )


def speed(kind: str, items: int, replications: int, stores: int) -> dict[str, float]:
    """Simulate a network twice: the first call compiles. Return CPU seconds of the second, of compiling, of sampling."""
    import jax

    network, level = _serial(items) if kind == "serial" else _tree(items, stores)
    rules, layout, numbers, state, paths, parameters, sampling = _ready(
        network, level, PERIODS[kind], replications
    )
    from models.twin.policies import base_stock
    from models.twin.simulate import fitting_block, replications_of, run

    block = fitting_block(layout, replications)
    parts = [replications_of(paths, slice(start, start + block)) for start in range(0, replications, block)]
    costs = []
    for _ in range(3):
        before = time.process_time()
        for part in parts:
            outcome = jax.block_until_ready(run(layout, rules, base_stock, parameters, numbers, state, part))
        costs.append(time.process_time() - before)
    assert float(outcome.cost.mean()) > 0 and math.isfinite(float(outcome.cost.mean()))
    again = min(costs[1:])
    places = sum(node.kind != "supplier" for node in network.nodes)
    return {
        "node_periods": places * items * replications * PERIODS[kind],
        "cpu_s": again,
        "compile_cpu_s": costs[0] - again,
        "sampling_cpu_s": sampling,
    }


def growth() -> dict[str, float]:
    """Return how many times the cost per node-period grows from a quarter to the whole of items, places, replications."""
    whole = speed("tree", ITEMS, REPLICATIONS, STORES)
    parts = {
        "items": speed("tree", 2, REPLICATIONS, STORES),
        "nodes": speed("tree", ITEMS, REPLICATIONS, STORES // 5),
        "replications": speed("tree", ITEMS, REPLICATIONS // 5, STORES),
    }
    unit = whole["cpu_s"] / whole["node_periods"]
    return {f"growth_{name}": unit / (part["cpu_s"] / part["node_periods"]) for name, part in parts.items()}


def year(source: str, series: int) -> dict[str, float]:
    """Simulate a year of M5's series, all stores of a block of items at once; return what came out and how large it was."""
    import polars as pl

    from models.twin import demand as sampling
    from models.twin.events import Outside
    from models.twin.layout import make_layout
    from models.twin.network import Lane, LeadTime, Network, Node
    from models.twin.numbers import make_numbers
    from models.twin.policies import reorder_point
    from models.twin.simulate import run
    from models.twin.state import Rules, initial_state

    parts = pl.col("id").str.extract_groups(r"^(?<item>.*_\d+)_(?<store>[A-Z]+_\d+)$")
    last = pl.scan_parquet(source).select(pl.col("date").max()).collect().item()
    days = (
        pl.scan_parquet(source)
        .filter(pl.col("date") > last - pl.duration(days=728))
        .select(
            parts.struct.field("item"), parts.struct.field("store"), "date", pl.col("units").cast(pl.Float32)
        )
        .collect()
    )
    items, stores = days["item"].unique().sort(), days["store"].unique().sort()
    items = items.head(-(-series // len(stores)))
    days = days.filter(pl.col("item").is_in(items.implode()))
    at = days.select(
        ((pl.col("date") - (last - pl.duration(days=727))).dt.total_days()).alias("day"),
        pl.col("store").replace_strict(stores, range(len(stores)), return_dtype=pl.Int64),
        pl.col("item").replace_strict(items, range(len(items)), return_dtype=pl.Int64),
    )
    width = -(-len(items) // YEAR_BLOCK) * YEAR_BLOCK
    history = np.zeros((728, len(stores) + 1, width), np.float32)
    history[at["day"].to_numpy(), at["store"].to_numpy() + 1, at["item"].to_numpy()] = days[
        "units"
    ].to_numpy()
    del days, at
    rules = Rules(unfilled_orders="cancel", record=("demand", "sold", "lost"))
    sold = asked = 0.0
    for block in range(0, width, YEAR_BLOCK):
        past = history[:, :, block : block + YEAR_BLOCK]
        mean, std = past.mean(0), past.std(0)
        point = np.ceil(mean * 5 + 2 * std * 5**0.5)
        level = np.ceil(point + np.maximum(mean * 7, 1))
        nodes = [Node("outside", "supplier")] + [
            Node(name, "store", has_demand=True, holding_cost=0.01, price=3.0, on_hand=level[k + 1])
            for k, name in enumerate(stores)
        ]
        lanes = [
            Lane("outside", name, lead_time=LeadTime((4,), (1.0,)), unit_cost=2.0, shipment_cost=40.0)
            for name in stores
        ]
        network = Network([f"i{k}" for k in range(YEAR_BLOCK)], nodes, lanes)
        layout = make_layout(network)
        numbers = make_numbers(network, layout)
        random = np.random.default_rng([7, block])
        units = sampling.bootstrap(past, YEAR_DAYS, YEAR_REPLICATIONS, random)
        parameters = {"point": layout.at_nodes(point), "level": layout.at_nodes(level)}
        paths = Outside(units).paths(network, layout)
        outcome = run(
            layout,
            rules,
            reorder_point,
            parameters,
            numbers,
            initial_state(network, layout, numbers, rules),
            paths,
        )
        sold += float(np.asarray(outcome.totals["sold"][1]).sum(dtype=np.float64))
        asked += float(np.asarray(outcome.totals["demand"][1]).sum(dtype=np.float64))
        del units, paths, outcome
    return {
        "year_series": len(items) * len(stores),
        "year_node_periods": len(items) * len(stores) * YEAR_DAYS * YEAR_REPLICATIONS,
        "year_fill_rate": sold / asked,
    }


def _serial(items: int) -> tuple[Any, dict[str, float]]:
    from models.twin.network import Lane, LeadTime, Network, Node

    nodes = [
        Node("outside", "supplier"),
        Node("three", "plant", holding_cost=2, on_hand=11),
        Node("two", "hub", holding_cost=4, on_hand=6),
        Node("one", "store", has_demand=True, holding_cost=7, shortage_cost=9, backlog_share=1, on_hand=7),
    ]
    lanes = [
        Lane("outside", "three", lead_time=LeadTime((2,), (1.0,))),
        Lane("three", "two", lead_time=LeadTime((1,), (1.0,)), pipeline_holding_cost=2),
        Lane("two", "one", lead_time=LeadTime((1,), (1.0,)), pipeline_holding_cost=4),
    ]
    return Network([f"i{k}" for k in range(items)], nodes, lanes), {"three": 11, "two": 6, "one": 7}


def _tree(items: int, stores: int) -> tuple[Any, dict[str, float]]:
    from models.twin.network import Lane, LeadTime, Network, Node

    names = [f"store {k}" for k in range(stores)]
    nodes = [Node("outside", "supplier"), Node("warehouse", "hub", holding_cost=0.5, on_hand=24.0 * stores)]
    nodes += [
        Node(name, "store", has_demand=True, holding_cost=1, shortage_cost=9, on_hand=22) for name in names
    ]
    lanes = [
        Lane(
            "outside",
            "warehouse",
            lead_time=LeadTime((2, 3, 4), (0.3, 0.4, 0.3)),
            pack=24,
            order_cost=10,
            freight_per_kg=0.1,
        )
    ]
    lanes += [
        Lane(
            "warehouse",
            name,
            lead_time=LeadTime((1, 2, 3), (0.3, 0.4, 0.3)),
            pack=6,
            shipment_cost=5,
            freight_per_kg=0.2,
        )
        for name in names
    ]
    levels = {"warehouse": 24.0 * stores, **dict.fromkeys(names, 22.0)}
    return Network([f"i{k}" for k in range(items)], nodes, lanes), levels


def _ready(network: Any, level: dict[str, float], periods: int, replications: int) -> tuple[Any, ...]:
    import jax

    from models.twin import demand as sampling
    from models.twin.events import Outside
    from models.twin.layout import make_layout
    from models.twin.numbers import make_numbers
    from models.twin.state import Rules, initial_state

    rules = Rules(record=("sold", "lost"))
    layout = make_layout(network.checked())
    numbers = make_numbers(network, layout)
    random, before = np.random.default_rng(7), time.process_time()
    mean = np.array([[5.0 * node.has_demand] for node in network.nodes]).repeat(len(network.items), 1)
    units = sampling.poisson(mean, periods, replications, random)
    lead = sampling.lead_times(network, periods, replications, random)
    sampled = time.process_time() - before
    paths = Outside(units, lead=None if lead is None else lead[:, :, None]).paths(network, layout)
    per_node = np.array([[level.get(node.name, 0)] for node in network.nodes]).repeat(len(network.items), 1)
    state = initial_state(network, layout, numbers, rules)
    return (
        rules,
        layout,
        numbers,
        state,
        jax.block_until_ready(paths),
        {"level": layout.at_nodes(per_node)},
        sampled,
    )


if __name__ == "__main__":
    typer.run(main)
