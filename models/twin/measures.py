"""What is counted of a period: units moved, and what they cost. Money is in the network's currency."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from models.twin.grouping import lane_spread, lane_sum
from models.twin.layout import Layout, PerLevel
from models.twin.numbers import Numbers
from models.twin.rounding import is_some
from models.twin.state import Paths, Rules

if TYPE_CHECKING:
    from models.twin.period import Period

Array = jax.Array

COST_PARTS = (
    "holding", "pipeline_holding", "shortage", "ordering", "freight", "purchase", "waste", "revenue",
)  # fmt: skip
"""Parts of the cost; revenue is a gain, profit is revenue less all others."""


class Flows(NamedTuple):
    """Units of one period per level: [place or row, item, replication]; None where there is nothing of the kind."""

    demand: PerLevel
    sold: PerLevel
    lost: PerLevel
    on_hand: PerLevel
    """At the end of the period."""
    backlog: PerLevel
    ordered: PerLevel
    shipped: PerLevel
    arrived: PerLevel
    in_transit: PerLevel
    inflow: PerLevel
    wasted: PerLevel
    cycles: PerLevel
    """1 where a replenishment cycle ended, and where customers had gone short in it."""
    short_cycles: PerLevel

    @classmethod
    def of(cls, period: "Period") -> "Flows":
        """Read them off a period that has ended."""
        ages = period.layout.ages
        summed = [None if each is None else (each.sum(0) if ages else each) for each in period.on_hand]
        arrived = [None if each is None else (each.sum(0) if ages else each) for each in period.arrived]
        return cls(
            *map(
                tuple,
                (
                    period.demand, period.sold, period.lost, summed, period.backlog, period.ordered, period.shipped,
                    arrived, period.in_transit, period.inflow, period.wasted,
                    period.cycles, period.short_cycles,
                ),
            )
        )  # fmt: skip


def freight(numbers: Numbers, flows: Flows, now: Paths, at: int, rules: Rules) -> tuple[Array, Array] | None:
    """Return the freight of each lane [row, lane of the row, replication] and its share per item [row, item, replication].

    A shipment costs max(kg x rate, minimum charge) + a fixed amount, times what freight and fuel cost against today;
    items share it by weight.
    """
    if numbers.freight_per_kg is None and numbers.minimum_charge is None and numbers.shipment_cost is None:
        return None
    weight = flows.shipped[at] * numbers.weight_kg
    kg = lane_sum(weight, numbers.member)
    charge = kg * _or(numbers.freight_per_kg, 0.0)
    if numbers.minimum_charge is not None:
        charge = jnp.maximum(charge, numbers.minimum_charge * is_some(kg, rules.rounding))
    if numbers.shipment_cost is not None:
        charge = charge + numbers.shipment_cost * is_some(kg, rules.rounding)
    if now.freight_factor is not None and now.freight_factor[at] is not None:
        charge = charge * now.freight_factor[at]
    if now.fuel_factor is not None and now.fuel_factor[at] is not None and numbers.fuel_share is not None:
        charge = charge * (1 + numbers.fuel_share * (now.fuel_factor[at] - 1))
    return charge, weight * lane_spread(charge / jnp.maximum(kg, 1e-9), numbers.member)


def costs(layout: Layout, numbers: PerLevel, flows: Flows, now: Paths, rules: Rules) -> dict[str, Array]:
    """Return each part of the period's cost that the network has, summed over places and items: [replication]."""
    found: dict[str, Array] = {}

    def add(part: str, amount: Array | None) -> None:
        if amount is not None:
            found[part] = found.get(part, jnp.zeros(())) + amount.sum((0, 1))

    for at in range(1, len(layout.levels)):
        known, first = numbers[at], layout.levels[at].demand_from
        add("holding", _times(known.holding, flows.on_hand[at]))
        add("pipeline_holding", _times(known.pipeline_holding, flows.in_transit[at]))
        add("purchase", _times(known.unit_cost, flows.shipped[at]))
        add("waste", _times(known.waste, flows.wasted[at]))
        if flows.sold[at] is not None:
            price = None if known.price is None else known.price[first:]
            if price is not None and now.price_factor is not None and now.price_factor[at] is not None:
                price = price * now.price_factor[at][first:]
            add("revenue", _times(price, flows.sold[at]))
            short = flows.lost[at] if flows.backlog[at] is None else flows.lost[at] + flows.backlog[at]
            add("shortage", _times(None if known.shortage is None else known.shortage[first:], short))
        if known.order_cost is not None:
            add(
                "ordering",
                known.order_cost * is_some(lane_sum(flows.ordered[at], known.member), rules.rounding),
            )
        charged = freight(known, flows, now, at, rules)
        add("freight", None if charged is None else charged[0])
    return found


def totals(layout: Layout, numbers: PerLevel, flows: Flows, now: Paths, rules: Rules) -> dict[str, PerLevel]:
    """Return what `rules.record` asks to be summed over periods."""
    found: dict[str, PerLevel] = {}
    for name in rules.record:
        if name == "short_periods":
            found[name] = tuple(
                None if lost is None else ((lost if waits is None else lost + waits) > 0).astype(jnp.float32)
                for lost, waits in zip(flows.lost, flows.backlog, strict=True)
            )
        elif name == "freight":
            charged = [
                None,
                *(freight(numbers[at], flows, now, at, rules) for at in range(1, len(layout.levels))),
            ]
            found[name] = tuple(None if each is None else each[1] for each in charged)
        else:
            found[name] = getattr(flows, name)
    return found


def daily(layout: Layout, flows: Flows, rules: Rules) -> dict[str, PerLevel]:
    """Return what is kept of the period: every flow as it is, or summed over items [place or row, replication]."""
    if rules.daily == "none":
        return {}
    if rules.daily == "cells":
        return dict(flows._asdict())
    names = ("demand", "sold", "lost", "on_hand", "shipped", "arrived")
    return {
        name: tuple(None if each is None else each.sum(1) for each in getattr(flows, name)) for name in names
    }


def _times(price: Array | None, units: Any) -> Array | None:
    return None if price is None or units is None else price * units


def _or(value: Array | None, other: float) -> Array | float:
    return other if value is None else value
