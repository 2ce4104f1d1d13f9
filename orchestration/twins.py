"""Between the lake and the twin: reads a release for it, knows where it is kept, and draws its answers for a terminal."""

import os
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.company import Company
from lake.connection import Lake
from lake.errors import InputError
from lake.releases import current_release, list_releases
from models.twin.scenario_model import Scenario
from models.twin.scenarios import LIBRARY, load
from orchestration.frames import read, read_result
from orchestration.show import table

if TYPE_CHECKING:
    import polars as pl

    from models.twin.answers import Answer
    from models.twin.calibration import Calibration
    from models.twin.free_run import FreeRun
    from models.twin.twin import Twin


def build_twin(company: Company, *, last_good: bool = False) -> "Twin":
    """Build the twin of the current release and keep it."""
    from models.twin import building

    lake = Lake.of(company)
    release = current_release(lake, last_good=last_good)
    frames = {name: read(lake, release, name, columns) for name, columns in building.FRAMES.items()}
    twin = building.build(
        building.Sources(
            frames=frames,
            plan=read_result(lake, release, "plan.replenishment"),
            forecast=read_result(lake, release, "forecasts.demand_forecast"),
            release_id=release.release_id,
            as_of=release.as_of,
            settings=company.settings.replenishment,
            currency=company.settings.currency,
        )
    )
    twin.save(company.twin)
    return twin


def calibrate_twin(company: Company, days: int, *, last_good: bool = False) -> "Calibration":
    """Replay the past of the current release."""
    from models.twin import calibration

    lake = Lake.of(company)
    release = current_release(lake, last_good=last_good)
    frames: dict[str, pl.DataFrame] = {
        name: read(lake, release, name, columns) for name, columns in calibration.FRAMES.items()
    }
    return calibration.calibrate(frames, release.as_of, days)


def run_twin_free(company: Company, days: int, *, last_good: bool = False) -> "FreeRun":
    """Let the kept twin order by itself over the past of the current release."""
    from models.twin import calibration, free_run
    from models.twin.twin import Twin

    lake = Lake.of(company)
    release = current_release(lake, last_good=last_good)
    frames: dict[str, pl.DataFrame] = {
        name: read(lake, release, name, columns) for name, columns in calibration.FRAMES.items()
    }
    return free_run.run_free(Twin.load(company.twin), frames, release.as_of, days)


def free_run_lines(found: "FreeRun") -> list[str]:
    """Return what differs per place when the twin orders by itself."""

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    rows = [
        {
            "place": node.node,
            "stock, twin": f"{node.stock:,.0f}",
            "past": f"{node.actual_stock:,.0f}",
            "fill rate, twin": share(node.fill_rate),
            "fill rate, past": share(node.actual_fill_rate),
            "units a day in, twin": f"{node.received:,.0f}",
            "in, past": f"{node.actual_received:,.0f}",
            "items delivered a day, twin": f"{node.deliveries:,.1f}",
            "delivered, past": f"{node.actual_deliveries:,.1f}",
        }
        for node in found.nodes
    ]
    return [
        *table(
            rows,
            title=f"The past {found.days} days again, {found.items} items: the twin orders by its own levels, moved as demand moved",
        ),
        *(f"  {node.node}: {node.differs}" for node in found.nodes),
        "Nothing is gated here. Places that buy order by the plan's levels, which the company did not have.",
    ]


def scenarios_of(company: Company) -> dict[str, Scenario]:
    """Return the shipped scenarios and the company's own, which win."""
    return load([LIBRARY, company.folder / "scenarios"])


def newer_release(company: Company, release_id: str) -> str | None:
    """Return the newest release if the twin was made of an older one."""
    known = list_releases(Lake.of(company))
    return known[0].release_id if known and known[0].release_id != release_id else None


