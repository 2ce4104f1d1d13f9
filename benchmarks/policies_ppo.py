"""PPO in the settings of `policies.py`, with as many CPU seconds as the pathwise gradients had: no gradient of the twin."""

from collections.abc import Callable
from typing import Any

from models.learning.environment import TwinVectorEnvironment
from models.learning.ppo import Settings, evaluate, train_on
from models.twin.network import Network
from models.twin.state import Paths, Rules

SETTINGS = Settings(steps=50, epochs=4, minibatches=8, learning_rate=1e-3)
WARM_UP, PERIODS, REPLICATIONS = 200, 1_000, 200

PathsOf = Callable[[tuple[int, int], int, int, int | None], Paths]
"""(seed, replications, periods, periods that do not count) -> paths."""


def beside(
    network: Network,
    rules: Rules,
    paths_of: PathsOf,
    *,
    highest: Any,
    reference: float,
    cpu_seconds: float,
    seed: int,
) -> dict[str, float]:
    """Return how far above `reference` the cost per period is of what PPO finds in so many CPU seconds, in percent.

    With its standard error; compiling is part of the CPU seconds. `highest` is the most that can be ordered in a period (None: as the
    environment guesses).
    """
    learning = TwinVectorEnvironment(
        network, lambda batch: paths_of((31 + seed, batch), 64, 200, None), rules, highest=highest
    )
    trained = train_on(learning, SETTINGS, seed=seed, cpu_seconds=cpu_seconds)
    judging = TwinVectorEnvironment(
        network,
        lambda batch: paths_of((41, batch), REPLICATIONS, WARM_UP + PERIODS, WARM_UP),
        rules,
        highest=highest,
    )
    costs = -evaluate(trained.agent, judging, episodes=REPLICATIONS, seed=99) / PERIODS
    return {
        "ppo_gap_pct": 100 * (float(costs.mean()) / reference - 1),
        "ppo_standard_error_pct": 100 * float(costs.std(ddof=1) / len(costs) ** 0.5) / reference,
        "ppo_cpu_s": trained.cpu_seconds,
    }
