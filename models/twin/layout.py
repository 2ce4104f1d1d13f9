"""How a network becomes arrays: places by level, the lanes into them as rows, and numbers in their order.

A level holds the places equally far from the outside; level 0 are the suppliers, which have no state. A *row* is a lane
into a place of the level; lanes from suppliers that carry different items share a row, so that a place with many suppliers
is no wider than the largest number of them that one item has. Everything here is fixed before a simulation and hashable:
equal structures share one compiled program, whatever their numbers are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from models.twin.network import Lane, Network, levels

Array = jax.Array
PerLevel = tuple[Any, ...]
"""One entry per level, level 0 included; None where the level has nothing of the kind."""


@dataclass(frozen=True)
class Level:
    """The places of one level and the rows into them; all indices are positions within their level."""

    nodes: tuple[int, ...]
    """Index of each place in the network: first those without demand, then those with."""
    demand_from: int
    """Position of the first place with demand; all after it have demand as well."""
    row_node: tuple[int, ...]
    """Destination of each row, ascending."""
    row_lanes: tuple[tuple[int, ...], ...]
    """Lanes (indices in the network) that share each row."""
    row_origin: tuple[tuple[int, int], ...]
    """Level and position of each row's origin; (0, 0) for suppliers."""
    horizon: int
    """Longest time in periods that something can be under way."""
    uniform_lead: int | None
    """The lead time of all rows, where there is one only."""
    shortest_lead: int

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.row_node)

    @property
    def size(self) -> int:
        """Return the number of places."""
        return len(self.nodes)

    @property
    def rows_per_node(self) -> int:
        """Return how many rows every place has, 0 where that differs."""
        count = np.bincount(self.row_node, minlength=self.size) if self.rows else np.zeros(1)
        return int(count[0]) if (count == count[0]).all() else 0

    def to_nodes(self, rows: Array) -> Array:
        """Sum an array [row, ...] over the rows of each place: [place, ...]."""
        per = self.rows_per_node
        if per == 1:
            return rows
        if per:
            return rows.reshape(self.size, per, *rows.shape[1:]).sum(1)
        return jax.ops.segment_sum(rows, np.array(self.row_node), self.size, indices_are_sorted=True)

    def to_rows(self, nodes: Array) -> Array:
        """Repeat an array [place, ...] for the rows of each place: [row, ...]."""
        return nodes if self.rows_per_node == 1 or nodes.ndim == 0 else nodes[np.array(self.row_node)]


@dataclass(frozen=True)
class Outflow:
    """The rows that leave the places of one level, as a grid [origin, way]."""

    origins: tuple[int, ...]
    parts: tuple[tuple[int, tuple[int, ...]], ...]
    """(level, rows) whose concatenation the grid indexes."""
    grid: tuple[tuple[int, ...], ...]
    """Position in the concatenation; -1 where an origin has fewer ways."""

    def gather(self, per_level: Sequence[Array | None]) -> Array:
        """Return an array per level [row, ...] as a grid [origin, way, ...]; ways that are not there hold 0."""
        joined = self._joined([per_level[level] for level, _ in self.parts])
        grid = np.array(self.grid)
        if self._is_regular:
            return joined.reshape(*grid.shape, *joined.shape[1:])
        padded = jnp.concatenate([joined, jnp.zeros_like(joined[:1])])
        return padded[grid]

    def scatter(self, grid: Array) -> list[tuple[int, tuple[int, ...], Array]]:
        """Return (level, rows, values [row, ...]) of a grid."""
        flat = grid.reshape(-1, *grid.shape[2:])
        if not self._is_regular:
            places = np.array(self.grid).ravel()
            order = np.argsort(places, kind="stable")[(places < 0).sum() :]
            flat = flat[order]
        found, start = [], 0
        for level, rows in self.parts:
            found.append((level, rows, flat[start : start + len(rows)]))
            start += len(rows)
        return found

    def _joined(self, arrays: list[Any]) -> Array:
        pieces = [take(array, rows) for array, (_, rows) in zip(arrays, self.parts, strict=True)]
        return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces)

    @property
    def _is_regular(self) -> bool:
        flat = np.array(self.grid).ravel()
        return bool((flat == np.arange(len(flat))).all())


