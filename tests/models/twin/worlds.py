"""Random supply chains and paths for tests, from a seed, and the twin's answer in the network's own order."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from models.twin.layout import make_layout
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import base_stock, echelon_base_stock
from models.twin.simulate import run
from models.twin.state import Paths, Rules, initial_state

PERIODS, REPLICATIONS = 14, 2


def fixed(periods: int) -> LeadTime:
    return LeadTime((periods,), (1.0,))


def serial_system() -> Network:
    """Snyder and Shen, example 6.1: a unit under way is held at its origin's cost, and the newest stage is last."""
    customers = {"has_demand": True, "shortage_cost": 37.12, "backlog_share": 1}
    nodes = [
        Node("outside", "supplier"),
        Node("three", "plant", holding_cost=2, on_hand=12),
        Node("two", "hub", holding_cost=4, on_hand=6),
        Node("one", "store", holding_cost=7, on_hand=8, **customers),
    ]
    lanes = [
        Lane("outside", "three", lead_time=fixed(2)),
        Lane("three", "two", lead_time=fixed(1), pipeline_holding_cost=2),
        Lane("two", "one", lead_time=fixed(1), pipeline_holding_cost=4),
    ]
    return Network(["item"], nodes, lanes)


@dataclass
class World:
    network: Network
    rules: Rules
    level: np.ndarray
    outside: dict  # paths by name in the network's order; demand and lead with a last axis of replications
    use_echelon: bool


def random_world(seed: int) -> World:
    r = np.random.default_rng(seed)
    items, hubs, stores = int(r.integers(1, 4)), int(r.integers(1, 4)), int(r.integers(1, 4))
    ages = bool(r.random() < 0.35)
    allocation = str(r.choice(["proportional", "priority", "fair_share"]))
    whole = bool(r.random() < 0.7) or ages
    rules = Rules(
        sequence=str(r.choice(["demand_then_order", "order_then_demand"])),
        unfilled_orders=str(r.choice(["wait", "cancel"])),
        allocation=allocation,
        whole_units=whole,
        record=(),
        daily="cells",
    )
    shortest = 1 if allocation == "fair_share" else 0

    def amounts(low, high):
        return np.floor(r.uniform(low, high, items)) if whole else r.uniform(low, high, items)

    nodes = [Node("S0", "supplier"), Node("S1", "supplier")]
    nodes += [
        Node(
            f"H{h}",
            "hub",
            has_demand=bool(r.random() < 0.2),
            on_hand=amounts(0, 60),
            backlog_share=float(r.choice([0, 0.5, 1])),
        )
        for h in range(hubs)
    ]
    nodes += [
        Node(
            f"T{s}",
            "store",
            has_demand=True,
            on_hand=amounts(0, 20),
            backlog_share=float(r.choice([0, 0.5, 1])),
        )
        for s in range(stores)
    ]
    lanes = []

    def lane(origin, destination, share, mask=None):
        first = int(r.integers(shortest, 4))
        lanes.append(
            Lane(
                origin,
                destination,
                mode=f"m{len(lanes)}",
                lead_time=LeadTime((first, first + int(r.integers(1, 3))), (0.5, 0.5))
                if r.random() < 0.5
                else LeadTime((first,), (1.0,)),
                share=share,
                items=mask,
                pack=float(r.choice([1, 1, 4])) if whole else 1.0,
                minimum=float(r.choice([0, 0, 6])),
                capacity=float(r.choice([np.inf, np.inf, 25])),
                in_transit=np.stack([amounts(0, 5), amounts(0, 5)]) if r.random() < 0.3 else None,
            )
        )

    for h in range(hubs):
        if h and r.random() < 0.4:
            lane(f"H{h - 1}", f"H{h}", 1.0)
            continue
        mask = r.random(items) < 0.5
        lane("S0", f"H{h}", 1.0, mask)
        lane("S1", f"H{h}", 1.0, ~mask)
    for s in range(stores):
        first = int(r.integers(0, hubs))
        if hubs > 1 and r.random() < 0.3:
            lane(f"H{first}", f"T{s}", 0.5)
            lane(f"H{(first + 1) % hubs}", f"T{s}", 0.5)
        else:
            lane(f"H{first}", f"T{s}", 1.0)
    network = Network(
        [f"i{k}" for k in range(items)],
        nodes,
        lanes,
        shelf_life=np.where(r.random(items) < 0.7, r.integers(2, 7, items), np.inf) if ages else None,
        substitute=[1, -1, *([-1] * (items - 2))] if items > 1 and r.random() < 0.4 else None,
        substitution_share=0.5,
    ).checked()
    shape = (PERIODS, len(nodes), items, REPLICATIONS)
    outside = {"demand": r.poisson(4, shape).astype(float) if whole else r.gamma(2, 2, shape)}
    values = [lane.lead_time.values for lane in lanes]
    outside["lead"] = np.stack([r.choice(v, (PERIODS, REPLICATIONS)) for v in values], 1)
    for name, width, levels in (
        ("can_order", len(lanes), [0, 1, 1]),
        ("node_open", len(nodes), [0, 0.5, 1, 1, 1]),
        ("row_open", len(lanes), [0, 0.5, 1, 1]),
    ):
        if r.random() < 0.4:
            outside[name] = r.choice(levels, (PERIODS, width)).astype(float)
    if r.random() < 0.4:
        outside["inflow"] = r.integers(-3, 4, (PERIODS, len(nodes), items)).astype(float)
    level = np.floor(r.uniform(5, 60, (len(nodes), items)))
    return World(network, rules, level, outside, bool(r.random() < 0.3) and max(len(n) for n in [nodes]) > 0)


