"""Mode choice: which of several lanes between the same two places carries an item, when freight or fuel changes its price."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.twin.network import Lane, Network

Floats = NDArray[np.float64]


def cheapest(network: Network, *, freight_factor: float = 1.0, fuel_factor: float = 1.0) -> Network:
    """Return the network with each item's share moved, between the same two places, to the mode that costs least per unit.

    A unit costs its price, its weight's freight at today's factors, and holding while it is under way and while it is
    kept against the lead time (mean lead time x the destination's holding cost). Minimum charges and fixed costs of
    shipments are not per unit and stay out; compare runs where they matter.
    """
    shares = [network.per_item(lane.share) * network.carried(lane) for lane in network.lanes]
    groups: dict[tuple[str, str], list[int]] = {}
    for at, lane in enumerate(network.lanes):
        groups.setdefault((lane.origin, lane.destination), []).append(at)
    for members in groups.values():
        if len(members) == 1:
            continue
        costs = np.stack(
            [_per_unit(network, network.lanes[at], freight_factor, fuel_factor) for at in members]
        )
        best = costs.argmin(0)
        total = np.sum([shares[at] for at in members], axis=0)
        for number, at in enumerate(members):
            shares[at] = np.where(best == number, total, 0.0)
    lanes = [replace(lane, share=share) for lane, share in zip(network.lanes, shares, strict=True)]
    return replace(network, lanes=lanes)


def _per_unit(network: Network, lane: Lane, freight_factor: float, fuel_factor: float) -> Floats:
    freight = lane.freight_per_kg * freight_factor * (1 + lane.fuel_share * (fuel_factor - 1))
    held = network.per_item(network.node(lane.destination).holding_cost) + network.per_item(
        lane.pipeline_holding_cost
    )
    cost = (
        network.per_item(lane.unit_cost)
        + network.per_item(network.weight_kg) * freight
        + lane.lead_time.mean * held
    )
    return np.where(network.carried(lane), cost, np.inf)
