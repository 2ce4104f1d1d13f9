"""The worlds of a company's twin in which policies learn and are compared: undisturbed, and with each scenario's events.

All worlds of a company have arrays of the same shapes, so one compiled program plays them all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import InputError
from models.learning.promotion import NORMAL
from models.learning.stage import Stage
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.scenario_model import Scenario
from models.twin.scenarios import Applier
from models.twin.state import Paths, Rules
from models.twin.twin import ROOM_STEP, Twin

MEMORY = 14
_LOOKS = 16
RULES = Rules(unfilled_orders="cancel", record=(), demand_memory=MEMORY, see_pipeline=True)
"""As `stocklake twin run` plays; policies see two weeks of demand, and when what is under way will come."""


def seeing(rules: Rules) -> Rules:
    """Return rules by which policies see what they see here."""
    return replace(rules, demand_memory=RULES.demand_memory, see_pipeline=RULES.see_pipeline)


class Worlds:
    """Paths of a twin by scenario and seed; `normal` is the world without events."""

    def __init__(
        self,
        twin: Twin,
        scenarios: Sequence[Scenario],
        known: Mapping[str, Scenario],
        *,
        days: int,
        replications: int,
    ) -> None:
        """Make room for the longest lead time of any scenario. Raises `InputError` where one means nothing in the twin."""
        self.twin, self.known = twin, dict(known)
        self.scenarios = {each.name: each for each in scenarios}
        if NORMAL in self.scenarios:
            raise InputError(
                f"A scenario is called {NORMAL!r}, which is the world without events: call it otherwise."
            )
        self.days, self.replications = days, replications
        self.layout = make_layout(twin.network, longest_leads=self._room())
        self.stage = Stage.of(twin.network, RULES, layout=self.layout, stock_is_worth=True)

    @property
    def names(self) -> list[str]:
        """Return all worlds, the normal one first."""
        return [NORMAL, *self.scenarios]

    def paths_of(self, name: str, replications: int | None = None) -> Callable[[int], Paths]:
        """Return the paths of a world by seed: equal seeds, the same customers and lead times in every world."""
        width = replications or self.replications

        def paths(seed: int) -> Paths:
            world = self._alike(self._world(name, seed, width), width)
            return world.paths(self.twin.network, self.layout)

        return paths

    def _world(self, name: str, seed: int, replications: int, calm: Outside | None = None) -> Outside:
        calm = calm or self.twin.undisturbed(self.days, replications, seed)
        if name == NORMAL:
            return calm
        applier = Applier(self.twin.network, self.twin.throughput, self.known, seed)
        return applier.apply(self.scenarios[name], calm)

    def _room(self) -> list[int]:
        """Return room for the lead times of all scenarios: each applied to a world where all is as slow as it can be."""
        network = self.twin.network
        slowest = np.array([max(lane.lead_time.values) for lane in network.lanes], np.int32)
        shape = (self.days, len(network.nodes), len(network.items))
        still = Outside(
            np.zeros((*shape, 1), np.float32),
            lead=np.broadcast_to(slowest[None, :, None, None], (self.days, len(slowest), 1, _LOOKS)),
        )
        longest = slowest.astype(int)
        for name in self.scenarios:
            wide = replace(still, demand=np.zeros((*shape, _LOOKS), np.float32))
            changed = self._world(name, 0, _LOOKS, wide).longest_leads
            longest = np.maximum(longest, changed or 0)
        return [
            int(lead) if lead == least else int(-(-lead // ROOM_STEP) * ROOM_STEP)
            for lead, least in zip(longest, slowest, strict=True)
        ]

    def _alike(self, world: Outside, replications: int) -> Outside:
        """Return the world with every array there and of one shape for all scenarios, where it can be."""
        network = self.twin.network
        nodes, lanes, items = len(network.nodes), len(network.lanes), len(network.items)
        fixed = np.array([round(lane.lead_time.mean) for lane in network.lanes], np.int32)[
            None, :, None, None
        ]
        shares = np.stack([network.per_item(lane.share) * network.carried(lane) for lane in network.lanes])
        usual: dict[str, tuple[Any, tuple[int, int, int]]] = {
            "lead": (fixed, (lanes, 1, replications)),
            "node_open": (1.0, (nodes, 1, replications)),
            "lane_open": (1.0, (lanes, 1, replications)),
            "can_order": (1.0, (lanes, items, replications)),
            "inflow": (0.0, (nodes, items, 1)),
            "share": (shares[None, ..., None], (lanes, items, 1)),
            "freight_factor": (1.0, (lanes, 1, 1)),
            "fuel_factor": (1.0, (lanes, 1, 1)),
            "price_factor": (1.0, (nodes, items, 1)),
        }
        found: dict[str, NDArray[Any]] = {}
        for each in fields(world):
            if each.name not in usual:
                continue
            value, shape = usual[each.name]
            known = getattr(world, each.name)
            known = (
                np.asarray(value, np.float32 if each.name != "lead" else np.int32) if known is None else known
            )
            try:
                found[each.name] = np.broadcast_to(known, (self.days, *shape))
            except ValueError:  # random events of a kind that is plain elsewhere: a program of its own
                found[each.name] = known
        room = np.array([self._room_of(lane) for lane in range(lanes)])[None, :, None, None]
        found["lead"] = np.minimum(found["lead"], room)
        return replace(world, **found)

    def _room_of(self, lane: int) -> int:
        for level in self.layout.levels:
            for row in level.row_lanes:
                if lane in row:
                    return level.horizon
        return 0
