"""Not a claim but the ground for one: the best classical policies on the instance of one warehouse and 10 stores.

    python -m benchmarks.one_warehouse [--json]

Store demand Poisson with means 2.5, 3.0, ..., 7.0; lead times 3 (warehouse) and 2 (stores); outside supply unlimited, unmet
demand lost; receive, order, demand, cost; holding .5 and 1, 9 per unit lost, nothing for orders and pipeline; a short
warehouse allocates in proportion to requests, in whole units. Base stock at each store S_i = m_i + z sqrt(m_i), rounded, m_i
the mean demand from an order to the arrival of the next (lead time + 1 periods), and at the warehouse by installation or echelon stock. Tuned: warehouse
level in steps of 2, z in steps of .1, first on a coarse grid with a tenth of the replications. Score: average cost per
period over 1,000 periods after 200, 500 replications, common random numbers. What learned policies are compared with.
"""

import json
from typing import Any

import numpy as np
import typer

MEANS = np.arange(2.5, 7.01, 0.5)
WAREHOUSE_LEAD, STORE_LEAD = 3, 2
WARM_UP, PERIODS, REPLICATIONS = 200, 1_000, 500
HOLDING = np.array([0.0, 0.5, *[1.0] * 10])
LOST = 9.0
SEED = 11


def main(as_json: bool = typer.Option(False, "--json")) -> None:
    """Print the tuned levels and what they cost."""
    figures: dict[str, Any] = {}
    for kind in ("installation", "echelon"):
        found = tune(kind)
        figures |= {f"{kind}_{name}": value for name, value in found.items()}
    print(
        json.dumps(figures) if as_json else "\n".join(f"{key:36} {value}" for key, value in figures.items())
    )


def network(settings: int = 1) -> Any:
    """Return the instance; each 'item' is a setting of the policy that is tried on the same customers."""
    from models.twin.network import Lane, LeadTime, Network, Node

    names = [f"store {mean:g}" for mean in MEANS]
    nodes = [Node("outside", "supplier"), Node("warehouse", "hub", holding_cost=0.5, on_hand=150)]
    nodes += [
        Node(name, "store", has_demand=True, holding_cost=1.0, shortage_cost=LOST, on_hand=round(2 * mean))
        for name, mean in zip(names, MEANS, strict=True)
    ]
    lanes = [Lane("outside", "warehouse", lead_time=LeadTime((WAREHOUSE_LEAD,), (1.0,)))]
    lanes += [Lane("warehouse", name, lead_time=LeadTime((STORE_LEAD,), (1.0,))) for name in names]
    return Network([f"setting {k}" for k in range(settings)], nodes, lanes)


def tune(kind: str) -> dict[str, float]:
    """Return the best warehouse level and z of a kind of base stock, its cost per period and standard error."""
    total = float(MEANS.sum())
    middle = total * (WAREHOUSE_LEAD + 1) + (total * (STORE_LEAD + 1) if kind == "echelon" else 0)
    coarse = [
        (float(2 * round((middle + step) / 2)), z)
        for step in range(-60, 61, 12)
        for z in np.arange(-0.6, 2.41, 0.5)
    ]
    best = _best(kind, coarse, REPLICATIONS // 10)
    while True:  # walk on while the best lies on the edge of what was tried
        near = [
            (best[0] + step, best[1] + dz) for step in range(-8, 9, 2) for dz in np.arange(-0.3, 0.31, 0.1)
        ]
        again = _best(kind, near, REPLICATIONS // 5)
        if abs(again[0] - best[0]) < 8 and abs(again[1] - best[1]) < 0.29:
            break
        best = again
    last = [(again[0] + step, again[1] + dz) for step in (-2, 0, 2) for dz in (-0.1, 0, 0.1)]
    level, z, cost, error = _best(kind, last, REPLICATIONS)
    return {"warehouse_level": level, "z": round(z, 2), "cost_per_period": cost, "standard_error": error}


def _best(
    kind: str, settings: list[tuple[float, float]], replications: int
) -> tuple[float, float, float, float]:
    costs = evaluate(kind, settings, replications)
    at = int(costs.mean(1).argmin())
    error = float(costs[at].std(ddof=1) / np.sqrt(replications))
    return (*settings[at], float(costs[at].mean()), error)


def customers(seed: tuple[int, int], replications: int, periods: int = WARM_UP + PERIODS) -> np.ndarray:
    """Return what customers want, [period, node, 1, replication]."""
    demand = np.zeros((periods, 12, 1, replications), np.float32)
    demand[:, 2:, 0] = np.random.default_rng(seed).poisson(MEANS[None, :, None], (periods, 10, replications))
    return demand


def evaluate(kind: str, settings: list[tuple[float, float]], replications: int) -> np.ndarray:
    """Return the cost per period of each (warehouse level, z), [setting, replication], on the same customers."""
    import jax.numpy as jnp

    from models.twin.events import Outside
    from models.twin.layout import make_layout
    from models.twin.numbers import make_numbers
    from models.twin.policies import reorder_point
    from models.twin.simulate import run
    from models.twin.state import Rules, initial_state

    chain = network(len(settings)).checked()
    layout = make_layout(chain)
    numbers = make_numbers(chain, layout)
    rules = Rules(sequence="order_then_demand", record=("lost", "on_hand"))
    mean = MEANS[:, None] * (STORE_LEAD + 1)
    z = np.array([setting[1] for setting in settings])
    stores = np.round(mean + z * np.sqrt(mean))
    level = np.concatenate([np.zeros((1, len(settings))), [[setting[0] for setting in settings]], stores])
    echelon = np.zeros_like(level)
    echelon[1] = kind == "echelon"
    # ordering up to the level below it is base stock
    parameters = {
        name: layout.at_nodes(each)
        for name, each in (("point", level), ("level", level), ("echelon", echelon))
    }
    counts = jnp.asarray((np.arange(WARM_UP + PERIODS) >= WARM_UP).astype(np.float32))
    state = initial_state(chain, layout, numbers, rules)
    found = []
    block = 50
    for start in range(0, replications, block):
        outcome = run(
            layout,
            rules,
            reorder_point,
            parameters,
            numbers,
            state,
            Outside(customers((SEED, start), block)).paths(chain, layout, counts=counts),
        )
        held, lost = (
            layout.from_nodes(outcome.totals[name]).astype(np.float64) for name in ("on_hand", "lost")
        )
        found.append((HOLDING[:, None, None] * held + LOST * lost).sum(0) / PERIODS)
    return np.concatenate(found, -1)


if __name__ == "__main__":
    typer.run(main)