def answer(world: World) -> dict[str, np.ndarray]:
    """Simulate; every flow as [period, node or lane, item, replication]."""
    network = world.network
    layout = make_layout(network)
    numbers = make_numbers(network, layout)
    outcome = run(
        layout,
        world.rules,
        echelon_base_stock if world.use_echelon else base_stock,
        {"level": layout.at_nodes(world.level)},
        numbers,
        initial_state(network, layout, numbers, world.rules),
        paths_of(world, layout),
    )
    nodes = ("demand", "sold", "lost", "on_hand", "backlog", "inflow", "wasted")
    found = {
        name: layout.from_nodes(each, 1)
        for name, each in outcome.daily.items()
        if name in nodes and any(e is not None for e in each)
    }
    rows = ("ordered", "shipped", "arrived", "in_transit")
    found |= {name: layout.from_rows(network, outcome.daily[name], 1) for name in rows}
    return found


def paths_of(world: World, layout) -> Paths:
    network, outside = world.network, world.outside
    made = {"demand": demand_of(layout, outside["demand"])}
    lead = []
    for level in layout.levels:
        if not level.rows:
            lead.append(None)
            continue
        drawn = np.zeros((PERIODS, level.rows, layout.items, REPLICATIONS), np.int32)
        for row, lanes in enumerate(level.row_lanes):
            for e in lanes:
                drawn[:, row, network.carried(network.lanes[e])] = outside["lead"][:, e][:, None]
        lead.append(jnp.asarray(drawn))
    made["lead"] = tuple(lead)
    for name in ("can_order", "row_open"):
        if name in outside:
            wide = np.repeat(outside[name][:, :, None], layout.items, 2)
            made[name] = layout.at_rows(network, wide)
    if "node_open" in outside:
        made["node_open"] = layout.at_nodes(np.repeat(outside["node_open"][:, :, None], layout.items, 2))
    if "inflow" in outside:
        made["inflow"] = layout.at_nodes(outside["inflow"])
    return Paths(**made)


def demand_of(layout, demand: np.ndarray):
    """[period, node, item, replication] per level, of the places with demand."""
    return tuple(
        jnp.asarray(demand[:, list(level.nodes[level.demand_from :])], jnp.float32)
        if at and level.demand_from < level.size
        else None
        for at, level in enumerate(layout.levels)
    )