def write_page(path: Path, text: str) -> Path:
    """Write the page of answers; it appears whole. Raises `InputError` where it cannot be written."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise InputError(
            f"The page {path} cannot be written ({error.strerror}): choose another with --html."
        ) from error
    return path


def twin_lines(twin: "Twin", path: Path) -> list[str]:
    """Return what a twin consists of."""
    kinds = [node.kind for node in twin.network.nodes]
    counted = ", ".join(
        f"{kinds.count(kind)} {kind}s" for kind in ("supplier", "plant", "hub", "store") if kind in kinds
    )
    return [
        f"Twin of release {twin.release_id}, as of {twin.as_of}: {len(twin.network.items)} items, {counted}, "
        f"{len(twin.network.lanes)} lanes; {twin.demand_mean.mean(0).sum():,.0f} units a day",
        *(f"  assumed: {note}" for note in twin.notes),
        f"  kept in {path}",
    ]


def answer_lines(answers: Sequence["Answer"], *, compare: bool) -> list[str]:
    """Return the answers as tables: each against the baseline, or all side by side."""
    names = list(answers[0].figures)
    if compare:
        rows = [
            {"figure": name} | {each.name: _figure(name, each.figures[name].mean) for each in answers}
            for name in names
        ]
        rows.append(
            {"figure": "days it survives"}
            | {each.name: _days(each.survives_days["median"]) for each in answers}
        )
        recovery = {each.name: _days(each.recovers_days["median"], "not in the run") for each in answers[1:]}
        rows.append({"figure": "days to recover", answers[0].name: "-"} | recovery)
        lines = table(rows, title="Side by side, means over the same replications")
    else:
        lines = []
        for answer in answers[1:]:
            rows = [
                {
                    "figure": name,
                    "baseline": _figure(name, answers[0].figures[name].mean),
                    answer.name: _figure(name, answer.figures[name].mean),
                    "change": _figure(name, each.mean, signed=True),
                    "from": _figure(name, each.low, signed=True),
                    "to (95 %)": _figure(name, each.high, signed=True),
                }
                for name, each in answer.changes.items()
            ]
            lines += table(rows, title=f"{answer.name}: {answer.title}")
            lines.append(
                f"Days it survives {_days(answer.survives_days['median'])}, to recover "
                f"{_days(answer.recovers_days['median'], 'more than the run has')} (medians); "
                f"{answer.affected_share:.0%} of the replications lose something."
            )
    for answer in answers[1:]:
        if answer.worst_lanes:
            lines += table(
                _losers(answer.worst_items[:5]), title=f"{answer.name}: items that lose most profit"
            )
            lines += table(
                _losers(answer.worst_lanes[:5]), title=f"{answer.name}: items x lanes that lose most profit"
            )
    return lines


def calibration_lines(found: "Calibration") -> list[str]:
    """Return the fit per place and the verdict."""
    rows = [
        {
            "place": node.node,
            "stock error": f"{node.stock_error:.2%}",
            "fill rate, twin": "" if node.fill_rate is None else f"{node.fill_rate:.2%}",
            "fill rate, past": "" if node.actual_fill_rate is None else f"{node.actual_fill_rate:.2%}",
            "fits": "yes" if node.fits else "NO",
        }
        for node in found.nodes
    ]
    verdict = (
        "passed"
        if found.passed
        else "FAILED: what the stock ledger does not explain counts against it, see marts.stock_break"
    )
    return [
        *table(rows, title=f"The past {found.days} days again, with the orders really placed"),
        f"{found.share_within:.0%} of the places within 5 % of daily stock and 1 point of fill rate: {verdict}",
    ]


def _losers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: f"{value:,.2f}" if isinstance(value, float) else value for key, value in row.items()}
        for row in rows
    ]


def _figure(name: str, value: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if isnan(value):
        return "?"
    return f"{value:{sign}.2%}" if name in ("fill_rate", "cycle_service_level") else f"{value:{sign},.0f}"


def _days(value: float | None, never: str = "-") -> str:
    return never if value is None else f"{value:.0f}"
