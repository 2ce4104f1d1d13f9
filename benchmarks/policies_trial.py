"""A network in which `policies.py` lets a policy learn, with the gradients and then with PPO."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.policies_ppo import beside
from models.learning.policy import Architecture, initial_parameters, learned
from models.learning.stage import Stage
from models.learning.training import HELD_OUT_SEED, Schedule, Trained, train
from models.twin.events import Outside
from models.twin.network import Network
from models.twin.state import Paths, Rules

Customers = Callable[[tuple[int, int], int, int], np.ndarray]
"""(seed, replications, periods) -> what is wanted, [period, node, 1, replication]."""


@dataclass(frozen=True)
class Batch:
    """Size of the paths of one step of learning, or of one look at what was learned."""

    replications: int
    periods: int
    warm_up: int | None = None
    """Periods that do not count; None: all count."""


class Trial:
    """A network made ready, customers who are sampled batch by batch, and the architecture that learns there."""

    def __init__(
        self, network: Network, rules: Rules, architecture: Architecture, customers: Customers,
        mean: np.ndarray, spread: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """`mean` and `spread` (Poisson's where it is not given) are of a period's demand, [node, 1]."""
        self.stage, self.architecture, self.customers = Stage.of(network, rules), architecture, customers
        self.mean, self.spread = mean, spread

    def paths(self, seed: tuple[int, int], batch: Batch) -> Paths:
        """Sample a batch."""
        counts = None
        if batch.warm_up is not None:
            counts = jnp.asarray((np.arange(batch.periods) >= batch.warm_up).astype(np.float32))
        wanted = self.customers(seed, batch.replications, batch.periods)
        return Outside(wanted).paths(self.stage.network, self.stage.layout, counts=counts)

    def train(self, schedule: Schedule, seed: int, learning: Batch, held_out: Batch) -> Trained:
        """Let a policy learn, from the first weights of `seed` on."""
        stage = self.stage
        begin = initial_parameters(
            self.architecture,
            stage.layout,
            stage.rules,
            stage.numbers,
            self.mean,
            spread=self.spread,
            seed=seed,
        )

        def paths_of(number: int) -> Paths:
            return self.paths((7 + seed, number), held_out if number >= HELD_OUT_SEED else learning)

        return train(stage, learned(self.architecture), begin, paths_of, schedule)

    def ppo(
        self, trained: Trained, reference: float, seed: int, highest: float | None = None
    ) -> dict[str, float]:
        """Return what PPO comes to in the CPU seconds that `trained` took, compiling included in both."""
        spent = trained.cpu_s + trained.compile_cpu_s
        return beside(
            self.stage.network, self.stage.rules, lambda *of: self.paths(of[0], Batch(*of[1:])), highest=highest,
            reference=reference, cpu_seconds=spent, seed=seed,
        )  # fmt: skip


def figures_of(trained: Trained) -> dict[str, Any]:
    """Return what the training cost."""
    return {"training_cpu_s": trained.cpu_s, "compile_cpu_s": trained.compile_cpu_s}
