"""The twin as a Gymnasium environment, for other people's agents and for PPO: one step is one period.

    paths = lambda seed: Paths(demand=per_level(layout, poisson(5, 50, 1, np.random.default_rng(seed))))
    environment = gymnasium.make("stocklake/Twin-v0", network=network, paths=paths)

An agent sees what the twin's own policies see when they decide, and orders for all rows (lanes) and items at once; the twin
makes orders acceptable (packs, minimums, calendar). There is no second simulator: `models.twin.simulate` steps here as well.
The total reward of an episode is the cost that `run` finds for the same orders, with the sign turned.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from lake.errors import InputError
from models.learning.world import (
    BOUND,
    DEFAULT_RULES,
    Floats,
    PathsOf,
    World,
    advance,
    first_replication,
    seen_now,
    size_of,
    units_of,
)  # fmt: skip
from models.twin.layout import Layout, PerLevel
from models.twin.network import Network
from models.twin.state import Paths, Policy, Rules

Array = jax.Array


class TwinEnvironment(gymnasium.Env[Floats, Floats]):
    """One replication of the twin, a period a step.

    `paths(seed)`: what happens from outside; an episode is as long as its demand. An episode draws a seed from the
    environment's random numbers: `reset(seed=...)` makes it known. Action: [row x item], level by level, the share (0 to 1)
    of the highest order; `highest` [row x item] or one number in units, by default what customers behind the row want in
    twice its lead time and five periods. Observation: [figure], see `observation_names`. Reward: minus the cost of the
    period, revenue taken off, in the network's currency. Episodes end by truncation: a company goes on.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        network: Network,
        paths: PathsOf,
        rules: Rules = DEFAULT_RULES,
        *,
        layout: Layout | None = None,
        highest: ArrayLike | None = None,
    ) -> None:
        """Raise `InputError` where network, paths or highest orders are wrong."""
        self.world = World(network, paths, rules, layout=layout, highest=highest)
        self.observation_space, self.action_space = _spaces(self.world)
        self._at: int | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode: (observation, {"seed": of its paths})."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(1, 2**31))
        self._paths, self._at = first_replication(self.world.sample(drawn)), 0
        self._state, seen = self.world.begin(self._paths, 1)
        return np.array(seen[0]), {"seed": drawn}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Order, and live until the next decision. The info has the parts of the cost. Actions outside 0 to 1 are cut."""
        at = self._now()
        self._state, costs, seen = self.world.advance(self._state, self._paths, at, np.asarray(action)[None])
        self._at = at + 1 if at + 1 < size_of(self._paths)[0] else None
        parts = {name: float(each[0]) for name, each in costs.items()}
        reward = parts.pop("reward")
        return np.array(seen[0]), reward, False, self._at is None, {"costs": parts}

    def orders_of(self, policy: Policy, parameters: Any) -> Floats:
        """Return what a policy of the twin orders now, in units [row x item]; `world.shares` makes it an action."""
        return np.asarray(self.world.orders_of(self._state, self._paths, self._now(), policy, parameters)[0])

    def _now(self) -> int:
        if self._at is None:
            raise gymnasium.error.ResetNeeded(
                "The episode has not begun or is over: call reset() before step()."
            )
        return self._at


class TwinVectorEnvironment(VectorEnv[Floats, Floats, NDArray[Any]]):
    """All replications of `paths(seed)` at once, each one environment; as `TwinEnvironment` otherwise.

    All episodes are equally long, so all end together and begin again in the same step (`AutoresetMode.SAME_STEP`). The
    replications of one seed share the luck of whatever in `paths` has one replication only.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        network: Network,
        paths: PathsOf,
        rules: Rules = DEFAULT_RULES,
        *,
        layout: Layout | None = None,
        highest: ArrayLike | None = None,
        num_envs: int | None = None,
    ) -> None:
        """Raise `InputError` where network, paths or highest orders are wrong, or `num_envs` is not what `paths` yields."""
        self.world = World(network, paths, rules, layout=layout, highest=highest)
        self.num_envs = self.world.width
        if num_envs not in (None, 1, self.num_envs):
            raise InputError(
                f"paths(seed) yields {self.num_envs} replications and {num_envs} environments are asked for."
            )
        self.single_observation_space, self.single_action_space = _spaces(self.world)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._at: int | None = None
        self.state: PerLevel = ()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin all episodes. One seed is enough for all; of a sequence the first counts."""
        one = seed if seed is None or isinstance(seed, int) else next(iter(seed))
        super().reset(seed=one)
        return self._begin(), {}

    def step(
        self, actions: Floats
    ) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Order in all environments. At the end `final_obs` in the info is what was seen last."""
        if self._at is None:
            raise gymnasium.error.ResetNeeded("No episode has begun: call reset() before step().")
        self.state, costs, seen = self.world.advance(self.state, self.paths, self._at, actions)
        rewards = np.asarray(costs.pop("reward"), np.float32)
        info: dict[str, Any] = {"costs": {name: np.asarray(each) for name, each in costs.items()}}
        over = self._at + 1 == self.world.periods
        ends = np.full(self.num_envs, over)
        if over:
            info |= {"final_obs": np.array(seen), "_final_obs": ends.copy()}
            observed = self._begin()
        else:
            observed, self._at = np.array(seen), self._at + 1
        return observed, rewards, np.zeros(self.num_envs, bool), ends, info

    @property
    def usual_action(self) -> Floats:
        """Return the action that orders what customers want in a period on average: where an agent may begin."""
        return self.world.usual_action

    @property
    def periods_left(self) -> int:
        """Return how many steps are left of the episodes."""
        return 0 if self._at is None else self.world.periods - self._at

    def rollout(
        self, act: Callable[..., Any], parameters: Any, key: Array, steps: int
    ) -> tuple[Any, Array, Array]:
        """Let `act(parameters, observation, key) -> (shares, kept)` order for `steps` periods, as one compiled program.

        Returns (kept, stacked over periods; rewards [period, replication]; the last observation). `steps` may not go beyond
        the end of the episodes; there they begin again.
        """
        if self._at is None or steps > self.periods_left:
            raise gymnasium.error.ResetNeeded(
                f"{steps} steps are asked for and {self.periods_left} are left: call reset()."
            )
        w = self.world
        outside = (w.numbers, self.paths, jnp.asarray(w.highest))
        self.state, seen, kept, rewards = _rollout(
            (w.layout, w.rules), act, steps, outside, self.state, jnp.int32(self._at), parameters, key
        )
        self._at += steps
        if self._at == w.periods:
            self._begin()
        return kept, rewards, seen

    def observed(self) -> Array:
        """Return what is seen now: [replication, figure]."""
        if self._at is None:
            raise gymnasium.error.ResetNeeded("No episode has begun: call reset() first.")
        w = self.world
        return seen_now(w.layout, w.rules, w.numbers, self.state, self.paths, jnp.int32(self._at))  # type: ignore[no-any-return]

    def _begin(self) -> Floats:
        paths = self.world.sample(int(self.np_random.integers(1, 2**31)))
        if size_of(paths) != (self.world.periods, self.num_envs):
            raise InputError(
                f"Every seed has to yield {self.world.periods} periods and {self.num_envs} replications; one yields {size_of(paths)}."
            )
        self.paths, self._at = paths, 0
        self.state, seen = self.world.begin(paths, self.num_envs)
        return np.array(seen)


