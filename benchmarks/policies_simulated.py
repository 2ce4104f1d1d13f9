"""Networks without an exact optimum for all policies: what `policies.py` learns there, beside the best classical ones."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import one_warehouse as testbed
from benchmarks.policies_ppo import beside
from models.inventory.distributions import poisson_probabilities
from models.inventory.lost_sales import LostSales, optimal_cost
from models.learning.policy import Architecture, initial_parameters, learned
from models.learning.training import HELD_OUT_SEED, Schedule, Trained, train
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import echelon_base_stock
from models.twin.simulate import run
from models.twin.state import Paths, Policy, Rules, initial_state

SERIAL_LEVELS = (22.70, 12.02, 6.50)
"""Echelon levels of the stages 3, 2 and 1 that Clark and Scarf's recursion finds."""
SERIAL_OPTIMUM = 47.66


class _Trial:
    """A network, customers who are sampled batch by batch, and a policy that learns in it."""

    def __init__(self, network: Network, rules: Rules, architecture: Architecture, mean: np.ndarray) -> None:
        self.network = network.checked()
        self.rules, self.architecture, self.mean = rules, architecture, mean
        self.layout = make_layout(network)
        self.numbers = make_numbers(network, self.layout)
        self.state = initial_state(network, self.layout, self.numbers, rules)

    def demand(self, seed: tuple[int, int], replications: int, periods: int) -> np.ndarray:
        raise NotImplementedError

    def paths(
        self, seed: tuple[int, int], replications: int, periods: int, warm_up: int | None = None
    ) -> Paths:
        counts = None if warm_up is None else jnp.asarray((np.arange(periods) >= warm_up).astype(np.float32))
        return Outside(self.demand(seed, replications, periods)).paths(
            self.network, self.layout, counts=counts
        )

    def train(
        self, schedule: Schedule, seed: int, periods: int, replications: int, spread: Any = None
    ) -> Trained:
        begin = initial_parameters(
            self.architecture, self.layout, self.rules, self.numbers, self.mean, spread=spread, seed=seed
        )

        def paths_of(batch: int) -> Paths:
            if batch >= HELD_OUT_SEED:
                return self.paths((7 + seed, batch), 4 * replications, 3 * periods, periods)
            return self.paths((7 + seed, batch), replications, periods)

        return train(
            self.layout, self.rules, self.architecture, begin, self.numbers, self.state, paths_of, schedule
        )

    def ppo(self, trained: Trained, reference: float, seed: int) -> dict[str, float]:
        spent = trained.cpu_s + trained.compile_cpu_s
        return beside(
            self.network, self.rules, self.paths, highest=None, reference=reference,
            cpu_seconds=spent, seed=seed,
        )  # fmt: skip

    def costs(self, policy: Policy, parameters: Any, paths: Paths, periods: int) -> np.ndarray:
        """Return the cost per period that counts, [replication]."""
        outcome = run(self.layout, self.rules, policy, parameters, self.numbers, self.state, paths)
        return np.asarray(outcome.cost, np.float64) / periods


class _Serial(_Trial):
    def __init__(self) -> None:
        nodes = [
            Node("outside", "supplier"),
            Node("three", "plant", holding_cost=2, on_hand=12),
            Node("two", "hub", holding_cost=4, on_hand=6),
            Node(
                "one",
                "store",
                has_demand=True,
                holding_cost=7,
                shortage_cost=37.12,
                backlog_share=1,
                on_hand=8,
            ),
        ]
        lanes = [
            Lane("outside", "three", lead_time=LeadTime((2,), (1.0,))),
            Lane("three", "two", lead_time=LeadTime((1,), (1.0,)), pipeline_holding_cost=2),
            Lane("two", "one", lead_time=LeadTime((1,), (1.0,)), pipeline_holding_cost=4),
        ]
        architecture = Architecture(hidden=(16, 16), form="up_to", echelon=True)
        rules = Rules(whole_units=False, record=())
        super().__init__(
            Network(["item"], nodes, lanes), rules, architecture, np.array([[0.0], [0.0], [0.0], [5.0]])
        )

    def demand(self, seed: tuple[int, int], replications: int, periods: int) -> np.ndarray:
        units = np.zeros((periods, 4, 1, replications), np.float32)
        units[:, 3, 0] = np.maximum(np.random.default_rng(seed).normal(5, 1, (periods, replications)), 0)
        return units


