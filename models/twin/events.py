"""What happens from outside in a run, in the network's order, and how events change it.

`Outside` is the undisturbed world; each function applies one event and returns a changed copy, so that events combine in
any order. An event of size zero returns the same numbers: it changes nothing under common random numbers.
All spans are periods [first, last) as real numbers: half a day closed is half of what was asked that leaves.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lake.errors import InputError
from models.twin import demand as sampling
from models.twin.layout import Layout, PerLevel
from models.twin.network import Network
from models.twin.state import Paths

Floats = NDArray[np.float32]
EVERYTHING = np.float32(-1e7)
"""An inflow that empties a place: inflows stop at an empty one."""


@dataclass(frozen=True)
class Outside:
    """Demand [period, node, item, replication] and, where something is not as always, arrays that broadcast to it.

    Lanes stand where nodes stand in what concerns lanes. None: as always.
    """

    demand: Floats
    lead: NDArray[np.int32] | None = None
    """[period, lane, 1, replication]."""
    node_open: Floats | None = None
    lane_open: Floats | None = None
    can_order: Floats | None = None
    inflow: Floats | None = None
    share: Floats | None = None
    freight_factor: Floats | None = None
    fuel_factor: Floats | None = None
    price_factor: Floats | None = None

    @property
    def periods(self) -> int:
        """Return the number of periods."""
        return int(self.demand.shape[0])

    @property
    def longest_leads(self) -> list[int] | None:
        """Return the longest lead time of each lane, for `make_layout`; None where all are as the network says."""
        return None if self.lead is None else [int(each) for each in self.lead.max((0, 2, 3))]

    def paths(self, network: Network, layout: Layout, *, counts: Any = None) -> Paths:
        """Return it as the arrays that the simulator reads.

        Raises `InputError` where a lead time is longer than the layout has room for: nothing may fall off its end.
        """
        self._check_leads(layout)

        def rows(array: Any) -> PerLevel | None:
            return None if array is None else _rows(network, layout, array)

        def nodes(array: Any) -> PerLevel | None:
            return None if array is None else tuple(
                jnp.asarray(array[:, list(level.nodes)]) if at else None for at, level in enumerate(layout.levels)
            )  # fmt: skip

        def lanes(array: Any) -> PerLevel | None:
            return None if array is None else layout.at_lanes(array[:, :, 0, 0], 1.0)

        return Paths(
            demand=sampling.per_level(layout, self.demand),
            lead=rows(self.lead),
            can_order=rows(self.can_order),
            node_open=nodes(self.node_open),
            row_open=rows(self.lane_open),
            inflow=nodes(self.inflow),
            share=rows(self.share),
            freight_factor=lanes(self.freight_factor),
            fuel_factor=lanes(self.fuel_factor),
            price_factor=nodes(self.price_factor),
            counts=counts,
        )

    def _check_leads(self, layout: Layout) -> None:
        longest = self.longest_leads or []
        for level in layout.levels:
            for lanes in level.row_lanes:
                for lane in lanes if longest else ():
                    if longest[lane] > level.horizon:
                        raise InputError(
                            f"The lead time of {layout.lane_names[lane]} is {longest[lane]} periods and the layout has room "
                            f"for {level.horizon}: make it with longest_leads."
                        )


def _rows(network: Network, layout: Layout, array: Any) -> PerLevel:
    """Return [period, lane, item or 1, replication or 1] per level as [period, row, item or 1, replication or 1]."""
    found: list[Any] = [None]
    for level in layout.levels[1:]:
        if all(len(lanes) == 1 for lanes in level.row_lanes):
            found.append(jnp.asarray(array[:, [lanes[0] for lanes in level.row_lanes]]))
            continue
        lane_of = np.zeros((level.rows, layout.items), int)
        for row, lanes in enumerate(level.row_lanes):
            lane_of[row] = lanes[0]
            for lane in lanes:
                lane_of[row, network.carried(network.lanes[lane])] = lane
        items = np.arange(layout.items) if array.shape[2] > 1 else np.zeros(layout.items, int)
        found.append(jnp.asarray(array[:, lane_of, items]))
    return tuple(found)


def spans(periods: int, first: float, length: float) -> Floats:
    """Return the share of each period that lies in the span: [period]."""
    starts = np.arange(periods, dtype=np.float64)
    overlap = np.minimum(starts + 1, first + length) - np.maximum(starts, first)
    return np.asarray(np.clip(overlap, 0, 1), np.float32)


def close(
    outside: Outside,
    network: Network,
    places: list[int],
    lanes: list[int],
    during: Floats,
    closed_share: float = 1.0,
) -> Outside:
    """Close places (they neither receive, sell nor send) and lanes, to a share, in a span [period, replication or 1]."""
    shut = {network.nodes[place].name for place in places}
    ways = sorted({*lanes, *(e for e, lane in enumerate(network.lanes) if lane.origin in shut)})
    openness = 1 - np.float32(closed_share) * during
    changed = outside
    inside = [place for place in places if network.nodes[place].kind != "supplier"]
    if inside:
        changed = _scaled(changed, "node_open", len(network.nodes), inside, openness)
    if ways:
        changed = _scaled(changed, "lane_open", len(network.lanes), ways, openness)
    return changed


def stop_orders(outside: Outside, network: Network, lanes: list[int], during: Floats) -> Outside:
    """Let no order be placed on lanes in the periods that the span touches: the ERP is down."""
    return _scaled(outside, "can_order", len(network.lanes), lanes, (during <= 0).astype(np.float32))


def stretch(
    outside: Outside,
    network: Network,
    lanes: list[int],
    during: Floats,
    factor: float = 1.0,
    more_periods: int = 0,
) -> Outside:
    """Let what leaves on lanes in the span be under way longer: times a factor, and some periods more."""
    lead = outside.lead
    if lead is None:
        fixed = np.array([round(lane.lead_time.mean) for lane in network.lanes], np.int32)
        lead = np.broadcast_to(fixed[None, :, None, None], (outside.periods, len(fixed), 1, 1))
    wide = np.broadcast_to(lead, (*lead.shape[:3], max(lead.shape[3], during.shape[1]))).copy()
    longer = np.ceil(wide[:, lanes] * factor - 1e-6).astype(np.int32) + more_periods
    wide[:, lanes] = np.where(during[:, None, None, :] > 0, longer, wide[:, lanes])
    return replace(outside, lead=wide)


def reroute(outside: Outside, network: Network, lost: list[int], from_period: int) -> Outside:
    """Order elsewhere what would be ordered on `lost` lanes, from a period on: the other lanes share it equally."""
    share = np.stack([network.per_item(lane.share) * network.carried(lane) for lane in network.lanes]).astype(
        np.float32
    )
    later = share.copy()
    for destination in {network.lanes[e].destination for e in lost}:
        into = [e for e, lane in enumerate(network.lanes) if lane.destination == destination]
        others = [e for e in into if e not in lost]
        if not others:
            continue
        carried = np.stack([network.carried(network.lanes[e]) for e in others])
        gone = share[[e for e in into if e in lost]].sum(0)
        there, can = share[others], carried.sum(0) > 0
        total = there.sum(0)
        # in proportion to what they have already; equally where they had nothing
        spread = np.where(total > 0, there / np.maximum(total, 1e-9), carried / np.maximum(carried.sum(0), 1))
        later[others] = there + spread * gone
        for e in into:
            if e in lost:
                later[e] = np.where(can, 0, share[e])
    known = (
        outside.share
        if outside.share is not None
        else np.broadcast_to(share[None, ..., None], (outside.periods, *share.shape, 1))
    )
    changed = known.copy()
    changed[from_period:] = later[None, ..., None]
    return replace(outside, share=changed)


def scale_price(
    outside: Outside, network: Network, name: str, lanes: list[int], during: Floats, factor: float
) -> Outside:
    """Change what freight (`freight_factor`) or fuel (`fuel_factor`) costs on lanes, in whole or part of a span."""
    return _scaled(outside, name, len(network.lanes), lanes, 1 + (np.float32(factor) - 1) * during[:, :1])


def scale_demand(
    outside: Outside,
    places: list[int],
    items: list[int],
    during: Floats,
    factor: float,
    luck: np.random.Generator,
) -> Outside:
    """Multiply demand, in whole units: fractions are rounded up with their own probability, by luck of their own."""
    part = np.ix_(range(outside.periods), places, items)
    demand = outside.demand.copy()
    by = 1 + (np.float32(factor) - 1) * during[:, None, None, :]
    scaled = demand[part] * by
    whole = np.floor(scaled + luck.random(scaled.shape, np.float32) * np.float32(0.999))
    is_whole = bool((demand == np.floor(demand)).all())
    demand[part] = whole if is_whole else scaled
    return replace(outside, demand=demand)


def reprice(
    outside: Outside,
    network: Network,
    items: list[int],
    during: Floats,
    factor: float,
    elasticity: float,
    luck: np.random.Generator,
) -> Outside:
    """Change the price of items; demand follows with a constant elasticity: units x factor ** elasticity."""
    shape = (outside.periods, len(network.nodes), len(network.items), 1)
    known = outside.price_factor if outside.price_factor is not None else np.ones(shape, np.float32)
    price = known.copy()
    price[:, :, items] *= 1 + (np.float32(factor) - 1) * during[:, None, None, :1]
    places = [at for at, node in enumerate(network.nodes) if node.has_demand]
    changed = scale_demand(outside, places, items, during, float(factor) ** elasticity, luck)
    return replace(changed, price_factor=price)


def recall(outside: Outside, network: Network, items: list[int], during: Floats) -> Outside:
    """Scrap what there is of items at every place and what still arrives in the span; nothing is ordered meanwhile."""
    shape = (outside.periods, len(network.nodes), len(network.items), during.shape[1])
    known = (
        np.zeros(shape, np.float32)
        if outside.inflow is None
        else np.broadcast_to(outside.inflow, shape).copy()
    )
    hit = during[:, None, None, :] > 0
    known[:, :, items] = np.where(hit, EVERYTHING, known[:, :, items])
    stopped = np.ones((outside.periods, len(network.lanes), len(network.items), during.shape[1]), np.float32)
    stopped[:, :, items] = (during[:, None, None, :] <= 0).astype(np.float32)
    orders = stopped if outside.can_order is None else stopped * outside.can_order
    return replace(outside, inflow=known, can_order=orders.astype(np.float32))


def _scaled(outside: Outside, name: str, width: int, at: list[int], factor: Floats) -> Outside:
    """Multiply an array [period, node or lane, item or 1, replication or 1] by [period, replication or 1] in places."""
    known = getattr(outside, name)
    if known is None:
        known = np.ones((outside.periods, width, 1, 1), np.float32)
    wide = np.broadcast_to(known, (*known.shape[:3], max(known.shape[3], factor.shape[1]))).copy()
    wide[:, at] *= factor[:, None, None, :]
    return replace(outside, **{name: wide})
