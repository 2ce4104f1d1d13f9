"""Guaranteed service: where in a tree of stages to hold safety stock, when each promises a delivery time.

Belongs here: the dynamic programme over trees in which a stage may have several suppliers and several customers.
Not here: stages that may fail their promise (`serial_systems.py`), networks with cycles (nobody has an exact method
that is quick).
"""

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.inventory.arguments import Floats, not_negative, whole

_LONGEST_PERIODS = 2_000
"""A table of a stage has the square of it."""


@dataclass(frozen=True)
class Stage:
    """One stage: an item at a place, with its stock after its own processing. Times are whole periods."""

    holding_cost_per_unit_period: float
    processing_periods: int
    demand_std_units: float = 0.0
    """Of the customers that it serves itself, per period; that of stages downstream is added by the arcs."""
    demand_bound_constant: float = 1.0
    """k of the demand that is covered, mean + k sigma sqrt(t): a service level's z."""
    inbound_service_periods: int = 0
    """What suppliers outside the tree promise at least."""
    outbound_service_periods: int | None = None
    """The longest promise that customers outside accept. None: 0 without a customer in the tree, else no limit."""


class ServicePlan(NamedTuple):
    """By stage: the promise (committed service time, periods), the time covered by its stock, that safety stock; the cost."""

    service_periods: dict[str, int]
    covered_periods: dict[str, int]
    safety_stock_units: dict[str, float]
    cost_per_period: float


def optimise_service_times(stages: Mapping[str, Stage], arcs: Sequence[tuple[str, str]]) -> ServicePlan:
    """Return the promises S_k of least holding cost of safety stock, sum h_k c_k sigma_k sqrt(SI_k + T_k - S_k).

    `arcs` are (supplier, customer) pairs between `stages`; seen without direction they form a tree. SI_k is the longest
    promise of k's suppliers, T_k its processing time; sigma_k adds the variances of all demand downstream (independent
    customers, one unit per unit). Each stage in turn, from the leaves: cost of itself and the part of the tree behind
    it, as a table over its S (where the rest of the tree is a customer) or over its SI (a supplier). O(stages M^2), M
    the longest path of processing times. Raises `ValueError` for a cycle, parts without connection, unknown stages or
    promises that cannot be kept. Source: Graves & Willems 2000; Snyder & Shen, sec. 6.3 (ex. 6.3, 6.5).

    >>> chain = {"plant": Stage(2, 1, inbound_service_periods=1), "hub": Stage(4, 0),
    ...          "shop": Stage(7, 1, demand_std_units=1, outbound_service_periods=1)}
    >>> plan = optimise_service_times(chain, [("plant", "hub"), ("hub", "shop")])
    >>> plan.service_periods, round(plan.cost_per_period, 4)
    ({'plant': 0, 'hub': 0, 'shop': 1}, 2.8284)
    """
    tree = _Tree(stages, arcs)
    tables = {name: tree.table(name) for name in stages}
    for name, parent in tree.leaves_first[:-1]:
        if tree.is_arc(name, parent):  # the rest of the tree sees the promise S; its own SI may be longer
            behind = np.minimum.accumulate(tables[name].min(axis=1))
            tables[parent] = tables[parent] + behind[None, :]
        else:  # the rest of the tree sees the inbound time SI; what it promises may be shorter
            behind = np.minimum.accumulate(tables[name].min(axis=0)[::-1])[::-1]
            tables[parent] = tables[parent] + behind[:, None]
    return _read_back(tree, tables)


def _read_back(tree: "_Tree", tables: dict[str, Floats]) -> ServicePlan:
    """From the root to the leaves: the best S and SI of each stage, within what its parent has fixed."""
    promise: dict[str, int] = {}
    inbound: dict[str, int] = {}
    root = tree.leaves_first[-1][0]
    cost = float(tables[root].min())
    if not np.isfinite(cost):
        raise ValueError(
            "no service times keep every promise: a stage's outbound_service_periods is shorter than its suppliers allow"
        )
    for name, parent in reversed(tree.leaves_first):
        open_to = tables[name].copy()
        if name != root and tree.is_arc(name, parent):
            open_to[inbound[parent] + 1 :, :] = np.inf
        elif name != root:
            open_to[:, : promise[parent]] = np.inf
        best_promise, best_inbound = np.unravel_index(int(np.argmin(open_to)), open_to.shape)
        promise[name], inbound[name] = int(best_promise), int(best_inbound)
    covered = {
        name: max((promise[supplier] for supplier in tree.suppliers[name]), default=0) for name in tree.stages
    }
    covered = {
        name: max(before, stage.inbound_service_periods) + stage.processing_periods - promise[name]
        for (name, stage), before in zip(tree.stages.items(), covered.values(), strict=True)
    }
    stock = {
        name: stage.demand_bound_constant * tree.std[name] * float(np.sqrt(covered[name]))
        for name, stage in tree.stages.items()
    }
    return ServicePlan({name: promise[name] for name in tree.stages}, covered, stock, cost)