def serial(seed: int) -> list[dict[str, Any]]:
    """Return one row: the gap to the echelon base stock of Clark and Scarf, on the same customers."""
    trial = _Serial()
    schedule = Schedule(steps=1_500, learning_rate=3e-3, seconds=60, look_every=100)
    trained = trial.train(schedule, seed, 100, 64, spread=np.array([[0.0], [0.0], [0.0], [1.0]]))
    periods, warm_up, ours, best = 1_100, 100, [], []
    levels = {"level": trial.layout.at_nodes(np.array([[0.0], *([level] for level in SERIAL_LEVELS)]))}
    for block in range(8):
        paths = trial.paths((101, block), 250, periods, warm_up)
        ours.append(trial.costs(learned(trial.architecture), trained.parameters, paths, periods - warm_up))
        best.append(trial.costs(echelon_base_stock, levels, paths, periods - warm_up))
    difference = np.concatenate(ours) - np.concatenate(best)
    row = {
        "optimum": SERIAL_OPTIMUM,
        "echelon_base_stock": float(np.concatenate(best).mean()),
        "learned": float(np.concatenate(ours).mean()),
        "learned_gap_pct": 100 * float(difference.mean()) / SERIAL_OPTIMUM,
        "standard_error_pct": 100 * float(difference.std(ddof=1) / len(difference) ** 0.5) / SERIAL_OPTIMUM,
        "training_cpu_s": trained.cpu_s,
        "compile_cpu_s": trained.compile_cpu_s,
    }
    return [row | trial.ppo(trained, SERIAL_OPTIMUM, seed)]


class _OneWarehouse(_Trial):
    def __init__(self) -> None:
        rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True, order_to_nearest=True)
        architecture = Architecture(hidden=(32, 32), ages=2)
        mean = np.concatenate([[[0.0], [0.0]], testbed.MEANS[:, None]])
        super().__init__(testbed.network(), rules, architecture, mean)

    def demand(self, seed: tuple[int, int], replications: int, periods: int) -> np.ndarray:
        return testbed.customers(seed, replications, periods)


def one_warehouse(seed: int) -> list[dict[str, Any]]:
    """Return one row: what is saved against the better of the two tuned base-stock policies, on the same customers."""
    tuned = {kind: testbed.tune(kind) for kind in ("installation", "echelon")}
    better = min(tuned, key=lambda kind: tuned[kind]["cost_per_period"])
    setting = (tuned[better]["warehouse_level"], tuned[better]["z"])
    classical = testbed.evaluate(better, [setting], testbed.REPLICATIONS)[0]
    trial = _OneWarehouse()
    trained = trial.train(ONE_WAREHOUSE, seed, 100, 32)
    periods, ours = testbed.WARM_UP + testbed.PERIODS, []
    for start in range(0, testbed.REPLICATIONS, 50):
        paths = trial.paths((testbed.SEED, start), 50, periods, testbed.WARM_UP)
        ours.append(trial.costs(learned(trial.architecture), trained.parameters, paths, testbed.PERIODS))
    costs = np.concatenate(ours)
    saving = 1 - costs / classical.mean()
    row = {
        "classical": better,
        "classical_cost": float(classical.mean()),
        "learned_cost": float(costs.mean()),
        "lower_bound": lower_bound(),
        "no_policy_saves_more_than_pct": 100 * (1 - lower_bound() / float(classical.mean())),
        "saving_pct": 100 * (1 - float(costs.mean()) / float(classical.mean())),
        "standard_error_pct": 100
        * float((costs - classical).std(ddof=1) / len(saving) ** 0.5 / classical.mean()),
        "training_cpu_s": trained.cpu_s,
        "compile_cpu_s": trained.compile_cpu_s,
    }
    return [row | trial.ppo(trained, float(classical.mean()), seed)]


ONE_WAREHOUSE = Schedule(
    steps=1_500,
    learning_rate=3e-3,
    seconds=120,
    look_every=100,
    rounding=((0.7, "relaxed"), (0.3, "straight_through")),
)


def lower_bound() -> float:
    """Return a cost per period that no policy of one warehouse and 10 stores is below.

    Whatever the warehouse sends is, to a store, an order that arrives two periods later: so the stores cost at least their own
    optima with a warehouse that always has enough, and the warehouse at least nothing.
    """
    return sum(
        optimal_cost(LostSales(1.0, testbed.LOST, testbed.STORE_LEAD, poisson_probabilities(float(mean))))
        for mean in testbed.MEANS
    )
