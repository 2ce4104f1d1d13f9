"""Settings with an exact optimum: what `policies.py` learns there, and what its whole orders cost exactly."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.policies_ppo import beside
from models.inventory import dual_sourcing as dual
from models.inventory import lost_sales as lost
from models.inventory.distributions import poisson_probabilities
from models.learning.policy import Architecture, initial_parameters, learned
from models.learning.training import HELD_OUT_SEED, Schedule, Trained, train
from models.twin.layout import make_layout
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.rounding import acceptable
from models.twin.state import Observation, Paths, Rules, initial_state

MEAN = 5.0
PERIODS, REPLICATIONS, WARM_UP = 200, 64, 50
SCHEDULE = Schedule(steps=2_000, learning_rate=3e-3, look_every=100, seconds=60)
HIDDEN = (16, 16)


def lost_sales(seed: int) -> list[dict[str, Any]]:
    """Return a row per setting of Zipkin's table: penalty, lead time, gaps in percent."""
    rows = []
    for penalty in (4.0, 9.0, 19.0):
        for lead in (1, 2, 4):
            problem = lost.LostSales(1.0, penalty, lead, poisson_probabilities(MEAN))
            optimum = lost.optimal_cost(problem)
            one = _LostSales(penalty, lead)
            trained = one.train(seed)
            cost = lost.average_cost(problem, lambda states, o=one, t=trained: o.orders(t, states)[0])
            capped = lost.tune_capped_base_stock(problem).cost_per_period
            row = _row({"penalty": penalty, "lead_time": lead}, optimum, cost, trained, capped=capped)
            rows.append(row | one.ppo(trained, optimum, seed, highest=20))
    return rows


def dual_sourcing(seed: int) -> list[dict[str, Any]]:
    """Return a row per setting of the table: regular lead time, express price, gaps in percent."""
    rows = []
    for lead in (2, 4):
        for price in (105.0, 110.0):
            problem = dual.DualSourcing(5.0, 495.0, 100.0, price, lead, [0.2] * 5)
            optimum = dual.optimal_cost(problem)
            one = _DualSourcing(price, lead)
            trained = one.train(seed)
            cost = dual.average_cost(problem, lambda states, o=one, t=trained: tuple(o.orders(t, states)))
            capped = dual.tune_capped_dual_index(problem).cost_per_period
            setting = {"regular_lead_time": lead, "express_price": price}
            row = _row(setting, optimum, cost, trained, capped_dual_index=capped)
            rows.append(row | one.ppo(trained, optimum, seed, highest=8))
    return rows


def _row(
    setting: dict[str, Any], optimum: float, cost: float, trained: Trained, **classical: float
) -> dict[str, Any]:
    def gap(value: float) -> float:
        return 100 * (value / optimum - 1)

    return (
        setting
        | {"optimum": optimum, "learned_gap_pct": gap(cost)}
        | {f"{name}_gap_pct": gap(value) for name, value in classical.items()}
        | {"training_cpu_s": trained.cpu_s, "compile_cpu_s": trained.compile_cpu_s}
    )


