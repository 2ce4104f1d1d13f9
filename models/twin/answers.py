"""What a scenario does to a twin: service, stock, money, how long it survives and how soon it recovers, who loses most.

Scenario and baseline see the same customers and the same lead times, replication by replication.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import InputError
from models.twin.cost_to_serve import Service, cost_to_serve, worst
from models.twin.events import Outside
from models.twin.results import Estimate, difference
from models.twin.scenario_model import Scenario
from models.twin.scenarios import Applier, first_day
from models.twin.simulate import Outcome
from models.twin.state import Rules
from models.twin.twin import Player, Twin

Floats = NDArray[np.float64]
RULES = Rules(
    unfilled_orders="cancel",
    record=("demand", "sold", "lost", "cycles", "short_cycles", "on_hand", "shipped", "freight"),
    daily="nodes",
)
"""Places ask again for what they did not get, as the companies' ERPs do."""
BASELINE = "baseline"
RECOVERED_WITHIN = 0.01
"""A day counts as recovered when its fill rate is within a point of the baseline's."""
RECOVERY_SEEN_DAYS = 7
WORST = 15
BLOCK = 10
"""Replications in memory at once."""


@dataclass(frozen=True)
class Answer:
    """One scenario's figures; daily ones are [day, node] or [day]."""

    name: str
    title: str
    figures: dict[str, Estimate]
    """fill_rate, cycle_service_level, profit (with what stock is worth more at the end), revenue, the parts of the cost."""
    changes: dict[str, Estimate]
    """The same against the baseline, paired; empty for the baseline itself."""
    survives_days: dict[str, float | None]
    """median, p10 over replications: days from the first event to the first unit lost because of it. None: never."""
    recovers_days: dict[str, float | None]
    """median, p90: days from the first event to the last day whose fill rate is below the baseline's. None: not in the run."""
    affected_share: float
    """Share of replications in which anything was lost because of it."""
    fill_rate_by_place: dict[str, float]
    stock_by_day: dict[str, list[float]]
    """Place -> units on hand at the end of each day, mean over replications."""
    fill_rate_by_day: list[float]
    worst_items: list[dict[str, Any]] = field(default_factory=list)
    worst_lanes: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain = dict(vars(self))
        plain["figures"] = {name: each.to_dict() for name, each in self.figures.items()}
        plain["changes"] = {name: each.to_dict() for name, each in self.changes.items()}
        return plain


@dataclass(frozen=True)
class _Run:
    """What is kept of one run."""

    sold: Floats
    demand: Floats
    """[day, node, replication]."""
    stock: Floats
    figures: dict[str, Floats]
    service: Service


def ask(
    twin: Twin,
    scenarios: Iterable[Scenario],
    known: dict[str, Scenario],
    *,
    days: int = 120,
    replications: int = 20,
    seed: int = 7,
    player: Player | None = None,
    rules: Rules = RULES,
) -> list[Answer]:
    """Return the baseline's answer and one for each scenario, on common random numbers.

    `player` orders, by default the twin's own levels; `rules` may show it more than those need.

    Replications come in blocks: what is in memory at once does not grow with them. Raises `InputError` for a scenario
    that means nothing in this twin, or that begins after the last day.
    """
    asked = list(scenarios)
    for scenario in asked:
        if (begins := first_day(scenario, known)) >= days:
            raise InputError(
                f"The scenario {scenario.name} begins on day {begins:g} and {days} days are simulated: "
                "ask for more days."
            )
    size = max(each for each in range(1, min(BLOCK, replications) + 1) if replications % each == 0)
    size = size if size > BLOCK // 2 else min(BLOCK, replications)
    runs: list[list[_Run]] = [[] for _ in range(len(asked) + 1)]
    for start in range(0, replications, size):
        calm = twin.undisturbed(days, min(size, replications - start), seed, start)
        applier = Applier(twin.network, twin.throughput, known, seed + start)
        runs[0].append(_run(twin, calm, rules, player))
        for number, scenario in enumerate(asked, start=1):
            runs[number].append(_run(twin, applier.apply(scenario, calm), rules, player))
    before = _joined(runs[0])
    answers = [_answer(twin, BASELINE, "Nothing happens", before, None, 0)]
    for scenario, parts in zip(asked, runs[1:], strict=True):
        first = int(first_day(scenario, known))
        answers.append(_answer(twin, scenario.name, scenario.title, _joined(parts), before, first))
    return answers


def _joined(parts: list[_Run]) -> _Run:
    """Put blocks of replications together again."""

    def all_of(arrays: list[Floats]) -> Floats:
        return np.concatenate(arrays, -1)

    services = [part.service for part in parts]
    return _Run(
        sold=all_of([part.sold for part in parts]),
        demand=all_of([part.demand for part in parts]),
        stock=all_of([part.stock for part in parts]),
        figures={name: all_of([part.figures[name] for part in parts]) for name in parts[0].figures},
        service=Service(
            services[0].lanes,
            *(
                all_of([getattr(each, name) for each in services])
                for name in ("revenue", "goods", "freight", "holding")
            ),
        ),
    )


