"""A page of one gate run for people: one HTML file that needs no network. It shows results, it decides nothing.

Great Expectations' own data docs load scripts and styles from five other sites, so they are not used.
"""

from html import escape
from pathlib import Path
from typing import Any

from lake.releases import GateResult, GateRun

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
.failed td:first-child, .error td:first-child {{ color: #b00020; font-weight: 600; }}
.warned td:first-child {{ color: #8a6100; font-weight: 600; }}
summary {{ cursor: pointer; }}
</style>
<h1>{title}</h1>
<p>Run {run}, snapshot {snapshot}, {ran_at} UTC. {release}</p>
<table><tr><th>Outcome</th><th>Table</th><th>Column</th><th>Check</th><th>Found</th></tr>
{rows}
</table></html>
"""


def write_page(run: GateRun, folder: Path) -> Path:
    """Write `index.html` for the run, problems first, and return its path."""
    rank = {"error": 0, "failed": 1, "warned": 2, "passed": 3}
    results = sorted(run.results, key=lambda result: rank[result.outcome])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    text = _PAGE.format(
        title=escape(run.summary()[0]),
        run=escape(run.gate_run_id),
        snapshot=run.snapshot_id,
        ran_at=f"{run.ran_at:%Y-%m-%d %H:%M}",
        release=f"Release {escape(run.release.release_id)}." if run.release else "No release.",
        rows="\n".join(_row(result) for result in results),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _row(result: GateResult) -> str:
    cells = (result.outcome, result.table_name, result.column_name, result.check_name)
    found = escape(result.observed)
    if result.sample:
        found = f"<details><summary>{found}</summary>{_sample(result.sample)}</details>"
    marked = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{result.outcome}">{marked}<td>{found}</td></tr>'


def _sample(rows: tuple[dict[str, Any], ...]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
