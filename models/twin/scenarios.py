"""Scenarios: what-if questions as YAML, read, checked and applied to a twin.

Shipped ones stand in `library/`; a company's own in `companies/<name>/scenarios/` (one of the same name wins). The guide is
docs/guides/scenarios.md. How an event changes the world stands in `events.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from lake.errors import InputError
from models.twin import events
from models.twin.events import Outside
from models.twin.network import Network
from models.twin.scenario_model import (
    PERIOD_HOURS,
    Close,
    DemandChange,
    Include,
    Items,
    Lanes,
    LoseSupplier,
    Outage,
    Places,
    PriceChange,
    Rate,
    Recall,
    Register,
    Scenario,
    Span,
    Stretch,
    Strike,
)

LIBRARY = Path(__file__).resolve().parent / "library"


@dataclass(frozen=True)
class Throughput:
    """What flows where, to say what is large: units per place, money per item."""

    place_units: NDArray[np.float64]
    item_value: NDArray[np.float64]


def load(folders: Iterable[Path]) -> dict[str, Scenario]:
    """Return the scenarios of folders by name; a later folder's replaces an earlier one's.

    Raises `InputError` naming file, field and what is wrong with it.
    """
    found: dict[str, Scenario] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.y*ml")):
            scenario = read(path)
            found[scenario.name] = scenario
    return found


def read(path: Path) -> Scenario:
    """Return the scenario of one file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"The scenario {path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InputError(f"The scenario {path} is no mapping: it needs name, title and events.")
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"The scenario {path.name}, {where or 'as a whole'}: {first['msg']}.") from error
    if scenario.name != path.stem:
        raise InputError(
            f"The scenario in {path.name} is called {scenario.name!r}: name the file as the scenario."
        )
    return scenario


def chosen(known: dict[str, Scenario], names: Iterable[str]) -> list[Scenario]:
    """Return scenarios by name. Raises `InputError` listing what there is when one is not known."""
    found = []
    for name in names:
        if name not in known:
            raise InputError(f"There is no scenario {name!r}; there are {', '.join(sorted(known))}.")
        found.append(known[name])
    return found


def first_day(scenario: Scenario, known: dict[str, Scenario], depth: int = 0) -> float:
    """Return the day on which the first event begins, those of included scenarios too; random ones may begin at once."""
    days = []
    for event in scenario.events:
        if isinstance(event, Include):
            days.append(
                first_day(known[event.scenario], known, depth + 1)
                if event.scenario in known and depth < 20
                else 0.0
            )
        else:
            days.append(event.from_day if isinstance(event, Span) else 0.0)
    return min(days, default=0.0)