@dataclass(frozen=True)
class Layout:
    """The whole structure. Equal layouts share compiled programs."""

    items: int
    levels: tuple[Level, ...]
    outflows: tuple[Outflow | None, ...]
    """Per level; None for the suppliers and where nothing leaves."""
    substitute: tuple[int, ...] | None = None
    ages: int = 0
    """Buckets of age; 0: nothing perishes."""
    names: tuple[str, ...] = field(default=(), compare=False)
    lane_names: tuple[str, ...] = field(default=(), compare=False)

    def at_nodes(self, values: Any) -> PerLevel:
        """Return an array [..., node, item] (network's order) per level: [..., place, item, 1]."""
        array = np.asarray(values)
        return tuple(
            jnp.asarray(array[..., list(level.nodes), :, None], jnp.float32) if index else None
            for index, level in enumerate(self.levels)
        )

    def at_rows(self, network: Network, values: Any, filler: float = 0.0) -> PerLevel:
        """Return an array [..., lane, item] (network's order) per level: [..., row, item, 1]."""
        array = np.asarray(values)
        found: list[Any] = [None]
        for level in self.levels[1:]:
            rows = np.full((*array.shape[:-2], level.rows, self.items), filler, array.dtype)
            for row, lanes in enumerate(level.row_lanes):
                for lane in lanes:
                    carried = network.carried(network.lanes[lane])
                    rows[..., row, carried] = array[..., lane, :][..., carried]
            found.append(jnp.asarray(rows[..., None], jnp.float32))
        return tuple(found)

    def at_lanes(self, values: Any, filler: float = 0.0) -> PerLevel:
        """Return an array [..., lane] per level as [..., row, lane of the row, 1], filled where a row has fewer lanes."""
        array = np.asarray(values, np.float32)
        found: list[Any] = [None]
        for level in self.levels[1:]:
            width = max(len(lanes) for lanes in level.row_lanes)
            rows = np.full((*array.shape[:-1], level.rows, width, 1), filler, np.float32)
            for row, lanes in enumerate(level.row_lanes):
                rows[..., row, : len(lanes), 0] = array[..., list(lanes)]
            found.append(jnp.asarray(rows))
        return tuple(found)

    def from_nodes(self, per_level: PerLevel, axis: int = 0) -> NDArray[Any]:
        """Return an array per level as one of all places in the network's order (`axis`: where the places are).

        Places without a value hold 0: suppliers, and those without demand in what only sellers have.
        """
        found: Any = None
        for level, each in zip(self.levels, per_level, strict=True):
            if each is None:
                continue
            values = np.moveaxis(np.asarray(each), axis, 0)
            if found is None:
                found = np.zeros((len(self.names), *values.shape[1:]), values.dtype)
            found[list(level.nodes[level.size - len(values) :])] = values
        return np.moveaxis(found, 0, axis)

    def from_rows(self, network: Network, per_level: PerLevel, axis: int = 0) -> NDArray[Any]:
        """Return an array per level [row, item, ...] (rows at `axis`) as one of all lanes in the network's order."""
        found: Any = None
        for level, each in zip(self.levels, per_level, strict=True):
            if each is None:
                continue
            values = np.moveaxis(np.asarray(each), (axis, axis + 1), (0, 1))
            if found is None:
                found = np.zeros((len(network.lanes), *values.shape[1:]), values.dtype)
            for row, lanes in enumerate(level.row_lanes):
                for lane in lanes:
                    carried = network.carried(network.lanes[lane])
                    found[lane, carried] = values[row, carried]
        return np.moveaxis(found, (0, 1), (axis, axis + 1))


