"""The data docs: a page of the newest gate run, and one for each check with failing rows. They show, they decide nothing.

Plain HTML that needs no network and no script; Great Expectations' own site loads both from five other sites.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from lake.quality.waivers import Waiver
from lake.releases import GateResult, GateRun

ROWS_SHOWN = 1000
RUNS_SHOWN = 30
_RANK = {"error": 0, "failed": 1, "warned": 2, "waived": 3, "passed": 4}
_WORDS = {
    "error": "could not run", "failed": "failed", "warned": "warned", "waived": "waived", "passed": "passed"
}  # fmt: skip

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ --error: #6b2fa0; --failed: #b3261e; --warned: #9a6700; --waived: #1f5fa8; --passed: #2e7d4f; }}
body {{ font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1c1f23; background: #f6f7f9; margin: 0; }}
main {{ max-width: 78rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }}
h1 {{ font-size: 1.5rem; margin: 0 0 .25rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
.card, details {{ background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; padding: .75rem 1rem; margin: .6rem 0; overflow-x: auto; }}
.counts span {{ display: inline-block; margin: .4rem .5rem .2rem 0; padding: .15rem .7rem; border-radius: 1rem; color: #fff; font-weight: 600; }}
table {{ border-collapse: collapse; width: 100%; }}
th {{ font-weight: 600; color: #57606a; font-size: .85rem; }}
td, th {{ border-bottom: 1px solid #eceff2; padding: .35rem .6rem .35rem 0; text-align: left; vertical-align: top; }}
tr:last-child td {{ border-bottom: 0; }}
td.outcome {{ white-space: nowrap; font-weight: 600; width: 7rem; }} td.found {{ min-width: 18rem; }}
.error {{ color: var(--error); }} .failed {{ color: var(--failed); }} .warned {{ color: var(--warned); }}
.waived {{ color: var(--waived); }} .passed {{ color: var(--passed); }}
.bg-error {{ background: var(--error); }} .bg-failed {{ background: var(--failed); }} .bg-warned {{ background: var(--warned); }}
.bg-waived {{ background: var(--waived); }} .bg-passed {{ background: var(--passed); }}
.runs i {{ display: inline-block; width: .45rem; height: .9rem; margin-right: 2px; border-radius: 2px; vertical-align: middle; }}
.runs {{ white-space: nowrap; }}
summary {{ cursor: pointer; }} summary b {{ margin-right: .75rem; }} summary small {{ color: #57606a; }}
code, pre {{ font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }} pre {{ white-space: pre-wrap; }} .quiet {{ color: #57606a; }}
</style></head><body><main>
{body}
</main></body></html>
"""


