"""A supply chain as its owner describes it: places, lanes between them, items, and what everything costs.

Belongs here: the description and its checks. How it becomes arrays stands in `layout.py`.
A quantity "per item" is one number for all items or an array `[item]`; a period is what the lead times count in (a day).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lake.errors import InputError

PerItem = float | NDArray[np.float64]
Kind = Literal["supplier", "plant", "hub", "store"]
"""A supplier has all that is ordered from it; every other place ships only what it holds."""


@dataclass(frozen=True)
class Node:
    """A place. Costs are per unit: holding and backlog per period, a lost unit once."""

    name: str
    kind: Kind
    region: str = ""
    has_demand: bool = False
    holding_cost: PerItem = 0.0
    shortage_cost: PerItem = 0.0
    """Per unit that is lost, or per period that a unit waits."""
    price: PerItem = 0.0
    """Revenue per unit sold here."""
    waste_cost: PerItem = 0.0
    backlog_share: PerItem = 0.0
    """Share of unmet demand that waits; the rest is lost. Whole units wait where the network counts in whole units."""
    on_hand: PerItem = 0.0
    """Stock at the start."""


@dataclass(frozen=True)
class LeadTime:
    """How many periods a shipment takes: one value, or values with their probabilities (drawn per shipment)."""

    values: tuple[int, ...] = (1,)
    probabilities: tuple[float, ...] = (1.0,)

    @property
    def mean(self) -> float:
        """Return the expected lead time in periods."""
        return float(np.dot(self.values, self.probabilities))

    @property
    def variance(self) -> float:
        """Return the variance in periods squared."""
        return float(np.dot(np.square(self.values), self.probabilities)) - self.mean**2


@dataclass(frozen=True)
class Lane:
    """A way from one place to another by one mode. Several modes between two places are several lanes."""

    origin: str
    destination: str
    mode: str = "road"
    lead_time: LeadTime = field(default_factory=LeadTime)
    items: NDArray[np.bool_] | None = None
    """Mask [item] of what it carries; None: everything."""
    share: PerItem = 1.0
    """Share of the destination's need that is ordered here; the shares of an item at a place add up to 1 (or 0)."""
    pack: PerItem = 1.0
    minimum: PerItem = 0.0
    unit_cost: PerItem = 0.0
    """Price paid per unit shipped."""
    pipeline_holding_cost: PerItem = 0.0
    """Per unit and period under way."""
    order_cost: float = 0.0
    """Per period in which something is ordered here, however many items."""
    shipment_cost: float = 0.0
    """Per period in which something leaves."""
    freight_per_kg: float = 0.0
    minimum_charge: float = 0.0
    """A shipment costs at least this, before `shipment_cost`."""
    fuel_share: float = 0.0
    """Share of the freight bill that moves with the price of fuel."""
    capacity: float = np.inf
    """Units of all items that can leave in a period."""
    in_transit: NDArray[np.float64] | None = None
    """[k, item]: units under way at the start that arrive in period k (0: the first)."""

    @property
    def name(self) -> str:
        """Return how the lane is called in scenarios and reports."""
        return f"{self.origin} -> {self.destination} ({self.mode})"


