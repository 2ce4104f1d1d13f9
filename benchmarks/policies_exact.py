"""Settings with an exact optimum: what `policies.py` learns there, and what its whole orders cost exactly."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.policies_trial import Batch, Trial, figures_of
from models.inventory import dual_sourcing as dual
from models.inventory import lost_sales as lost
from models.inventory.distributions import poisson_probabilities
from models.learning.policy import Architecture, learned
from models.learning.training import Schedule, Trained
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.rounding import acceptable
from models.twin.state import Observation, Rules

MEAN = 5.0
LEARNING, HELD_OUT = Batch(64, 200), Batch(512, 200, 50)
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
            trained = one.train(SCHEDULE, seed, LEARNING, HELD_OUT)
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
            trained = one.train(SCHEDULE, seed, LEARNING, HELD_OUT)
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
        | figures_of(trained)
    )


class _OnePlace(Trial):
    """A shop with one item and one or two lanes, and what a learned policy orders there in any state."""

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        mean: float,
        variance: float,
        law: Callable[..., Any],
    ) -> None:
        def customers(seed: tuple[int, int], replications: int, periods: int) -> np.ndarray:
            wanted = np.zeros((periods, len(network.nodes), 1, replications), np.float32)
            wanted[:, -1, 0] = law(np.random.default_rng(seed), (periods, replications))
            return wanted

        rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True, order_to_nearest=True)
        suppliers = [[0.0]] * (len(network.nodes) - 1)
        super().__init__(
            network, rules, architecture, customers,
            np.array([*suppliers, [mean]]), np.array([*suppliers, [variance**0.5]]),
        )  # fmt: skip

    def orders(self, trained: Trained, states: np.ndarray) -> np.ndarray:
        """Return whole orders [lane, state] in states [state, stock and pipeline by age]."""
        size = 1 << max(int(np.ceil(np.log2(len(states)))), 6)  # few sizes: few programs
        padded = np.zeros((size, states.shape[1]), np.int64)
        padded[: len(states)] = states
        wanted = learned(self.architecture)(trained.parameters, self._observation(padded))
        whole = acceptable(wanted, None, None, rounding="hard", whole_units=True, to_nearest=True)
        return np.asarray(whole)[:, 0, : len(states)].astype(np.int64)

    def _observation(self, states: np.ndarray) -> Observation:
        level = self.stage.layout.levels[1]

        def rows(value: np.ndarray) -> Any:
            return jnp.broadcast_to(jnp.asarray(value, jnp.float32), (level.rows, 1, len(states)))

        # all that is under way comes by the last lane
        last = np.arange(level.rows)[:, None, None] == level.rows - 1
        under_way = states[:, 1:].sum(1)
        pipeline = jnp.stack(
            [rows(last * states[:, age]) for age in range(1, states.shape[1])] or [rows(0 * under_way)]
        )
        position, nothing = rows(states.sum(1)), rows(0 * under_way)
        return Observation(
            level=1, structure=level, period=jnp.int32(0), on_hand=rows(np.maximum(states[:, 0], 0)),
            in_transit=rows(under_way), row_in_transit=rows(last * under_way), position=position,
            echelon_position=position, backlog=rows(np.maximum(-states[:, 0], 0)), incoming=nothing, demand=nothing,
            share=1.0, pipeline=pipeline, memory=None, features=None, numbers=self.stage.numbers[1],
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