class _Tree:
    """The stages, who supplies whom, and an order in which all but one neighbour (the parent) come before a stage."""

    def __init__(self, stages: Mapping[str, Stage], arcs: Sequence[tuple[str, str]]) -> None:
        _check(stages, arcs)
        self.stages, self._arcs = stages, set(arcs)
        self.suppliers: dict[str, list[str]] = {name: [] for name in stages}
        self._customers: dict[str, list[str]] = {name: [] for name in stages}
        for supplier, customer in dict.fromkeys(arcs):  # said twice is said once
            self.suppliers[customer].append(supplier)
            self._customers[supplier].append(customer)
        self.leaves_first = self._leaves_first()
        try:
            upstream_first = list(graphlib.TopologicalSorter(self.suppliers).static_order())
        except graphlib.CycleError as error:
            raise ValueError(
                f"the stages supply each other in a circle: {' -> '.join(error.args[1])}"
            ) from None
        self.std = self._stds(upstream_first)
        self._longest = self._longest_wait(upstream_first)
        if self._longest > _LONGEST_PERIODS:
            raise ValueError(
                f"the longest path takes {self._longest:,} periods, beyond {_LONGEST_PERIODS:,}: count time in longer periods"
            )

    def is_arc(self, supplier: str, customer: str) -> bool:
        return (supplier, customer) in self._arcs

    def table(self, name: str) -> Floats:
        """Cost of the stage's own stock by its promise S (rows) and inbound time SI (columns); infinite: not allowed."""
        stage = self.stages[name]
        times = np.arange(self._longest + 1)
        covered = times[None, :] + stage.processing_periods - times[:, None]
        limit = stage.outbound_service_periods
        if limit is None:
            limit = self._longest if self._customers[name] else 0
        allowed = (
            (covered >= 0) & (times[:, None] <= limit) & (times[None, :] >= stage.inbound_service_periods)
        )
        bound = stage.demand_bound_constant * self.std[name] * np.sqrt(np.maximum(covered, 0))
        return np.where(allowed, stage.holding_cost_per_unit_period * bound, np.inf)

    def _leaves_first(self) -> list[tuple[str, str]]:
        """Every stage with its parent on the way to the last one (which is its own)."""
        root = next(iter(self.stages))
        reached = {root: root}
        for name in (waiting := [root]):
            for near in (*self.suppliers[name], *self._customers[name]):
                if near not in reached:
                    reached[near] = name
                    waiting.append(near)
        if len(reached) < len(self.stages):
            alone = next(name for name in self.stages if name not in reached)
            raise ValueError(
                f"stage {alone!r} is not connected with {root!r}: plan separate trees separately"
            )
        if len(self._arcs) >= len(self.stages):
            raise ValueError(
                "the arcs close a circle, seen without their direction: only trees can be planned exactly"
            )
        return list(reversed(reached.items()))

    def _stds(self, upstream_first: list[str]) -> dict[str, float]:
        variance: dict[str, float] = {}
        for name in reversed(upstream_first):
            below = sum(variance[customer] for customer in self._customers[name])
            variance[name] = self.stages[name].demand_std_units ** 2 + below
        return {name: float(np.sqrt(each)) for name, each in variance.items()}

    def _longest_wait(self, upstream_first: list[str]) -> int:
        """The longest time from an order on the world outside to a stage's stock: no promise need be longer."""
        longest: dict[str, int] = {}
        for name in upstream_first:
            stage = self.stages[name]
            before = max((longest[supplier] for supplier in self.suppliers[name]), default=0)
            longest[name] = stage.processing_periods + max(before, stage.inbound_service_periods)
        return max(longest.values())


def _check(stages: Mapping[str, Stage], arcs: Sequence[tuple[str, str]]) -> None:
    if not stages:
        raise ValueError("stages is empty: at least one stage is needed")
    for name, stage in stages.items():
        try:
            not_negative(
                holding_cost_per_unit_period=stage.holding_cost_per_unit_period,
                demand_std_units=stage.demand_std_units,
                demand_bound_constant=stage.demand_bound_constant,
            )
            whole("processing_periods", stage.processing_periods)
            whole("inbound_service_periods", stage.inbound_service_periods)
            whole("outbound_service_periods", stage.outbound_service_periods or 0)
        except ValueError as error:
            raise ValueError(f"stage {name!r}: {error}") from None
    for arc in arcs:
        for end in arc:
            if end not in stages:
                raise ValueError(f"the arc {arc[0]!r} -> {arc[1]!r} leads to {end!r}, which is no stage")
