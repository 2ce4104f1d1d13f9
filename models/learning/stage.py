"""A network ready to be played: policies on the same paths, and what each replication of them costs and serves."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lake.errors import InputError
from models.twin.layout import Layout, PerLevel, make_layout
from models.twin.network import Network
from models.twin.numbers import make_numbers
from models.twin.simulate import Outcome, run
from models.twin.state import Paths, Policy, Rules, initial_state

Array = jax.Array
Floats = NDArray[np.float64]
PathsOf = Callable[[int], Paths]
WEEK = 7
RULES = Rules(record=())


@dataclass(frozen=True)
class Contender:
    """A policy with its parameters."""

    policy: Policy
    parameters: Any


@dataclass(frozen=True)
class Stage:
    """What does not differ between the policies that are compared."""

    network: Network
    layout: Layout
    rules: Rules
    numbers: PerLevel
    state: PerLevel
    unit_value: PerLevel | None = None
    """[place, item, 1] per level: what a unit on hand or under way is worth at the end, in money. None: nothing."""

    @classmethod
    def of(
        cls,
        network: Network,
        rules: Rules = RULES,
        *,
        layout: Layout | None = None,
        stock_is_worth: bool = False,
    ) -> "Stage":
        """Make a stage; `stock_is_worth`: units count at purchase prices at the end, so that nobody gains by selling out."""
        layout = layout or make_layout(network.checked())
        numbers = make_numbers(network, layout)
        value = layout.at_nodes(
            np.broadcast_to(unit_values(network), (len(network.nodes), len(network.items)))
        )
        return cls(
            network, layout, rules, numbers, initial_state(network, layout, numbers, rules),
            value if stock_is_worth else None,
        )  # fmt: skip

    @property
    def carried(self) -> PerLevel:
        """Return 1 where a lane of the row carries the item, [row, item, 1] per level: where there is a decision."""
        return self.layout.at_rows(
            self.network, np.stack([self.network.carried(lane) for lane in self.network.lanes]).astype(float)
        )

    def outcome(self, contender: Contender, paths: Paths) -> Outcome:
        """Simulate."""
        found: Outcome = run(
            self.layout, self.rules, contender.policy, contender.parameters, self.numbers, self.state, paths
        )
        return found

    def cost(self, outcome: Outcome) -> Array:
        """Return the cost of each replication, what stock is worth more at the end taken off. Differentiable."""
        return valued(
            outcome.cost, held(self.layout, outcome.state), held(self.layout, self.state), self.unit_value
        )

    def play(self, contender: Contender, paths_of: PathsOf, seeds: Iterable[int]) -> dict[str, Floats]:
        """Return cost, fill_rate and bullwhip of each replication of the seeds' paths.

        Bullwhip: variance over weeks of the units that suppliers send over that of what customers want, both summed over
        items (Chen et al. 2000, of weeks); nan below three weeks or without variance. Raises `InputError` where the cost
        is not a number.
        """
        parts: list[dict[str, Floats]] = []
        for seed in seeds:
            paths = paths_of(seed)
            found = _figures(
                (self.layout, self.rules, contender.policy),
                contender.parameters,
                self.numbers,
                self.state,
                paths,
            )
            width = next(each for each in paths.demand if each is not None).shape[-1]
            cost = valued(
                found.pop("cost"), found.pop("held"), held(self.layout, self.state), self.unit_value
            )
            parts.append(
                {
                    name: np.broadcast_to(np.asarray(each, np.float64), (width,))
                    for name, each in {"cost": cost, **found}.items()
                }
            )
        if not parts:
            raise InputError("Nothing was played: give at least one seed.")
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not np.isfinite(whole["cost"]).all():
            raise InputError(
                "A policy's cost is not a number in this twin: it ordered something that is none; look at its parameters."
            )
        return whole


def valued(cost: Array, end: PerLevel, start: PerLevel, unit_value: PerLevel | None) -> Array:
    """Return the cost less what stock [place, item, replication] per level is worth more at the end than at the start."""
    for at in range(1, 0 if unit_value is None else len(end)):
        assert unit_value is not None
        cost = cost - ((end[at] - start[at]) * unit_value[at]).sum((0, 1))
    return cost


def unit_values(network: Network) -> Floats:
    """Return what a unit of each item costs at suppliers [item]: the mean over lanes from them, by share."""
    price = np.stack([network.per_item(lane.unit_cost) for lane in network.lanes])
    share = np.stack([network.per_item(lane.share) for lane in network.lanes]) * (price > 0)
    found: Floats = (price * share).sum(0) / np.maximum(share.sum(0), 1e-9)
    return found


def held(layout: Layout, state: PerLevel) -> PerLevel:
    """Return units on hand and under way to each place, [place, item, replication] per level."""
    found: list[Any] = [None]
    for at, level in enumerate(layout.levels[1:], start=1):
        on_hand = state[at].on_hand.sum(0) if layout.ages else state[at].on_hand
        found.append(on_hand + level.to_nodes(state[at].in_transit))
    return tuple(found)


@partial(jax.jit, static_argnames="fixed")
def _figures(
    fixed: tuple[Layout, Rules, Policy], parameters: Any, numbers: PerLevel, state: PerLevel, paths: Paths
) -> dict[str, Any]:
    """Return cost, stock held at the end, fill rate and bullwhip [replication]; flows of every period are not kept."""
    layout, rules, policy = fixed
    cells = replace(rules, record=("demand", "sold"), daily="cells")
    outcome = run(layout, cells, policy, parameters, numbers, state, paths)
    bought: Any = 0.0
    for at, level in enumerate(layout.levels[1:], start=1):
        rows = [row for row, (origin, _) in enumerate(level.row_origin) if origin == 0]
        if rows:
            bought = bought + outcome.daily["shipped"][at][:, np.array(rows)].sum(1)
    wanted = sum((each.sum(1) for each in outcome.daily["demand"] if each is not None), jnp.zeros(()))
    sold, demand = (
        sum((each.sum((0, 1)) for each in outcome.totals[name] if each is not None), jnp.zeros(()))
        for name in ("sold", "demand")
    )
    spread = _weekly_variance(wanted)
    return {
        "cost": outcome.cost,
        "held": held(layout, outcome.state),
        "fill_rate": sold / jnp.maximum(demand, 1e-9),
        "bullwhip": jnp.where(spread > 0, _weekly_variance(bought) / jnp.maximum(spread, 1e-9), jnp.nan),
    }


def _weekly_variance(units: Array) -> Array:
    """Return the variance over weeks of [period, item, replication], summed over items; nan below three weeks."""
    weeks = units.shape[0] // WEEK
    if weeks < 3:
        return jnp.full(units.shape[-1], jnp.nan)
    return units[: weeks * WEEK].reshape(weeks, WEEK, *units.shape[1:]).sum(1).var(0, ddof=1).sum(0)
