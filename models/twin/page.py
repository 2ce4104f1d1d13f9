"""A static page of answers: figures with intervals, stock and service over time, who loses most. No script, no network."""

import io
from collections.abc import Sequence
from html import escape
from math import isnan
from typing import Any

from models.twin.answers import Answer
from models.twin.results import Estimate
from models.twin.twin import Twin

_STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1c1f23; background: #f6f7f9; margin: 0; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
.card { background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; padding: .75rem 1rem; margin: .6rem 0; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th { font-weight: 600; color: #57606a; font-size: .85rem; text-align: right; }
td { border-top: 1px solid #eceff2; text-align: right; padding: .3rem .6rem; white-space: nowrap; }
th { padding: .3rem .6rem; } td:first-child, th:first-child { text-align: left; padding-left: 0; }
.quiet { color: #57606a; } .loss { color: #b3261e; } svg { max-width: 100%; height: auto; }
"""
_SHARES = ("fill_rate", "cycle_service_level")


def page(twin: Twin, answers: Sequence[Answer], *, days: int, replications: int, seed: int) -> str:
    """Return the page as HTML. The first answer is the baseline."""
    head = (
        f"Release {twin.release_id}, from {twin.as_of} for {days} days; {replications} replications with the same customers "
        f"and lead times in every scenario (seed {seed}); intervals are 95 %; money in {twin.currency}."
    )
    parts = [f"<h1>What if</h1><p class='quiet'>{escape(head)}</p>", _overview(answers)]
    for answer in answers[1:]:
        parts.append(_scenario(answer, answers[0]))
    if twin.notes:
        parts.append("<h2>Assumed where the lake says nothing</h2><div class='card'><ul>")
        parts += [f"<li>{escape(note)}</li>" for note in twin.notes]
        parts.append("</ul></div>")
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Twin: what if</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _overview(answers: Sequence[Answer]) -> str:
    names = list(answers[0].figures)
    rows = [[_label(name), *(_value(name, answer.figures[name]) for answer in answers)] for name in names]
    rows.append(["days it survives", *(_days(answer.survives_days.get("median")) for answer in answers)])
    rows.append(["days to recover", "-", *(_recovery(answer) for answer in answers[1:])])
    return "<div class='card'>" + _table(["", *(answer.name for answer in answers)], rows) + "</div>"


def _scenario(answer: Answer, baseline: Answer) -> str:
    rows = [
        [
            _label(name),
            _value(name, baseline.figures[name]),
            _value(name, answer.figures[name]),
            _change(name, each),
        ]
        for name, each in answer.changes.items()
    ]
    survives, recovers = answer.survives_days.get("median"), answer.recovers_days.get("median")
    told = (
        f"The first unit is lost because of it after {_days(survives)} (median), service is "
        f"{'not back within a point in this run' if recovers is None else f'back within a point after {_days(recovers)}'}; "
        f"{answer.affected_share:.0%} of the replications lose something."
        if survives is not None
        else "No customer goes short because of it in half of the replications or more."
    )
    parts = [
        f"<h2>{escape(answer.name)}</h2><p>{escape(answer.title)}. {escape(told)}</p><div class='card'>",
        _table(["", "baseline", answer.name, "change"], rows),
        "</div><div class='card'>",
        plot(answer, baseline),
        "</div>",
    ]
    for title, losers, columns in (
        ("Items that lose most profit", answer.worst_items, ("item_id",)),
        ("Items x lanes that lose most profit", answer.worst_lanes, ("item_id", "lane")),
    ):
        if losers:
            rows = [
                [*(str(row[column]) for column in columns), *(f"{row[f'profit_{key}']:,.2f}" for key in ("before", "after")),
                 f"{row['profit_change']:,.2f} ± {_number(row['change_standard_error'])}"]
                for row in losers
            ]  # fmt: skip
            heads = [
                *(column.removesuffix("_id") for column in columns),
                "profit before",
                "after",
                "change ± standard error",
            ]
            parts.append(f"<h3>{title}</h3><div class='card'>{_table(heads, rows)}</div>")
    return "\n".join(parts)


def plot(answer: Answer, baseline: Answer) -> str:
    """Return stock and fill rate over time as one SVG: dashed the baseline, solid the scenario."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasSVG(figure)
    left, right = figure.subplots(1, 2)
    moved = sorted(
        answer.stock_by_day,
        key=lambda name: -max(abs(a - b) for a, b in zip(answer.stock_by_day[name], baseline.stock_by_day[name], strict=True)),
    )[:5]  # fmt: skip
    for number, name in enumerate(moved):
        left.plot(answer.stock_by_day[name], color=f"C{number}", label=name, linewidth=1.4)
        left.plot(baseline.stock_by_day[name], color=f"C{number}", linestyle="--", linewidth=0.9)
    left.set(
        title="Stock on hand, the places that move most (dashed: baseline)", xlabel="day", ylabel="units"
    )
    left.set_ylim(bottom=0)
    left.legend(fontsize=8)
    right.plot([100 * each for each in answer.fill_rate_by_day], color="C3", label=answer.name, linewidth=1.4)
    right.plot(
        [100 * each for each in baseline.fill_rate_by_day],
        color="C7",
        linestyle="--",
        label="baseline",
        linewidth=1,
    )
    right.set(title="Fill rate of the day, all places", xlabel="day", ylabel="%")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.title.set_fontsize(10)
        axes.title.set_parse_math(False)
    picture = io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    text = picture.getvalue()
    return text[text.index("<svg") :]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _value(name: str, each: Estimate) -> str:
    reach = each.high - each.mean
    if name in _SHARES:
        return f"{each.mean:.2%}" + ("" if isnan(reach) else f" ± {100 * reach:.2f}")
    return f"{each.mean:,.0f}" + ("" if isnan(reach) else f" ± {reach:,.0f}")


def _change(name: str, each: Estimate) -> str:
    reach = each.high - each.mean
    if name in _SHARES:
        return f"{100 * each.mean:+.2f} points" + ("" if isnan(reach) else f" ± {100 * reach:.2f}")
    return f"{each.mean:+,.0f}" + ("" if isnan(reach) else f" ± {reach:,.0f}")


def _label(name: str) -> str:
    return name.replace("_", " ")


def _days(value: Any) -> str:
    return "-" if value is None else f"{value:.0f} day{'' if value == 1 else 's'}"


def _recovery(answer: Answer) -> str:
    recovers = answer.recovers_days.get("median")
    return "not in this run" if recovers is None else _days(recovers)


def _number(value: float) -> str:
    return "?" if isnan(value) else f"{value:,.2f}"
