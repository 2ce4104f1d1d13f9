"""Networks without an exact optimum for all policies: what `policies.py` learns there, beside the best classical ones."""

from typing import Any

import numpy as np

from benchmarks import one_warehouse as testbed
from benchmarks.policies_trial import Batch, Trial, figures_of
from models.inventory.distributions import poisson_probabilities
from models.inventory.lost_sales import LostSales, optimal_cost
from models.inventory.serial_systems import SerialSystem, clark_scarf
from models.learning.policy import Architecture, learned
from models.learning.stage import Contender
from models.learning.training import Schedule
from models.twin.policies import echelon_base_stock
from models.twin.state import Policy, Rules
from tests.models.twin.worlds import serial_system

SERIAL = Schedule(steps=1_500, learning_rate=3e-3, seconds=60, look_every=100)
ONE_WAREHOUSE = Schedule(
    steps=1_500,
    learning_rate=3e-3,
    seconds=120,
    look_every=100,
    rounding=((0.7, "relaxed"), (0.3, "straight_through")),
)


def serial(seed: int) -> list[dict[str, Any]]:
    """Return one row: the gap to the echelon base stock of Clark and Scarf, on the same customers."""
    best = clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, 5.0, 1.0))
    trial = _serial()
    trained = trial.train(SERIAL, seed, Batch(64, 100), Batch(256, 300, 100))
    levels = {
        "level": trial.stage.layout.at_nodes(np.array([0.0, *best.echelon_base_stock_units[::-1]])[:, None])
    }
    batches = [((101, block), Batch(250, 1_100, 100)) for block in range(8)]
    ours = _costs(trial, learned(trial.architecture), trained.parameters, batches)
    theirs = _costs(trial, echelon_base_stock, levels, batches)
    optimum = float(best.cost_per_period)
    row = {
        "optimum": optimum,
        "echelon_base_stock": float(theirs.mean()),
        "learned": float(ours.mean()),
        "learned_gap_pct": 100 * float((ours - theirs).mean()) / optimum,
        "standard_error_pct": 100 * _error(ours - theirs) / optimum,
    }
    return [row | figures_of(trained) | trial.ppo(trained, optimum, seed)]


def one_warehouse(seed: int) -> list[dict[str, Any]]:
    """Return one row: what is saved against the better of the two tuned base-stock policies, on the same customers."""
    tuned = {kind: testbed.tune(kind) for kind in ("installation", "echelon")}
    better = min(tuned, key=lambda kind: tuned[kind]["cost_per_period"])
    setting = (tuned[better]["warehouse_level"], tuned[better]["z"])
    theirs = testbed.evaluate(better, [setting], testbed.REPLICATIONS)[0]
    trial = _one_warehouse()
    trained = trial.train(ONE_WAREHOUSE, seed, Batch(32, 100), Batch(128, 300, 100))
    whole = Batch(50, testbed.WARM_UP + testbed.PERIODS, testbed.WARM_UP)
    batches = [((testbed.SEED, start), whole) for start in range(0, testbed.REPLICATIONS, 50)]
    ours = _costs(trial, learned(trial.architecture), trained.parameters, batches)
    classical, least = float(theirs.mean()), lower_bound()
    row = {
        "classical": better,
        "classical_cost": classical,
        "learned_cost": float(ours.mean()),
        "lower_bound": least,
        "no_policy_saves_more_than_pct": 100 * (1 - least / classical),
        "saving_pct": 100 * (1 - float(ours.mean()) / classical),
        "standard_error_pct": 100 * _error(ours - theirs) / classical,
    }
    return [row | figures_of(trained) | trial.ppo(trained, classical, seed)]


def lower_bound() -> float:
    """Return a cost per period that no policy of one warehouse and 10 stores is below.

    Whatever the warehouse sends is, to a store, an order that arrives two periods later: so the stores cost at least their own
    optima with a warehouse that always has enough, and the warehouse at least nothing.
    """
    return sum(
        optimal_cost(LostSales(1.0, testbed.LOST, testbed.STORE_LEAD, poisson_probabilities(float(mean))))
        for mean in testbed.MEANS
    )


def _serial() -> Trial:
    def customers(seed: tuple[int, int], replications: int, periods: int) -> np.ndarray:
        wanted = np.zeros((periods, 4, 1, replications), np.float32)
        wanted[:, 3, 0] = np.maximum(np.random.default_rng(seed).normal(5, 1, (periods, replications)), 0)
        return wanted

    only_customers = np.array([[0.0], [0.0], [0.0], [1.0]])
    architecture = Architecture(hidden=(16, 16), form="up_to", echelon=True)
    rules = Rules(whole_units=False, record=())
    return Trial(serial_system(), rules, architecture, customers, 5 * only_customers, only_customers)


def _one_warehouse() -> Trial:
    rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True, order_to_nearest=True)
    mean = np.concatenate([[[0.0], [0.0]], testbed.MEANS[:, None]])
    return Trial(testbed.network(), rules, Architecture(hidden=(32, 32), ages=2), testbed.customers, mean)


def _costs(
    trial: Trial, policy: Policy, parameters: Any, batches: list[tuple[tuple[int, int], Batch]]
) -> np.ndarray:
    """Return the cost per period that counts, [replication], all batches together."""
    found = []
    for seed, batch in batches:
        outcome = trial.stage.outcome(Contender(policy, parameters), trial.paths(seed, batch))
        found.append(np.asarray(outcome.cost, np.float64) / (batch.periods - (batch.warm_up or 0)))
    return np.concatenate(found)


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)