def _run(twin: Twin, world: Outside, rules: Rules, player: Player | None) -> _Run:
    layout, outcome = twin.simulate(world, rules, player)

    def daily(name: str) -> Floats:
        return layout.from_nodes(outcome.daily[name], 1).astype(np.float64)

    def total(name: str) -> Floats:
        return np.asarray(layout.from_nodes(outcome.totals[name]).sum((0, 1), np.float64))

    price = 1.0 if world.price_factor is None else _mean_price(world)
    kept = _stock_value(twin, outcome)
    figures = {
        "fill_rate": total("sold") / np.maximum(total("demand"), 1e-9),
        "cycle_service_level": 1 - total("short_cycles") / np.maximum(total("cycles"), 1e-9),
        "profit": kept - np.asarray(outcome.cost, np.float64),
        "stock_change": kept,
    }
    figures |= {name: np.asarray(each, np.float64) for name, each in sorted(outcome.costs.items())}
    service = cost_to_serve(twin.network, layout, outcome, price)
    return _Run(daily("sold"), daily("demand"), daily("on_hand"), figures, service)


def _stock_value(twin: Twin, outcome: Outcome) -> Floats:
    """Return what stock on hand and under way is worth more at the end than at the start, at purchase prices."""
    network = twin.network
    price = np.stack([network.per_item(lane.unit_cost) for lane in network.lanes])
    share = np.stack(
        [network.per_item(lane.share) * (network.per_item(lane.unit_cost) > 0) for lane in network.lanes]
    )
    unit = (price * share).sum(0) / np.maximum(share.sum(0), 1e-9)
    end = sum(
        (np.asarray(each, np.float64).sum(0) * unit[:, None]).sum(0)
        for level in outcome.state[1:]
        for each in (level.on_hand, level.in_transit)
    )
    start = sum(float((network.per_item(node.on_hand) * unit).sum()) for node in network.nodes)
    start += sum(
        float((lane.in_transit * unit).sum()) for lane in network.lanes if lane.in_transit is not None
    )
    return np.asarray(end - start)


def _mean_price(world: Outside) -> Floats:
    assert world.price_factor is not None
    return np.asarray(world.price_factor.mean(0), np.float64)


def _answer(twin: Twin, name: str, title: str, run: _Run, before: _Run | None, first: int) -> Answer:
    nodes = twin.network.nodes
    sellers = [at for at, node in enumerate(nodes) if node.has_demand]
    holders = [at for at, node in enumerate(nodes) if node.kind != "supplier"]
    by_place = run.sold.sum((0, 2)) / np.maximum(run.demand.sum((0, 2)), 1e-9)
    survives: dict[str, float | None] = {"median": None, "p10": None}
    recovers: dict[str, float | None] = {"median": None, "p90": None}
    share, items, lanes = 0.0, pl.DataFrame(), pl.DataFrame()
    changes: dict[str, Estimate] = {}
    if before is not None:
        changes = {key: difference(each, before.figures[key]) for key, each in run.figures.items()}
        survives, recovers, share = _disturbed(run, before, first)
        items, lanes = worst(twin.network, before.service, run.service, WORST)
    return Answer(
        name=name,
        title=title,
        figures={key: Estimate.of(each) for key, each in run.figures.items()},
        changes=changes,
        survives_days=survives,
        recovers_days=recovers,
        affected_share=share,
        fill_rate_by_place={nodes[at].name: float(by_place[at]) for at in sellers},
        stock_by_day={nodes[at].name: run.stock[:, at].mean(-1).round(1).tolist() for at in holders},
        fill_rate_by_day=_fill(run).mean(-1).round(5).tolist(),
        worst_items=items.to_dicts(),
        worst_lanes=lanes.to_dicts(),
    )


def _fill(run: _Run) -> Floats:
    asked = run.demand.sum(1)
    return np.asarray(np.where(asked > 0, run.sold.sum(1) / np.maximum(asked, 1e-9), 1.0))


def _disturbed(
    run: _Run, before: _Run, first: int
) -> tuple[dict[str, float | None], dict[str, float | None], float]:
    """Return time to survive, time to recover (days after the first event) and the share of replications that suffer."""
    lost = (run.demand - run.sold).sum(1) - (before.demand - before.sold).sum(1)
    worse = _fill(before) - _fill(run)
    hurt = (lost > 0.5) & (worse > 0)
    late = worse > RECOVERED_WITHIN
    days = np.arange(len(lost))[:, None]
    suffers = hurt.any(0)
    begins = np.where(suffers, np.where(hurt, days, len(lost)).min(0) - first, np.inf)
    last = np.where(late, days, -1).max(0)
    # who is still short in the last week has not recovered in the run
    ends = np.where(
        late.any(0), np.where(last >= len(lost) - RECOVERY_SEEN_DAYS, np.inf, last + 1 - first), 0.0
    )

    def told(value: float) -> float | None:
        return float(max(value, 0)) if np.isfinite(value) else None

    at = {"method": "inverted_cdf"}
    return (
        {"median": told(np.quantile(begins, 0.5, **at)), "p10": told(np.quantile(begins, 0.1, **at))},  # type: ignore[call-overload]
        {"median": told(np.quantile(ends, 0.5, **at)), "p90": told(np.quantile(ends, 0.9, **at))},  # type: ignore[call-overload]
        float(suffers.mean()),
    )