def make_layout(network: Network, *, longest_leads: Sequence[int] | None = None) -> Layout:
    """Return the structure of a checked network.

    `longest_leads`: per lane, room in periods for lead times longer than its own (events that stretch them).
    """
    level_of = levels(network)
    names, depth = network.node_names, max(level_of.values())
    first_origin = {lane.destination: names.index(lane.origin) for lane in reversed(network.lanes)}
    groups: list[list[int]] = [[] for _ in range(depth + 1)]
    for index in sorted(
        range(len(names)), key=lambda i: (network.nodes[i].has_demand, first_origin.get(names[i], 0), i)
    ):
        groups[level_of[names[index]]].append(index)
    position = {
        names[index]: (level, at) for level, group in enumerate(groups) for at, index in enumerate(group)
    }
    made = [Level(tuple(groups[0]), len(groups[0]), (), (), (), 0, None, 0)]
    for group in groups[1:]:
        made.append(_level(network, group, position, longest_leads))
    life = network.shelf_life
    ages = 0
    if life is not None and np.isfinite(network.per_item(life)).any():
        finite = network.per_item(life)
        ages = int(finite[np.isfinite(finite)].max())
    return Layout(
        items=len(network.items),
        levels=tuple(made),
        outflows=tuple(_outflow(made, level) if level else None for level in range(len(made))),
        substitute=None if network.substitute is None else tuple(network.substitute),
        ages=ages,
        names=tuple(names),
        lane_names=tuple(lane.name for lane in network.lanes),
    )


def _level(
    network: Network, group: list[int], position: dict[str, tuple[int, int]], longest: Sequence[int] | None
) -> Level:
    rows: list[tuple[int, tuple[int, int], list[int]]] = []
    for at, node in enumerate(group):
        into = [i for i, lane in enumerate(network.lanes) if lane.destination == network.nodes[node].name]
        inside = [i for i in into if position[network.lanes[i].origin][0] > 0]
        rows += [(at, position[network.lanes[i].origin], [i]) for i in inside]
        rows += [(at, (0, 0), lanes) for lanes in _shared(network, [i for i in into if i not in inside])]
    times = [value for _, _, lanes in rows for i in lanes for value in network.lanes[i].lead_time.values]
    started = [
        len(lane.in_transit)
        for _, _, lanes in rows
        for lane in _of(network, lanes)
        if lane.in_transit is not None
    ]
    stretched = [] if longest is None else [int(longest[i]) for _, _, lanes in rows for i in lanes]
    horizon = max([*times, *started, *stretched])
    return Level(
        nodes=tuple(group),
        demand_from=sum(not network.nodes[node].has_demand for node in group),
        row_node=tuple(row[0] for row in rows),
        row_lanes=tuple(tuple(row[2]) for row in rows),
        row_origin=tuple(row[1] for row in rows),
        horizon=horizon,
        uniform_lead=times[0] if len(set(times)) == 1 else None,
        shortest_lead=min(times),
    )


def _shared(network: Network, lanes: list[int]) -> list[list[int]]:
    """Put lanes that carry different items into one row, first come, first served."""
    rows: list[tuple[list[int], NDArray[np.bool_]]] = []
    for index in lanes:
        carried = network.carried(network.lanes[index])
        for members, taken in rows:
            if not (taken & carried).any():
                members.append(index)
                np.logical_or(taken, carried, out=taken)
                break
        else:
            rows.append(([index], carried.copy()))
    return [members for members, _ in rows]


def _outflow(made: list[Level], origin_level: int) -> Outflow | None:
    parts, ways = [], []
    for level, each in enumerate(made):
        rows = tuple(row for row, origin in enumerate(each.row_origin) if origin[0] == origin_level)
        if rows and level > origin_level:
            parts.append((level, rows))
            ways += [each.row_origin[row][1] for row in rows]
    if not ways:
        return None
    origins = sorted(set(ways))
    found = [[at for at, way in enumerate(ways) if way == origin] for origin in origins]
    width = max(map(len, found))
    return Outflow(
        tuple(origins), tuple(parts), tuple(tuple(each + [-1] * (width - len(each))) for each in found)
    )


def _of(network: Network, lanes: Sequence[int]) -> list[Lane]:
    return [network.lanes[i] for i in lanes]


def take(array: Any, rows: Sequence[int]) -> Any:
    """Return the rows of an array; a range is a slice, which costs nothing."""
    if len(rows) == array.shape[0] and tuple(rows) == tuple(range(len(rows))):
        return array
    if tuple(rows) == tuple(range(rows[0], rows[0] + len(rows))):
        return array[rows[0] : rows[0] + len(rows)]
    return array[np.array(rows)]