@dataclass(frozen=True)
class Network:
    """A whole supply chain. `checked` says in a sentence what is wrong with it."""

    items: Sequence[str]
    nodes: Sequence[Node]
    lanes: Sequence[Lane]
    categories: Sequence[str] = ()
    weight_kg: PerItem = 1.0
    shelf_life: PerItem | None = None
    """Periods until a unit is waste, counted from when a supplier ships it; inf: it keeps. None: everything keeps."""
    substitute: Sequence[int] | None = None
    """Per item: the index of the item that customers take instead, -1: none. An item stands in for one other at most."""
    substitution_share: PerItem = 0.0
    """Share of an item's unmet demand that turns to its substitute."""

    def node(self, name: str) -> Node:
        """Return the place of that name. Raises `InputError` where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise InputError(f"There is no place {name!r} in the twin: it knows {_some(self.node_names)}.")

    @property
    def node_names(self) -> list[str]:
        """Return the names of all places."""
        return [node.name for node in self.nodes]

    def per_item(self, value: PerItem) -> NDArray[np.float64]:
        """Return a quantity as an array [item]."""
        return np.broadcast_to(np.asarray(value, np.float64), (len(self.items),))

    def carried(self, lane: Lane) -> NDArray[np.bool_]:
        """Return the mask [item] of what the lane carries."""
        return np.ones(len(self.items), bool) if lane.items is None else np.asarray(lane.items, bool)

    def with_lanes(self, change: Any) -> "Network":
        """Return the network with every lane replaced by `change(lane)`."""
        return replace(self, lanes=[change(lane) for lane in self.lanes])

    def checked(self) -> "Network":
        """Return itself. Raises `InputError`: one clear sentence for the first thing that is wrong."""
        _check_names(self)
        for node in self.nodes:
            _check_numbers(self, node, f"place {node.name}")
        for lane in self.lanes:
            _check_lane(self, lane)
        _check_flow(self)
        levels(self)
        return self


def levels(network: Network) -> dict[str, int]:
    """Return how far each place is from the outside: 0 a supplier, else 1 + the farthest place that supplies it.

    Raises `InputError` naming the circle where places supply each other in one.
    """
    origins: dict[str, set[str]] = {node.name: set() for node in network.nodes}
    for lane in network.lanes:
        origins[lane.destination].add(lane.origin)
    level: dict[str, int] = {}
    waiting = dict(origins)
    while waiting:
        ready = [name for name, needed in waiting.items() if needed <= level.keys()]
        if not ready:
            raise InputError(
                f"The network goes round in a circle ({_circle(waiting)}): a place cannot supply itself; remove one "
                "of these lanes."
            )
        for name in ready:
            level[name] = 1 + max((level[origin] for origin in waiting.pop(name)), default=-1)
    return level


def _circle(waiting: dict[str, set[str]]) -> str:
    at = next(iter(waiting))
    way = [at]
    while True:
        at = next(origin for origin in sorted(waiting[at]) if origin in waiting)
        if at in way:
            return " <- ".join([*way[way.index(at) :], at])
        way.append(at)


def _check_names(network: Network) -> None:
    if not network.items:
        raise InputError("The twin has no items: build it from a release with items that sell.")
    if not network.nodes:
        raise InputError("The twin has no places: build it from a release with locations.")
    for what, names in (("item", list(network.items)), ("place", network.node_names)):
        doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if doubled:
            raise InputError(f"The {what} {doubled[0]!r} stands twice in the network: name each once.")


def _check_numbers(network: Network, thing: Any, where: str) -> None:
    for each in fields(thing):
        value = getattr(thing, each.name)
        if each.name in ("items", "in_transit") or not isinstance(value, int | float | np.ndarray):
            continue
        try:
            numbers = network.per_item(value)
        except ValueError as error:
            raise InputError(
                f"{where}: {each.name} has the shape {np.shape(value)} and has to be one number or "
                f"{len(network.items)}, one per item."
            ) from error
        label = each.name.replace("_", " ")
        bad = np.flatnonzero(~(numbers >= 0))
        if len(bad):
            what = f" of item {network.items[bad[0]]}" if np.ndim(value) else ""
            raise InputError(
                f"{where}: {label}{what} is {numbers[bad[0]]:g}; it cannot be negative or unknown."
            )
        if each.name in ("share", "backlog_share", "fuel_share") and (numbers > 1).any():
            raise InputError(f"{where}: {label} is {numbers.max():g}; a share is between 0 and 1.")
        if each.name == "pack" and not (numbers > 0).all():
            raise InputError(f"{where}: pack is 0; a pack has at least one unit.")


def _check_lane(network: Network, lane: Lane) -> None:
    where = f"lane {lane.name}"
    for end in (lane.origin, lane.destination):
        if end not in network.node_names:
            raise InputError(
                f"The {where} leads {'from' if end == lane.origin else 'to'} {end!r}, which is no place of the network: "
                f"it knows {_some(network.node_names)}."
            )
    if network.node(lane.destination).kind == "supplier":
        raise InputError(f"The {where} leads to a supplier: suppliers have no supply of their own.")
    _check_numbers(network, lane, where)
    time = lane.lead_time
    if not time.values or len(time.values) != len(time.probabilities) or min(time.values) < 0:
        raise InputError(
            f"{where}: lead times have to be whole periods from 0 on, each with its probability."
        )
    if min(time.probabilities) < 0 or abs(sum(time.probabilities) - 1) > 1e-6:
        raise InputError(
            f"{where}: the probabilities of its lead times add up to {sum(time.probabilities):g}, not 1."
        )
    if lane.in_transit is not None and np.shape(lane.in_transit)[1:] != (len(network.items),):
        raise InputError(f"{where}: in_transit has to be an array [period of arrival, item].")


def _check_flow(network: Network) -> None:
    fed = {lane.destination for lane in network.lanes}
    for node in network.nodes:
        if node.kind != "supplier" and node.name not in fed:
            raise InputError(f"Nothing leads to {node.name}: give it a lane, or make it a supplier.")
        if node.kind == "supplier" and node.has_demand:
            raise InputError(
                f"{node.name} is a supplier and has demand: let customers buy at a place that holds stock."
            )
    if not any(node.has_demand for node in network.nodes):
        raise InputError("Nobody buys anything: at least one place needs demand.")
    if network.substitute is not None:
        taken = [index for index in network.substitute if index >= 0]
        if len(taken) != len(set(taken)) or any(i == j for i, j in enumerate(network.substitute)):
            raise InputError("An item stands in for one other item at most, and never for itself.")


def _some(names: Sequence[str], count: int = 6) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
