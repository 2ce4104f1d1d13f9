"""One period: receive, serve customers, decide, ship, age, count. ADR 0020 says why in this order.

Orders are decided from the customers' end upwards, so that a place sees what the places fed from it ask for in the same
period; goods leave from the outside downwards, so that a lead time of 0 passes through.
"""

from typing import Any

import jax
import jax.numpy as jnp

from models.twin import ageing
from models.twin.allocation import allocate
from models.twin.grouping import front, lane_spread, lane_sum, of, spread, sum_to
from models.twin.layout import Layout, Level, PerLevel, take
from models.twin.measures import Flows
from models.twin.numbers import Numbers
from models.twin.rounding import acceptable, floor_to
from models.twin.state import LevelState, Observation, Paths, Policy, Rules

Array = jax.Array


class Period:
    """The moving state within one period; every method is one step of it. Traced once per compiled program."""

    def __init__(self, layout: Layout, rules: Rules, numbers: PerLevel, state: PerLevel, now: Paths) -> None:
        """Begin a period with the state that the one before left; `now` is what comes from outside in it."""
        self.layout, self.rules, self.numbers, self.now = layout, rules, numbers, now
        self.indices = range(1, len(layout.levels))
        self.start: list[Any] = list(state)
        self.on_hand = [level and level.on_hand for level in state]
        self.backlog = [level and level.backlog for level in state]
        self.owed = [level and level.owed for level in state]
        self.in_transit = [level and level.in_transit for level in state]
        blank: list[Any] = [None] * len(state)
        self.arrived, self.waiting, self.demand, self.sold, self.lost = (list(blank) for _ in range(5))
        self.ordered, self.asked, self.shipped, self.inflow, self.wasted = (list(blank) for _ in range(5))
        self.dispatched, self.seen, self.cycles, self.short_cycles = (list(blank) for _ in range(4))

    def receive(self) -> None:
        """Take in what arrives; a closed place takes it in when it is open again."""
        for at in self.indices:
            level, state = self.layout.levels[at], self.start[at]
            if level.horizon:
                came = state.pipeline[0]
                doors = of(self.now.node_open, at)
                if doors is not None:
                    now = self._floor(came * level.to_rows(doors))
                    self.waiting[at], came = came - now, now
                self.arrived[at] = came
                self.in_transit[at] = self.in_transit[at] - ageing.total(came, self.layout)
                self.on_hand[at] = self.on_hand[at] + ageing.to_nodes(came, level, self.layout)
            extra = of(self.now.inflow, at)
            if extra is not None:
                held = ageing.total(self.on_hand[at], self.layout)
                self.inflow[at] = jnp.maximum(extra, -held)
                self.on_hand[at] = ageing.shift_stock(self.on_hand[at], self.inflow[at], self.layout)

    def serve(self) -> None:
        """Sell to customers: those who wait first, then today's, then those whose item is out take its substitute."""
        for at in self.indices:
            level, demand = self.layout.levels[at], of(self.now.demand, at)
            if demand is None:
                continue
            first, backlog = level.demand_from, self.backlog[at]
            there = ageing.total(self.on_hand[at], self.layout)[first:]
            asked = demand if backlog is None else demand + backlog
            doors = of(self.now.node_open, at)
            servable = asked if doors is None else self._floor(asked * doors[first:])
            sold = jnp.minimum(there, servable)
            unmet = asked - sold
            if self.layout.substitute is not None:
                extra, turned = self._substitute(
                    there - sold, unmet if backlog is None else jnp.minimum(unmet, demand), at
                )
                sold, unmet = sold + extra, unmet - turned
            if backlog is not None:
                share = self.numbers[at].backlog_share[first:]
                fresh = jnp.minimum(unmet, demand)
                waits = (unmet - fresh) + self._floor(fresh * share)
                self.backlog[at], self.lost[at] = waits, unmet - waits
            else:
                self.lost[at] = unmet
            self.demand[at], self.sold[at] = demand, sold
            self.on_hand[at] = ageing.take_out(self.on_hand[at], front(sold, level), self.layout)

    def _substitute(self, left: Array, unmet: Array, at: int) -> tuple[Array, Array]:
        """Return (sold of each item to customers of another, unmet of each item that so was met)."""
        target = self.layout.substitute or ()
        share = self.numbers[at].substitution_share
        source = jnp.array(
            [target.index(item) if item in target else -1 for item in range(self.layout.items)]
        )
        turning = self._floor(unmet * share)
        wanted = jnp.where((source >= 0)[:, None], turning[:, source], 0)
        sold = jnp.minimum(left, wanted)
        to = jnp.array(target)
        return sold, jnp.where((to >= 0)[:, None], sold[:, to], 0)

    def decide(self, policy: Policy, parameters: Any, period: Array) -> None:
        """Let the policy order, level by level from the customers upwards."""
        incoming: list[Any] = [None] * len(self.layout.levels)
        echelon: list[Any] = [None] * len(self.layout.levels)
        for at in reversed(self.indices):
            level, numbers = self.layout.levels[at], self.numbers[at]
            stock, under_way, owed = self._stock(at), self.in_transit[at], self.owed[at]
            coming = under_way if owed is None else under_way + owed
            backlog = front(self.backlog[at], level)
            owes = incoming[at]
            held = stock - backlog if self.backlog[at] is not None else stock
            position = held + level.to_nodes(coming)
            position = position if owes is None else position - owes
            own = held + level.to_nodes(under_way)
            below = echelon[at]
            whole = own if below is None else own + below
            at_echelon = whole if owed is None else whole + level.to_nodes(owed)
            demand = front(self.demand[at], level)
            seen = demand if owes is None else demand + owes
            share = of(self.now.share, at)
            share = numbers.share if share is None else share
            memory = self._remember(at, seen)
            features = of(self.now.features, at)
            wide = level.to_rows
            orders = policy(
                parameters,
                Observation(
                    level=at,
                    structure=level,
                    period=period,
                    on_hand=wide(stock),
                    in_transit=wide(level.to_nodes(under_way)),
                    row_in_transit=coming,
                    position=wide(position),
                    echelon_position=wide(at_echelon),
                    backlog=wide(backlog) if self.backlog[at] is not None else jnp.zeros((), stock.dtype),
                    incoming=wide(seen),
                    demand=wide(demand),
                    share=1.0 if share is None else share,
                    pipeline=self._pipeline_seen(at) if self.rules.see_pipeline else None,
                    memory=None if memory is None else jax.vmap(wide)(memory),
                    features=None if features is None else jax.vmap(wide)(features),
                    numbers=numbers,
                ),
            )
            ordered = acceptable(
                orders,
                numbers.pack,
                numbers.minimum,
                rounding=self.rules.rounding,
                whole_units=self.rules.whole_units,
                to_nearest=self.rules.order_to_nearest,
            )
            allowed = of(self.now.can_order, at)
            self.ordered[at] = ordered if allowed is None else ordered * allowed
            self.asked[at] = self.ordered[at] if owed is None else self.ordered[at] + owed
            self._pass_up(at, incoming, echelon, whole, share)

    def _pass_up(
        self, at: int, incoming: list[Any], echelon: list[Any], whole: Array, share: Array | None
    ) -> None:
        """Add what the rows into a level ask, and hold below, to the places that feed them."""
        level = self.layout.levels[at]
        below = level.to_rows(whole)
        below = below if share is None else below * share
        for origin in range(1, at):
            rows = tuple(row for row, (where, _) in enumerate(level.row_origin) if where == origin)
            if rows:
                to = tuple(level.row_origin[row][1] for row in rows)
                size = self.layout.levels[origin].size
                for target, values in ((incoming, self.asked[at]), (echelon, below)):
                    added = sum_to(take(values, rows), to, size)
                    target[origin] = added if target[origin] is None else target[origin] + added

    def ship(self) -> None:
        """Let goods leave: all that is asked from suppliers, what there is from everybody else."""
        for at in self.indices:
            rows = tuple(
                row for row, origin in enumerate(self.layout.levels[at].row_origin) if origin[0] == 0
            )
            if rows:
                self._leave(at, rows, self._capped(at, rows, take(self._sendable(at), rows)))
        for at in self.indices:
            outflow = self.layout.outflows[at]
            self._arrive_at_once(at)
            if outflow is None:
                continue
            sendable = [
                None if index == 0 else self._sendable(index) for index in range(len(self.layout.levels))
            ]
            asked = outflow.gather(sendable)
            there = take(self._stock(at), outflow.origins)
            sent = self._share_out(outflow, asked, there)
            for index, rows, part in outflow.scatter(sent):
                self._leave(index, rows, self._capped(index, rows, part))
            # what capacity held back has not left: take out what was sent in the end
            gone = outflow.gather(self.shipped).sum(1) if self._has_capacity(outflow) else sent.sum(1)
            gone = spread(gone, outflow.origins, self.layout.levels[at].size)
            self._load(at, gone)
        for at in self.indices:
            if self.shipped[at] is None:
                self.shipped[at] = jnp.zeros_like(self.ordered[at])
            if self.owed[at] is not None:
                self.owed[at] = self.asked[at] - self.shipped[at]

    def _share_out(self, outflow: Any, asked: Array, there: Array) -> Array:
        rules = self.rules
        packs = [None if n is None else n.pack for n in self.numbers]
        pack = None
        if any(packs[index] is not None for index, _ in outflow.parts):
            ones = [
                None if n is None else jnp.ones((level.rows, self.layout.items, 1))
                for n, level in zip(self.numbers, self.layout.levels, strict=True)
            ]
            filled = [one if each is None else each for each, one in zip(packs, ones, strict=True)]
            pack = jnp.maximum(outflow.gather(filled), 1)
        position = weight = None
        if rules.allocation == "fair_share":
            held = [
                None
                if index == 0
                else self.layout.levels[index].to_rows(self._stock(index)) + self.in_transit[index]
                for index in range(len(self.layout.levels))
            ]
            position = outflow.gather(held)
            weight = outflow.gather(
                [None if index == 0 else self.fair_weight(index) for index in range(len(self.layout.levels))]
            )
        return allocate(
            asked,
            there,
            rule=rules.allocation,
            pack=pack,
            whole_units=rules.whole_units,
            rounding=rules.rounding,
            position=position,
            weight=weight,
        )

    def fair_weight(self, at: int) -> Array:
        """Return what fair shares are fair about: the demand of the period seen so far, and a tenth of a unit."""
        level = self.layout.levels[at]
        return level.to_rows(jnp.zeros_like(self._stock(at)) + front(self.demand[at], level) + 0.1)

    def _sendable(self, at: int) -> Array:
        """Return what is asked by the rows into a level, less what closed origins and lanes hold back."""
        doors = of(self.now.row_open, at)
        asked: Array = self.asked[at]
        if doors is None:
            return asked
        part = asked * doors
        return floor_to(part, self.numbers[at].pack, self.rules.rounding) if self.rules.whole_units else part

    def _capped(self, at: int, rows: tuple[int, ...], sent: Array) -> Array:
        """Cut what leaves to the capacity of each lane, all items alike."""
        numbers: Numbers = self.numbers[at]
        if numbers.capacity is None:
            return sent
        member = None if numbers.member is None else take(numbers.member, rows)
        total = lane_sum(sent, member)
        factor = jnp.minimum(1, take(numbers.capacity, rows) / jnp.maximum(total, 1e-9))
        cut = sent * lane_spread(factor, member)
        if not self.rules.whole_units:
            return cut
        return floor_to(cut, None if numbers.pack is None else take(numbers.pack, rows), self.rules.rounding)

    def _has_capacity(self, outflow: Any) -> bool:
        return any(self.numbers[index].capacity is not None for index, _ in outflow.parts)

    def _leave(self, at: int, rows: tuple[int, ...], sent: Array) -> None:
        level = self.layout.levels[at]
        if len(rows) == level.rows:
            self.shipped[at] = sent
            return
        blank = self.shipped[at] if self.shipped[at] is not None else jnp.zeros_like(self.asked[at])
        self.shipped[at] = blank.at[jnp.array(rows)].set(sent)

    def _load(self, at: int, gone: Array) -> None:
        """Take what leaves a level from its stock; where units age, remember of which age it is."""
        if self.layout.ages:
            self.dispatched[at] = ageing.composition(self, at)
        self.on_hand[at] = ageing.take_out(self.on_hand[at], gone, self.layout)

    def _arrive_at_once(self, at: int) -> None:
        """Put what was sent to a level with lead time 0 into its stock."""
        level = self.layout.levels[at]
        if level.shortest_lead > 0 and level.horizon:
            return
        sent = ageing.sent_by_age(self, at)
        lead = self._lead(at)
        now = sent if lead is None else jnp.where(lead == 0, sent, 0)
        self.on_hand[at] = self.on_hand[at] + ageing.to_nodes(now, level, self.layout)

    def _lead(self, at: int) -> Array | None:
        """Return the lead times of what leaves now; None: the level's one lead time."""
        drawn: Array | None = of(self.now.lead, at)
        fixed: Array | None = self.numbers[at].lead
        return drawn if drawn is not None else fixed

    def end(self) -> tuple[PerLevel, "Flows"]:
        """Move the pipelines on, let units age, and return the new state and what happened."""
        found: list[Any] = [None]
        for at in self.indices:
            level, state = self.layout.levels[at], self.start[at]
            pipeline, in_transit = self._moved(at, level, state)
            on_hand, wasted = self.on_hand[at], None
            if self.layout.ages:
                on_hand, pipeline, wasted, on_the_way = ageing.older(
                    on_hand, pipeline, self.numbers[at].life, level
                )
                in_transit = in_transit - on_the_way
            self.wasted[at], self.on_hand[at] = wasted, on_hand
            self.in_transit[at] = in_transit
            found.append(
                LevelState(
                    on_hand,
                    pipeline,
                    in_transit,
                    self.backlog[at],
                    self.owed[at],
                    self._remembered(at),
                    self._cycle(at),
                )
            )
        return tuple(found), Flows.of(self)

    def _cycle(self, at: int) -> Array | None:
        """End replenishment cycles where something arrived, and note who went short in the one that goes on."""
        short = self.start[at].short
        if short is None or self.lost[at] is None:
            return None
        level = self.layout.levels[at]
        came = self.arrived[at]
        ends = jnp.zeros_like(short)
        if came is not None:
            ends = (level.to_nodes(ageing.total(came, self.layout))[level.demand_from :] > 0).astype(
                short.dtype
            )
        self.cycles[at], self.short_cycles[at] = ends, ends * short
        waits = self.lost[at] if self.backlog[at] is None else self.lost[at] + self.backlog[at]
        return jnp.maximum(short * (1 - ends), (waits > 0).astype(short.dtype))

    def _moved(self, at: int, level: Level, state: LevelState) -> tuple[Array, Array]:
        if not level.horizon:
            return state.pipeline, self.in_transit[at]
        sent = ageing.sent_by_age(self, at)
        lead = self._lead(at)
        rest = state.pipeline[1:]
        if lead is None and level.uniform_lead == level.horizon:
            pipeline = jnp.concatenate([rest, sent[None]])
            entered = self.shipped[at]
        else:
            pipeline = jnp.concatenate([rest, jnp.zeros_like(state.pipeline[:1])])
            slots = jnp.arange(1, level.horizon + 1).reshape(-1, *([1] * sent.ndim))
            due = level.uniform_lead if lead is None else lead
            pipeline = pipeline + jnp.where(slots == due, sent[None], 0)
            entered = (
                self.shipped[at] if level.shortest_lead > 0 else jnp.where(due == 0, 0, self.shipped[at])
            )
        if self.waiting[at] is not None:
            pipeline = pipeline.at[0].add(self.waiting[at])
        return pipeline, self.in_transit[at] + entered

    def _remember(self, at: int, seen: Array) -> Array | None:
        memory = self.start[at].memory
        if memory is None:
            return None
        seen = jnp.broadcast_to(seen, memory.shape[1:])
        self.seen[at] = jnp.concatenate([seen[None], memory[:-1]])
        return jnp.asarray(self.seen[at])

    def _remembered(self, at: int) -> Array | None:
        return self.seen[at] if self.start[at].memory is not None else None

    def _pipeline_seen(self, at: int) -> Array:
        """Return what is still to come, [k, row, item, replication]: k = 0 arrives with the next receipt."""
        rest: Array = self.start[at].pipeline[1:]
        if self.waiting[at] is not None and self.layout.levels[at].horizon > 1:
            rest = rest.at[0].add(self.waiting[at])
        return rest.sum(1) if self.layout.ages else rest

    def _stock(self, at: int) -> Array:
        return ageing.total(self.on_hand[at], self.layout)

    def _floor(self, value: Array) -> Array:
        return floor_to(value, None, self.rules.rounding) if self.rules.whole_units else value