class _OnePlace:
    """A shop with one item and one or two lanes; what is learned for it, and what that orders in any state."""

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        mean: float,
        variance: float,
        law: Callable[..., Any],
    ) -> None:
        self.architecture, self.law = architecture, law
        self.network = network = network.checked()
        self.layout = make_layout(network)
        self.numbers = make_numbers(network, self.layout)
        self.rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True, order_to_nearest=True)
        self.state = initial_state(network, self.layout, self.numbers, self.rules)
        suppliers = [[0.0]] * (len(network.nodes) - 1)
        self.mean = np.array([*suppliers, [mean]])
        self.spread = np.array([*suppliers, [variance**0.5]])

    def train(self, seed: int) -> Trained:
        begin = initial_parameters(
            self.architecture, self.layout, self.rules, self.numbers, self.mean, spread=self.spread, seed=seed
        )

        def paths_of(batch: int) -> Paths:
            if batch >= HELD_OUT_SEED:
                return self.paths((7 + seed, batch), 8 * REPLICATIONS, PERIODS, WARM_UP)
            return self.paths((7 + seed, batch), REPLICATIONS, PERIODS)

        return train(
            self.layout, self.rules, self.architecture, begin, self.numbers, self.state, paths_of, SCHEDULE
        )

    def paths(
        self, seed: tuple[int, int], replications: int, periods: int, warm_up: int | None = None
    ) -> Paths:
        units = self.law(np.random.default_rng(seed), (periods, 1, 1, replications)).astype(np.float32)
        counts = None if warm_up is None else jnp.asarray((np.arange(periods) >= warm_up).astype(np.float32))
        return Paths(demand=(None, jnp.asarray(units)), counts=counts)

    def ppo(self, trained: Trained, optimum: float, seed: int, *, highest: float) -> dict[str, float]:
        spent = trained.cpu_s + trained.compile_cpu_s
        return beside(
            self.network,
            self.rules,
            self.paths,
            highest=highest,
            reference=optimum,
            cpu_seconds=spent,
            seed=seed,
        )

    def orders(self, trained: Trained, states: np.ndarray) -> np.ndarray:
        """Return whole orders [lane, state] in states [state, stock and pipeline by age]."""
        size = 1 << max(int(np.ceil(np.log2(len(states)))), 6)  # few sizes: few programs
        padded = np.zeros((size, states.shape[1]), np.int64)
        padded[: len(states)] = states
        wanted = learned(self.architecture)(trained.parameters, self._observation(padded))
        whole = acceptable(wanted, None, None, rounding="hard", whole_units=True, to_nearest=True)
        return np.asarray(whole)[:, 0, : len(states)].astype(np.int64)

    def _observation(self, states: np.ndarray) -> Observation:
        level = self.layout.levels[1]

        def rows(value: np.ndarray) -> Any:
            return jnp.broadcast_to(jnp.asarray(value, jnp.float32), (level.rows, 1, len(states)))

        last = (
            np.arange(level.rows)[:, None, None] == level.rows - 1
        )  # the lane by which all that is under way comes
        under_way = states[:, 1:].sum(1)
        pipeline = jnp.stack(
            [rows(last * states[:, age]) for age in range(1, states.shape[1])] or [rows(0 * under_way)]
        )
        position, nothing = rows(states.sum(1)), rows(0 * under_way)
        return Observation(
            level=1, structure=level, period=jnp.int32(0), on_hand=rows(np.maximum(states[:, 0], 0)),
            in_transit=rows(under_way), row_in_transit=rows(last * under_way), position=position,
            echelon_position=position, backlog=rows(np.maximum(-states[:, 0], 0)), incoming=nothing, demand=nothing,
            share=1.0, pipeline=pipeline, memory=None, features=None, numbers=self.numbers[1],
        )  # fmt: skip


class _LostSales(_OnePlace):
    def __init__(self, penalty: float, lead: int) -> None:
        shop = Node("shop", "store", has_demand=True, holding_cost=1, shortage_cost=penalty, on_hand=10)
        lane = Lane("outside", "shop", lead_time=LeadTime((lead,), (1.0,)))
        network = Network(["item"], [Node("outside", "supplier"), shop], [lane])
        architecture = Architecture(hidden=HIDDEN, ages=lead - 1)
        super().__init__(network, architecture, MEAN, MEAN, lambda random, shape: random.poisson(MEAN, shape))


class _DualSourcing(_OnePlace):
    def __init__(self, price: float, lead: int) -> None:
        shop = Node(
            "shop", "store", has_demand=True, holding_cost=5, shortage_cost=495, backlog_share=1, on_hand=5
        )
        lanes = [
            Lane("near", "shop", lead_time=LeadTime((0,), (1.0,)), unit_cost=price),
            Lane("far", "shop", lead_time=LeadTime((lead,), (1.0,)), unit_cost=100),
        ]
        network = Network(["item"], [Node("near", "supplier"), Node("far", "supplier"), shop], lanes)
        architecture = Architecture(hidden=HIDDEN, ages=lead - 1, in_turn=True)
        super().__init__(network, architecture, 2.0, 2.0, lambda random, shape: random.integers(0, 5, shape))