class Applier:
    """Applies scenarios to the world of one twin; every random choice comes from the scenario's own seed."""

    def __init__(
        self, network: Network, throughput: Throughput, known: dict[str, Scenario], seed: int
    ) -> None:
        """Take a twin and the scenarios that others may include."""
        self.network, self.throughput, self.known, self.seed = network, throughput, known, seed

    def apply(self, scenario: Scenario, outside: Outside) -> Outside:
        """Return the world with all events of the scenario in it."""
        self.name, self.luck = scenario.name, np.random.default_rng([self.seed, 77])
        return self._all(scenario, outside, (scenario.name,))

    def _all(self, scenario: Scenario, outside: Outside, way: tuple[str, ...]) -> Outside:
        for event in scenario.events:
            if isinstance(event, Include):
                if event.scenario in way:
                    raise InputError(
                        f"The scenario {scenario.name} includes itself: {' -> '.join([*way, event.scenario])}."
                    )
                other = chosen(self.known, [event.scenario])[0]
                outside = self._all(other, outside, (*way, event.scenario))
            elif isinstance(event, Register):
                outside = self._random(event, outside)
            else:
                during = events.spans(outside.periods, event.from_day, event.length_days)[:, None]
                outside = self._one(event, outside, during)
        return outside

    def _random(self, register: Register, outside: Outside) -> Outside:
        """Draw for each risk and replication how often, when and how long; one risk's spans of a replication add up."""
        replications = outside.demand.shape[-1]
        for risk in register.risks:
            count = self.luck.poisson(np.full(replications, risk.per_year * outside.periods / 365))
            during = np.zeros((outside.periods, replications), np.float32)
            for replication, times in enumerate(count):
                for _ in range(times):
                    begins = self.luck.uniform(0, outside.periods)
                    low, likely, high = risk.hours
                    hours = self.luck.triangular(low, likely, high) if high > low else low
                    during[:, replication] += events.spans(outside.periods, begins, hours / PERIOD_HOURS)
            if not isinstance(risk.what, Span):
                raise InputError(f"The scenario {self.name}: a risk of the register is one plain event.")
            outside = self._one(risk.what, outside, np.minimum(during, 1))
        return outside

    def _one(self, event: Any, outside: Outside, during: NDArray[np.float32]) -> Outside:  # noqa: PLR0911 - one per event
        network = self.network
        if isinstance(event, Close):
            places = self.places(event.places) if event.places else []
            return events.close(
                outside, network, places, self.lanes(event.lanes) if event.lanes else [], during, event.share
            )
        if isinstance(event, Stretch):
            return events.stretch(
                outside, network, self.lanes(event.lanes), during, event.factor, event.more_days
            )
        if isinstance(event, LoseSupplier):
            return self._lose(event, outside, during)
        if isinstance(event, Rate):
            name = f"{event.event}_factor"
            return events.scale_price(
                outside, network, name, self.lanes(event.lanes), during, 1 + event.percent / 100
            )
        if isinstance(event, DemandChange):
            places = [at for at in self.places(event.places) if network.nodes[at].has_demand]
            factor = 1 + event.percent / 100
            return events.scale_demand(outside, places, self.items(event.items), during, factor, self.luck)
        if isinstance(event, PriceChange):
            items, factor = self.items(event.items), 1 + event.percent / 100
            return events.reprice(outside, network, items, during, factor, event.elasticity, self.luck)
        if isinstance(event, Strike):
            return self._strike(event, outside, during)
        if isinstance(event, Recall):
            return events.recall(outside, network, self.items(event.items), during)
        assert isinstance(event, Outage)
        names = {network.nodes[place].name for place in self.places(event.places)}
        lanes = [at for at, lane in enumerate(network.lanes) if lane.destination in names]
        return events.stop_orders(outside, network, lanes, during)

    def _lose(self, event: LoseSupplier, outside: Outside, during: NDArray[np.float32]) -> Outside:
        places = self.places(event.places)
        names = {self.network.nodes[place].name for place in places}
        changed = events.close(outside, self.network, places, [], during)
        if event.reroute_after_days is None:
            return changed
        lost = [at for at, lane in enumerate(self.network.lanes) if lane.origin in names]
        return events.reroute(changed, self.network, lost, int(event.from_day) + event.reroute_after_days)

    def _strike(self, event: Strike, outside: Outside, during: NDArray[np.float32]) -> Outside:
        lanes = self.lanes(event.lanes)
        changed = events.close(outside, self.network, [], lanes, during)
        before = np.zeros_like(during)
        for lag in range(1, event.held_days_before + 1):
            before[:-lag] = np.maximum(before[:-lag], during[lag:])
        before = np.where(during > 0, 0, before)
        length = int(np.ceil(during.sum(0).max()))
        return events.stretch(changed, self.network, lanes, before, 1.0, length) if before.any() else changed

    def places(self, which: Places) -> list[int]:
        """Return the places that a selector means. Raises `InputError` where it names an unknown one, or none."""
        nodes = self.network.nodes
        self._known("place", which.id, self.network.node_names)
        self._known("region", which.region, [node.region for node in nodes])
        found = [
            at
            for at, node in enumerate(nodes)
            if (which.id is None or node.name in which.id)
            and (which.kind is None or node.kind == which.kind)
            and (which.region is None or node.region in which.region)
        ]
        return self._some("place", self._largest(found, which.largest, self.throughput.place_units), which)

    def lanes(self, which: Lanes) -> list[int]:
        """Return the lanes that a selector means."""
        nodes = {node.name: node for node in self.network.nodes}
        self._known("place", [*(which.origin or []), *(which.destination or [])], self.network.node_names)
        self._known("region", which.origin_region, [node.region for node in self.network.nodes])
        origins: set[str] | None = None
        if which.largest_origins:
            candidates = [
                at for at, node in enumerate(self.network.nodes) if which.origin_kind in (None, node.kind)
            ]
            kept = self._largest(candidates, which.largest_origins, self.throughput.place_units)
            origins = {self.network.nodes[at].name for at in kept}
        found = [
            at
            for at, lane in enumerate(self.network.lanes)
            if (which.origin is None or lane.origin in which.origin)
            and (which.destination is None or lane.destination in which.destination)
            and (which.origin_kind is None or nodes[lane.origin].kind == which.origin_kind)
            and (which.origin_region is None or nodes[lane.origin].region in which.origin_region)
            and (which.mode is None or lane.mode in which.mode)
            and (origins is None or lane.origin in origins)
        ]
        return self._some("lane", found, which)

    def items(self, which: Items) -> list[int]:
        """Return the items that a selector means."""
        categories = list(self.network.categories) or [""] * len(self.network.items)
        self._known("item", which.id, list(self.network.items))
        self._known("category", which.category, categories)
        found = [
            at
            for at, item in enumerate(self.network.items)
            if (which.id is None or item in which.id)
            and (which.category is None or categories[at] in which.category)
        ]
        return self._some("item", self._largest(found, which.largest, self.throughput.item_value), which)

    def _largest(self, found: list[int], count: int | None, size: NDArray[np.float64]) -> list[int]:
        return found if count is None else sorted(sorted(found, key=lambda at: -size[at])[:count])

    def _known(self, what: str, names: list[str] | None, known: list[str]) -> None:
        for name in names or []:
            if name not in known:
                several = {"category": "categories"}.get(what, f"{what}s")
                shown = ", ".join(list(dict.fromkeys(each for each in known if each))[:8])
                raise InputError(
                    f"The scenario {self.name} names the {what} {name!r}, which the twin does not have; its {several} "
                    f"are {shown}{', ...' if len(set(known)) > 8 else ''}."
                )

    def _some(self, what: str, found: list[int], which: BaseModel) -> list[int]:
        if not found:
            said = ", ".join(f"{key} {value}" for key, value in which.model_dump(exclude_none=True).items())
            raise InputError(f"The scenario {self.name} means no {what} of the twin ({said}).")
        return found
