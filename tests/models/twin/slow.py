"""The twin's rules again, in plain Python over dictionaries, one replication at a time: an oracle, slow and separate.

Written from ADR 0020, not from the simulator; it shares nothing with it but the description of the network. Stock is a
list of (age, units), oldest first.
"""

import math
from collections import defaultdict

import numpy as np

from models.twin.network import Network, levels


class Slow:
    def __init__(self, network: Network, rules, level: np.ndarray, *, use_echelon=False, outside=None):
        """`level` [node, item] is the base-stock level; `outside` holds the paths by name, in the network's order."""
        self.n, self.rules, self.level, self.use_echelon = network, rules, level, use_echelon
        self.outside = outside or {}
        self.items = range(len(network.items))
        self.depth = levels(network)
        self.places = [node for node in network.nodes if node.kind != "supplier"]
        self.index = {node.name: i for i, node in enumerate(network.nodes)}
        self.life = None if network.shelf_life is None else network.per_item(network.shelf_life)
        finite = [] if self.life is None else [a for a in self.life if np.isfinite(a)]
        self.oldest = max(finite, default=1) - 1
        self.stock = {}
        self.backlog = defaultdict(float)
        self.owed = defaultdict(float)
        self.way = []  # (due, lane, item, age, units)
        for node in self.places:
            for i in self.items:
                self.stock[node.name, i] = [[0, float(network.per_item(node.on_hand)[i])]]
        for e, lane in enumerate(network.lanes):
            if lane.in_transit is not None:
                for k, units in enumerate(lane.in_transit):
                    for i in self.items:
                        if network.carried(lane)[i] and units[i]:
                            self.way.append([k, e, i, 0, float(units[i])])
        self.log = defaultdict(float)

    def value(self, name, t, *index, default=1.0):
        array = self.outside.get(name)
        return default if array is None else float(array[(t, *index)])

    def held(self, name, i):
        return sum(units for _, units in self.stock[name, i])

    def whole(self, x):
        return math.floor(x + 1e-4) if self.rules.whole_units else x

    def take(self, name, i, units):
        """Take the oldest; return [(age, units)]."""
        taken, queue = [], sorted(self.stock[name, i], key=lambda b: -b[0])
        for bucket in queue:
            part = min(bucket[1], units)
            if part > 0:
                taken.append((bucket[0], part))
                bucket[1] -= part
                units -= part
        self.stock[name, i] = [b for b in queue if b[1] > 0]
        return taken

    def period(self, t):
        self.t = t
        self.demand, self.sold, self.lost = {}, {}, {}  # of this period
        self.receive()
        if self.rules.sequence == "demand_then_order":
            self.serve()
        self.decide()
        self.ship()
        if self.rules.sequence == "order_then_demand":
            self.serve()
        self.age()
        return self

    def receive(self):
        self.arrived, still = defaultdict(float), []
        here = defaultdict(float)
        for due, e, i, age, units in self.way:
            if due == self.t:
                here[e, i, min(age, self.oldest)] += units  # beyond all shelf lives age says nothing
            else:
                still.append([due, e, i, age, units])
        for (e, i, age), units in here.items():
            to = self.n.lanes[e].destination
            now = units
            if "node_open" in self.outside:
                now = self.whole(units * self.value("node_open", self.t, self.index[to]))
            if now:
                self.stock[to, i].append([age, now])
                self.arrived[e, i] += now
            if units > now:
                still.append([self.t + 1, e, i, age, units - now])
        self.way = still
        self.inflow = defaultdict(float)
        if "inflow" in self.outside:
            for node in self.places:
                for i in self.items:
                    extra = max(
                        self.value("inflow", self.t, self.index[node.name], i), -self.held(node.name, i)
                    )
                    self.inflow[node.name, i] = extra
                    if extra > 0:
                        self.stock[node.name, i].append([0, extra])
                    elif extra < 0:
                        self.take(node.name, i, -extra)

    def serve(self):
        for node in self.places:
            if not node.has_demand:
                continue
            place = self.index[node.name]
            unmet, left = {}, {}
            for i in self.items:
                d = self.value("demand", self.t, place, i)
                b = self.backlog[node.name, i]
                can = d + b
                if "node_open" in self.outside:
                    can = self.whole(can * self.value("node_open", self.t, place))
                s = min(self.held(node.name, i), can)
                self.demand[node.name, i], self.sold[node.name, i] = d, s
                unmet[i], left[i] = d + b - s, self.held(node.name, i) - s
            extra = defaultdict(float)
            if self.n.substitute is not None:
                for i, j in enumerate(self.n.substitute):
                    if j >= 0:
                        turning = min(unmet[i], self.demand[node.name, i])
                        turn = min(
                            left[j], self.whole(turning * self.n.per_item(self.n.substitution_share)[i])
                        )
                        extra[j] += turn
                        unmet[i] -= turn
            for i in self.items:
                self.sold[node.name, i] += extra[i]
                self.take(node.name, i, self.sold[node.name, i])
                share = self.n.per_item(node.backlog_share)[i]
                fresh = min(unmet[i], self.demand[node.name, i])
                waits = unmet[i] - fresh + (self.whole(fresh * share) if share else 0)
                self.backlog[node.name, i] = waits
                self.lost[node.name, i] = unmet[i] - waits

    def under_way(self, name, i):
        return sum(u for _, e, item, _, u in self.way if item == i and self.n.lanes[e].destination == name)

    def echelon(self, name, i):
        total = self.held(name, i) - self.backlog[name, i] + self.under_way(name, i)
        for _e, lane in enumerate(self.n.lanes):
            if lane.origin == name and self.n.carried(lane)[i]:
                below = self.echelon(lane.destination, i)
                total += below * self.n.per_item(lane.share)[i]
        return total

    def decide(self):
        self.ordered, self.asked = {}, {}
        for node in sorted(self.places, key=lambda p: -self.depth[p.name]):
            into = [e for e, lane in enumerate(self.n.lanes) if lane.destination == node.name]
            for i in self.items:
                owed_in = sum(self.owed[e, i] for e in into)
                owes = sum(
                    self.asked[e, i] for e, lane in enumerate(self.n.lanes) if lane.origin == node.name
                )
                if self.use_echelon:
                    position = self.echelon(node.name, i) + owed_in
                else:
                    position = (
                        self.held(node.name, i)
                        + self.under_way(node.name, i)
                        + owed_in
                        - self.backlog[node.name, i]
                        - owes
                    )
                for e in into:
                    lane = self.n.lanes[e]
                    q = 0.0
                    if self.n.carried(lane)[i]:
                        need = (
                            max(self.level[self.index[node.name], i] - position, 0)
                            * self.n.per_item(lane.share)[i]
                        )
                        minimum, pack = self.n.per_item(lane.minimum)[i], self.n.per_item(lane.pack)[i]
                        if need > 1e-4:
                            need = max(need, minimum)
                        q = (
                            math.ceil(need / pack - 1e-4) * pack
                            if self.rules.whole_units or pack != 1
                            else need
                        )
                        q *= self.value("can_order", self.t, e)
                    self.ordered[e, i] = q
                    self.asked[e, i] = q + self.owed[e, i]

    def ship(self):
        self.shipped = {(e, i): 0.0 for e in range(len(self.n.lanes)) for i in self.items}
        kind = {node.name: node.kind for node in self.n.nodes}
        for node in sorted(self.n.nodes, key=lambda p: (self.depth[p.name], self.index[p.name])):
            out = [e for e in self.lane_order() if self.n.lanes[e].origin == node.name]
            give = {}
            for i in self.items:
                asks = {e: self.asked[e, i] for e in out}
                if "row_open" in self.outside:
                    packs = {e: self.n.per_item(self.n.lanes[e].pack)[i] for e in out}
                    asks = {e: a * self.value("row_open", self.t, e) for e, a in asks.items()}
                    if self.rules.whole_units:
                        asks = {e: math.floor(a / packs[e] + 1e-4) * packs[e] for e, a in asks.items()}
                given = asks if kind[node.name] == "supplier" else self.share_out(node.name, i, asks)
                for e in out:
                    give[e, i] = given[e]
            for e in out:
                lane = self.n.lanes[e]
                total = sum(give[e, i] for i in self.items)
                if math.isfinite(lane.capacity) and total > 0:
                    factor = min(1, lane.capacity / total)
                    for i in self.items:
                        pack = self.n.per_item(lane.pack)[i]
                        cut = give[e, i] * factor
                        give[e, i] = math.floor(cut / pack + 1e-4) * pack if self.rules.whole_units else cut
            for i in self.items:
                for e in out:
                    self.leave(node, e, i, give[e, i], kind[node.name] == "supplier")
        for key in self.asked:
            self.owed[key] = (
                self.asked[key] - self.shipped[key] if self.rules.unfilled_orders == "wait" else 0.0
            )

    def leave(self, node, e, i, units, is_supplier):
        self.shipped[e, i] = units
        if units <= 0:
            return
        parts = [(0, units)] if is_supplier else self.take(node.name, i, units)
        lead = int(self.value("lead", self.t, e, default=round(self.n.lanes[e].lead_time.mean)))
        for age, part in parts:
            if lead == 0:
                self.stock[self.n.lanes[e].destination, i].append([age, part])
            else:
                self.way.append([self.t + lead, e, i, age, part])

    def lane_order(self):
        """Ways out of a place in the order of where they lead: by level, then place, then lane."""

        def key(e):
            lane = self.n.lanes[e]
            node = self.n.node(lane.destination)
            first = next(way.origin for way in self.n.lanes if way.destination == lane.destination)
            return (
                self.depth[lane.destination],
                node.has_demand,
                self.index[first],
                self.index[lane.destination],
                e,
            )

        return sorted(range(len(self.n.lanes)), key=key)

    def share_out(self, name, i, asks):
        if not asks:
            return {}
        there, total = self.held(name, i), sum(asks.values())
        rule = self.rules.allocation
        packs = {e: self.n.per_item(self.n.lanes[e].pack)[i] for e in asks}
        if len(asks) == 1 or rule == "priority":
            target = dict(asks)
        elif rule == "proportional":
            target = {e: a * min(1, there / total) if total else 0 for e, a in asks.items()}
        else:
            target = self.same_cover(asks, min(there, total), i)
        given, entitled = {}, 0.0
        for e, a in asks.items():
            entitled += target[e]
            g = min(entitled, a, there)
            if self.rules.whole_units:
                g = math.floor(g / packs[e] + 1e-4) * packs[e]
            elif rule == "priority":
                g = min(a, there)
            else:
                g = target[e] if len(asks) > 1 else min(a, there)
            given[e] = g
            entitled -= g
            there -= g
        return given

    def same_cover(self, asks, there, i):
        ends = {e: self.n.lanes[e].destination for e in asks}
        position = {
            e: self.held(end, i) + sum(u for _, f, item, _, u in self.way if f == e and item == i)
            for e, end in ends.items()
        }
        weight = {e: self.demand.get((end, i), 0) + 0.1 for e, end in ends.items()}
        low, high = (
            min(position[e] / weight[e] for e in asks),
            max((position[e] + asks[e]) / weight[e] for e in asks),
        )
        for _ in range(60):
            middle = (low + high) / 2
            given = sum(min(max(middle * weight[e] - position[e], 0), asks[e]) for e in asks)
            low, high = (low, middle) if given > there else (middle, high)
        return {e: min(max(low * weight[e] - position[e], 0), asks[e]) for e in asks}

    def age(self):
        self.wasted = defaultdict(float)
        if self.life is None or not np.isfinite(self.life).any():
            return
        for (name, i), buckets in self.stock.items():
            for bucket in buckets:
                bucket[0] += 1
                if bucket[0] >= self.life[i]:
                    self.wasted[name, i] += bucket[1]
            self.stock[name, i] = [b for b in buckets if b[0] < self.life[i]]
        still = []
        for due, e, i, age, units in self.way:
            if age + 1 >= self.life[i]:
                self.wasted[self.n.lanes[e].destination, i] += units
            else:
                still.append([due, e, i, age + 1, units])
        self.way = still
