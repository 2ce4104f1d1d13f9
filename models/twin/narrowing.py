"""A twin with some of its items only."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from lake.errors import InputError
from models.twin.network import Network
from models.twin.twin import Twin


def narrowed(twin: Twin, items: Sequence[int]) -> Twin:
    """Return the twin with some of its items, and the places and lanes that they need. Raises `InputError` for none."""
    at = np.asarray(items, int)
    if not len(at):
        raise InputError("No items are left of the twin: take at least one.")
    network, whole = twin.network, len(twin.network.items)

    def cut(thing: Any) -> Any:
        changed = {
            each.name: value[..., at]
            for each in fields(thing)
            if isinstance(value := getattr(thing, each.name), np.ndarray)
            and value.ndim
            and value.shape[-1] == whole
        }
        return replace(thing, **changed)

    few: Network = replace(
        cut(network),
        items=[network.items[i] for i in at],
        categories=[network.categories[i] for i in at] if network.categories else (),
        nodes=[cut(node) for node in network.nodes],
        lanes=[cut(lane) for lane in network.lanes],
        substitute=None,
    )
    carrying = [lane for lane in few.lanes if few.carried(lane).any()]
    kept = [at for at, lane in enumerate(few.lanes) if few.carried(lane).any()]
    fed = {lane.origin for lane in carrying} | {lane.destination for lane in carrying}
    stays = [number for number, node in enumerate(few.nodes) if node.name in fed]
    few = replace(few, lanes=carrying, nodes=[few.nodes[number] for number in stays])
    return replace(
        twin,
        network=few,
        reorder_point=twin.reorder_point[np.ix_(np.array(stays), at)],
        order_up_to=twin.order_up_to[np.ix_(np.array(stays), at)],
        echelon=twin.echelon[np.ix_(np.array(stays), at)],
        weekdays=twin.weekdays[:, kept],
        demand_mean=twin.demand_mean[:, stays][:, :, at],
        demand_variance_ratio=twin.demand_variance_ratio[np.ix_(np.array(stays), at)],
    )