def _spaces(world: World) -> tuple[Any, Any]:
    seen = gymnasium.spaces.Box(-BOUND, BOUND, (len(world.observation_names),), np.float32)
    return seen, gymnasium.spaces.Box(0, 1, world.highest.shape, np.float32)


@partial(jax.jit, static_argnames=("fixed", "act", "steps"))
def _rollout(
    fixed: tuple[Layout, Rules], act: Callable[..., Any], steps: int, outside: tuple[PerLevel, Paths, Array],
    state: PerLevel, at: Array, parameters: Any, key: Array,
) -> tuple[PerLevel, Array, Any, Array]:  # fmt: skip
    layout, rules = fixed
    numbers, paths, highest = outside

    def step(carry: tuple[PerLevel, Array], now: tuple[Array, Array]) -> tuple[tuple[PerLevel, Array], Any]:
        shares, kept = act(parameters, carry[1], now[1])
        orders = units_of(shares, highest, rules.whole_units)
        state, costs, seen = advance(layout, rules, numbers, carry[0], paths, now[0], orders)
        return (state, seen), (kept, costs["reward"])

    begin = (state, seen_now(layout, rules, numbers, state, paths, at))
    (state, seen), (kept, rewards) = jax.lax.scan(
        step, begin, (at + jnp.arange(steps), jax.random.split(key, steps))
    )
    return state, seen, kept, rewards


if "stocklake/Twin-v0" not in gymnasium.registry:
    gymnasium.register(
        "stocklake/Twin-v0",
        entry_point="models.learning.environment:TwinEnvironment",
        vector_entry_point="models.learning.environment:TwinVectorEnvironment",
    )
