"""Small networks for tests of learned policies, with Poisson customers."""

import jax.numpy as jnp
import numpy as np

from models.learning.policy import initial_parameters
from models.learning.stage import Stage
from models.learning.training import HELD_OUT_SEED
from models.twin import demand as sampling
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.network import Lane, Network, Node
from models.twin.numbers import make_numbers
from models.twin.state import Rules
from tests.models.twin.worlds import fixed


def one_place(lead=2, mean=5.0, lane=None):
    """Zipkin's lost sales: h 1, p 9, customers after the order."""
    nodes = [
        Node("outside", "supplier"),
        Node("shop", "store", has_demand=True, holding_cost=1, shortage_cost=9, on_hand=2 * mean),
    ]
    return World(
        Network(["item"], nodes, [Lane("outside", "shop", lead_time=fixed(lead), **(lane or {}))]),
        np.array([[0.0], [mean]]),
    )


def warehouse(items=1, stores=2):
    """A hub that feeds some stores; means differ by item and store."""
    names = [f"store {k}" for k in range(stores)]
    nodes = [Node("outside", "supplier"), Node("hub", "hub", holding_cost=0.5, on_hand=20.0 * stores)]
    nodes += [
        Node(name, "store", has_demand=True, holding_cost=1, shortage_cost=9, on_hand=12) for name in names
    ]
    lanes = [Lane("outside", "hub", lead_time=fixed(2), pack=6.0)]
    lanes += [Lane("hub", name, lead_time=fixed(1)) for name in names]
    mean = np.zeros((2 + stores, items))
    mean[2:] = 3 + np.arange(stores)[:, None] + np.arange(items)
    return World(Network([f"i{k}" for k in range(items)], nodes, lanes), mean)


class World:
    """A network made ready to run and to learn in."""

    def __init__(self, network, mean):
        self.network, self.mean = network.checked(), mean
        self.layout = make_layout(network)
        self.numbers = make_numbers(network, self.layout)

    def rules(self, **changes):
        return Rules(**({"sequence": "order_then_demand", "record": (), "see_pipeline": True} | changes))

    def stage(self, rules):
        return Stage.of(self.network, rules)

    def parameters(self, architecture, rules, seed=0):
        return initial_parameters(architecture, self.layout, rules, self.numbers, self.mean, seed=seed)

    def paths_of(self, periods=100, replications=32):
        def sample(seed):
            held = seed >= HELD_OUT_SEED
            random = np.random.default_rng([3, seed])
            units = sampling.poisson(self.mean, periods, replications * (8 if held else 1), random)
            counts = jnp.asarray((np.arange(periods) >= 20).astype(np.float32)) if held else None
            return Outside(units).paths(self.network, self.layout, counts=counts)

        return sample