@dataclass(frozen=True)
class Background:
    """What the pages show beside the run itself."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """check_id -> its failing rows, the first `ROWS_SHOWN`."""
    outcomes: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """check_id -> (gate run, outcome) in the last runs, the oldest first."""
    waivers: Sequence[Waiver] = ()
    on: date | None = None
    """Day by which waivers have expired."""


def write_page(run: GateRun, folder: Path, background: Background | None = None) -> Path:
    """Write `index.html` for the run and `checks/<id>.html` for what did not pass; return the path of the first."""
    behind = background or Background()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "checks", ignore_errors=True)
    (folder / "checks").mkdir()
    for result in run.problems():
        if result.check_id:
            body = _check_body(run, result, behind)
            (folder / "checks" / f"{result.check_id}.html").write_text(
                _PAGE.format(title=escape(result.line()), body=body), encoding="utf-8"
            )
    path = folder / "index.html"
    path.write_text(
        _PAGE.format(title=escape(run.summary()[0]), body=_index_body(run, behind)), encoding="utf-8"
    )
    return path


def _index_body(run: GateRun, behind: Background) -> str:
    problems = sorted(run.problems(), key=lambda result: (_RANK[result.outcome], result.table_name))
    tables = dict.fromkeys(r.table_name for r in (*problems, *run.results))
    counts = "".join(
        f'<span class="bg-{outcome}">{run.count(outcome)} {word}</span>'  # type: ignore[arg-type]
        for outcome, word in _WORDS.items()
        if run.count(outcome)  # type: ignore[arg-type]
    )
    parts = [
        f"<h1>Gate {run.status}, as of {run.as_of or 'unknown'}</h1>",
        f'<div class="quiet">{escape(run.gate_run_id)}, snapshot {run.snapshot_id}, {run.ran_at:%Y-%m-%d %H:%M} UTC. {_released(run)}</div>',
        f'<div class="counts">{counts}</div>',
        "<h2>What to look at</h2>" if problems else "",
        f'<div class="card">{_results(problems, behind, with_table=True)}</div>' if problems else "",
        _waivers(behind),
        "<h2>Every check, by table</h2>",
        *(_table(table, [r for r in run.results if r.table_name == table], behind) for table in tables),
    ]
    return "\n".join(part for part in parts if part)


def _released(run: GateRun) -> str:
    if not run.release:
        return "No release."
    under = f" under waivers {', '.join(run.release.waivers)}" if run.release.waivers else ""
    return escape(f"Release {run.release.release_id}{under}.")


def _table(table: str, results: Sequence[GateResult], behind: Background) -> str:
    worst = min((r.outcome for r in results), key=lambda outcome: _RANK[outcome])
    bad = sum(r.outcome != "passed" for r in results)
    told = f"{len(results)} checks" + (f", {bad} not passed" if bad else "")
    ordered = sorted(results, key=lambda r: (_RANK[r.outcome], r.column_name, r.check_name))
    return (
        f'<details><summary><b class="{worst}">{escape(table)}</b><small>{told}</small></summary>'
        f"{_results(ordered, behind, with_table=False)}</details>"
    )


def _results(results: Iterable[GateResult], behind: Background, *, with_table: bool) -> str:
    head = ["Outcome", *(["Table"] if with_table else []), "Column", "Check", "Found", "Last runs"]
    rows = []
    for result in results:
        word = _WORDS[result.outcome] + (f" ({result.severity})" if result.outcome == "failed" else "")
        found = escape(result.observed)
        if result.outcome != "passed" and result.check_id:
            found = f'<a href="checks/{result.check_id}.html">{found or "rows"}</a>'
        else:
            found = f'<span class="quiet">{escape(result.asked_of)}</span>'
        if result.waivers:
            found += f' <span class="waived">{escape(", ".join(result.waivers))}</span>'
        cells = [*([result.table_name] if with_table else []), result.column_name, result.check_name]
        rows.append(
            f'<tr><td class="outcome {result.outcome}">{word}</td>{"".join(f"<td>{escape(c)}</td>" for c in cells)}'
            f'<td class="found">{found}</td><td class="runs">{_runs(behind.outcomes.get(result.check_id, ()))}</td></tr>'
        )
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{''.join(rows)}</table>"


def _runs(outcomes: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<i class="bg-{outcome}" title="{escape(run)}: {_WORDS.get(outcome, outcome)}"></i>'
        for run, outcome in outcomes
    )


def _waivers(behind: Background) -> str:
    if not behind.waivers or behind.on is None:
        return ""
    rows = "".join(
        f"<tr><td><b>{w.waiver_id}</b></td><td>{w.status(behind.on)}</td><td>{escape(w.check_name)}</td>"
        f"<td>{escape(', '.join(f'{c} = {v}' for c, v in sorted(w.only_rows.items())) or 'all that fail')}</td>"
        f"<td>{escape(w.by)}</td><td>{w.until}</td><td>{escape(w.reason)}</td></tr>"
        for w in behind.waivers
    )
    head = "".join(f"<th>{n}</th>" for n in ("", "Status", "Check", "Rows", "By", "Until", "Reason"))
    return f'<h2>Waivers</h2><div class="card"><table><tr>{head}</tr>{rows}</table></div>'


def _check_body(run: GateRun, result: GateResult, behind: Background) -> str:
    rows = behind.rows.get(result.check_id, result.sample)
    more = result.failing_rows - len(rows)
    where = f"{result.table_name}{'.' + result.column_name if result.column_name else ''}"
    command = f"stocklake gate show {result.check_id}"
    parts = [
        '<a href="../index.html">All checks</a>',
        f"<h1>{escape(where)} {escape(result.check_name)}</h1>",
        f'<div><b class="{result.outcome}">{_WORDS[result.outcome]}</b> {escape(result.observed)}</div>',
        f'<div class="quiet">Check {result.check_id}, asked of {escape(result.asked_of)} at snapshot {run.snapshot_id}.'
        f' <span class="runs">{_runs(behind.outcomes.get(result.check_id, ()))}</span></div>',
        f"<h2>{result.failing_rows:,} {'row' if result.failing_rows == 1 else 'rows'}</h2>" if rows else "",
        f'<div class="card">{_rows(rows)}</div>' if rows else "",
        f"<p>{more:,} more: <code>{command} --all</code> shows every one.</p>" if rows and more > 0 else "",
        f"<details><summary>The query of these rows</summary><pre>{escape(result.failing_sql)}</pre></details>"
        if result.failing_sql
        else "",
    ]
    return "\n".join(part for part in parts if part)


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape('' if v is None else str(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
