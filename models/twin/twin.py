"""A company's twin: its network, its policy and its demand as of one release; kept in one file, and run on scenarios."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.twin import demand as sampling
from models.twin import files
from models.twin.events import Outside
from models.twin.layout import Layout, make_layout
from models.twin.network import Lane, LeadTime, Network, Node, levels
from models.twin.numbers import make_numbers
from models.twin.policies import reorder_point
from models.twin.scenarios import Throughput
from models.twin.simulate import Outcome, run
from models.twin.state import Policy, Rules, initial_state

Floats = NDArray[np.float64]
FORMAT = 1
ROOM_STEP = 16


@dataclass(frozen=True)
class Twin:
    """Everything that a run needs; arrays are in the network's order."""

    network: Network
    release_id: str
    as_of: date
    currency: str
    reorder_point: Floats
    """[node, item]: units of stock position below which a place orders."""
    order_up_to: Floats
    echelon: Floats
    """[node, item]: 1 where the position of the place and all that it feeds counts."""
    weekdays: Floats
    """[7, lane]: 1 on the weekdays (0 Monday) on which an order is placed."""
    demand_mean: Floats
    """[day, node, item]: expected units a day from `as_of` + 1 on; its last week goes on."""
    demand_variance_ratio: Floats
    """[node, item]: variance of a day's demand over its mean."""
    notes: tuple[str, ...] = ()
    """What was assumed where the lake says nothing."""

    @property
    def flow(self) -> Floats:
        """Return units a day through each place, [node, item]: its customers' and those of the places that it feeds."""
        network = self.network
        through: Floats = self.demand_mean.mean(0)
        names, depth = network.node_names, levels(network)
        for lane in sorted(network.lanes, key=lambda each: -depth[each.destination]):
            part = (
                through[names.index(lane.destination)] * network.per_item(lane.share) * network.carried(lane)
            )
            through[names.index(lane.origin)] += part
        return through

    @property
    def throughput(self) -> Throughput:
        """Return how much flows through each place (units a day) and of each item (money a day)."""
        network = self.network
        price = np.stack([network.per_item(node.price) for node in network.nodes])
        return Throughput(self.flow.sum(1), (self.demand_mean.mean(0) * price).sum(0))

    def undisturbed(self, days: int, replications: int, seed: int, block: int = 0) -> Outside:
        """Return the world without events: customers and lead times drawn, orders on their weekdays.

        `block` numbers the blocks of replications of one question; each has its own luck.
        """
        random = np.random.default_rng([seed, 1, block])
        sellers = [at for at, node in enumerate(self.network.nodes) if node.has_demand]
        mean = sampling.prolonged(self.demand_mean[:, sellers], days)
        variance = mean * np.maximum(self.demand_variance_ratio[sellers], 1)
        units = np.zeros((days, len(self.network.nodes), len(self.network.items), replications), np.float32)
        units[:, sellers] = sampling.negative_binomial(mean, variance, days, replications, random)
        lead = sampling.lead_times(self.network, days, replications, np.random.default_rng([seed, 2, block]))
        weekday = (self.as_of.weekday() + 1 + np.arange(days)) % 7
        allowed = (
            None
            if (self.weekdays == 1).all()
            else self.weekdays[weekday][:, :, None, None].astype(np.float32)
        )
        return Outside(units, lead=None if lead is None else lead[:, :, None], can_order=allowed)

    @property
    def parameters(self) -> dict[str, Floats]:
        """Return the policy's parameters in the network's order."""
        return {"point": self.reorder_point, "level": self.order_up_to, "echelon": self.echelon}

    def simulate(
        self, outside: Outside, rules: Rules, player: "Player | None" = None
    ) -> tuple[Layout, Outcome]:
        """Run a policy on a world; without one the twin's own."""
        layout = make_layout(self.network, longest_leads=self._room(outside))
        numbers = make_numbers(self.network, layout)
        policy, parameters = own_levels(self, layout) if player is None else player(self, layout)
        state = initial_state(self.network, layout, numbers, rules)
        paths = outside.paths(self.network, layout)
        return layout, run(layout, rules, policy, parameters, numbers, state, paths)

    def _room(self, outside: Outside) -> list[int] | None:
        """Return the longest lead times where events stretch them, in steps, so that other luck is no other program."""
        longest = outside.longest_leads
        if longest is None:
            return None
        return [
            0 if lead <= max(lane.lead_time.values) else -(-lead // ROOM_STEP) * ROOM_STEP
            for lead, lane in zip(longest, self.network.lanes, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write the twin to a file (numpy's .npz: arrays and one JSON text; nothing in it is executed)."""
        arrays: dict[str, Any] = {}

        def put(where: str, value: Any) -> Any:
            if isinstance(value, np.ndarray):
                arrays[where] = value
                return {"array": where}
            return value

        def plain(where: str, thing: Any) -> dict[str, Any]:
            return {
                each.name: put(f"{where}.{each.name}", getattr(thing, each.name)) for each in fields(thing)
            }

        network = plain("network", replace(self.network, nodes=[], lanes=[]))
        network |= {
            "nodes": [plain(f"node.{i}", node) for i, node in enumerate(self.network.nodes)],
            "lanes": [
                plain(f"lane.{i}", lane) | {"lead_time": asdict(lane.lead_time)}
                for i, lane in enumerate(self.network.lanes)
            ],
        }
        text = plain("twin", self) | {"network": network, "as_of": self.as_of.isoformat(), "format": FORMAT}
        files.write(path, json.dumps(text, default=_number), arrays)

    @classmethod
    def load(cls, path: Path) -> "Twin":
        """Read a twin. Raises `InputError` where there is none, or where it is damaged or of another version."""
        with files.reading(path, "twin", "stocklake twin build", FORMAT) as (text, arrays):

            def get(value: Any) -> Any:
                return arrays[value["array"]] if isinstance(value, dict) and "array" in value else value

            network = {name: get(value) for name, value in text.pop("network").items()}
            network["nodes"] = [Node(**{k: get(v) for k, v in node.items()}) for node in network["nodes"]]
            network["lanes"] = [_lane({k: get(v) for k, v in lane.items()}) for lane in network["lanes"]]
            rest = {name: get(value) for name, value in text.items()}
            rest |= {"as_of": date.fromisoformat(rest["as_of"]), "notes": tuple(rest["notes"])}
            return cls(network=Network(**network), **rest)


Player = Callable[[Twin, Layout], tuple[Policy, Any]]
"""A policy and its parameters for a twin, whatever room its layout has for lead times."""


def own_levels(twin: Twin, layout: Layout) -> tuple[Policy, Any]:
    """Return the twin's own policy: (s, S) by what was planned."""
    return reorder_point, {name: layout.at_nodes(values) for name, values in twin.parameters.items()}


def _lane(lane: dict[str, Any]) -> Lane:
    time = lane.pop("lead_time")
    return Lane(lead_time=LeadTime(tuple(time["values"]), tuple(time["probabilities"])), **lane)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
