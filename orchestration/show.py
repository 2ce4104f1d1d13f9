"""What the command line prints for people. JSON is printed elsewhere; here everything may change for the eye."""

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from lake.company import Company
from lake.connection import Lake, table_exists
from lake.ingest import IngestReport
from lake.quarantine import QuarantinedRow, list_quarantine
from orchestration import journal

_WIDTH = 160


def table(rows: Sequence[dict[str, Any]], *, empty: str = "", title: str | None = None) -> list[str]:
    """Return rows as the lines of a table, numbers to the right; the sentence `empty` when there are none."""
    if not rows:
        return [empty] if empty else []
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name, value in rows[0].items():
        drawn.add_column(
            name.replace("_", " "), justify="right" if _is_number(value) else "left", no_wrap=True
        )
    for row in rows:
        drawn.add_row(*(_text(name, value) for name, value in row.items()))
    return ["", title, *_lines(drawn)] if title else _lines(drawn)  # a table would wrap it to its own width


def status_lines(company: Company, lake: Lake, state: dict[str, Any]) -> list[str]:
    """Return the summary that a planner reads at the end of a run."""
    last = state["last_run"]
    stands = f"as of {state['as_of']} (release {state['release']})" if state["release"] else "no release yet"
    lines = [
        "",
        f"{company.settings.title}, {stands}",
        "",
        f"Rows       {state['rows_read']:,} read: {state['loaded']:,} loaded, {state['quarantined']:,} in quarantine, "
        f"{state['duplicate']:,} duplicate, {state['unchanged']:,} unchanged; {state['files_refused']} files refused",
        f"This run   {last['rows_read']:,} rows read, {last['loaded']:,} loaded, {last['quarantined']:,} quarantined",
        *_control(state),
        f"Gates      {state['gates_passed']} passed, {state['gates_failed']} failed, {state['gates_warned']} warned",
        *_gate_lines(lake),
        f"Forecast   {_forecast(lake, state)}",
        f"Orders     {state['orders_proposed']} open, {_money(state['order_value'])} {company.settings.currency} "
        f"with freight; {last['orders_proposed']} new in this run",
    ]
    lines += table(_quarantine(lake), title="In quarantine, by rule")
    lines += table(
        _query(lake, "core", "business_rule_count", _BUSINESS_RULES), title="Sales lines, by business rule"
    )
    lines += table(_query(lake, "forecasts", "accuracy", _ACCURACY), title="Forecast accuracy, 3 origins")
    lines += table(_query(lake, "orders", "proposal", _ORDERS), title="Open proposals by supplier")
    lines += _assumptions(company, lake)
    lines += ["", "Look next", *_NEXT(company)]
    return lines


def _NEXT(company: Company) -> list[str]:  # noqa: N802
    is_default = company.name == "example"
    choice, made = ("", "") if is_default else (f" --company {company.name}", f" COMPANY={company.name}")
    commands = {
        f"stocklake orders list{choice}": "every open proposal; orders explain ORDER says why",
        f"stocklake quarantine show{choice}": "refused rows whole, with file, line and reason",
        f"make ui{made}": "the asset graph, checks and plots in the browser",
        f"{company.exports}": "the orders as xlsx and JSON",
    }
    width = max(map(len, list(commands)[:3]))
    return [f"  {command.ljust(width)}   {what}" for command, what in commands.items()]


def _control(state: dict[str, Any]) -> list[str]:
    figures, untied = state["control_figures"], state["control_figures_not_tied"]
    return (
        [f"Control    {figures:,} totals given by sources, {untied:,} of them do not tie"] if figures else []
    )


def _quarantine(lake: Lake) -> list[dict[str, Any]]:
    """Return the rules with most open rows."""
    return [
        {"dataset": one.dataset, "rule": one.rule, "rows": one.rows} for one in list_quarantine(lake)[:12]
    ]


def ingest_lines(report: IngestReport) -> list[str]:
    """Return what an ingest did, in figures; what a person has to act on goes to standard error."""
    counts = report.totals | (report.control if report.control["figures"] else {})
    lines = [f"{name.replace('_', ' '):<16}{value:>12,}" for name, value in counts.items()]
    for title, names in (
        ("Not as the contract says", report.drift),
        ("Read by no contract", report.unmatched),
        ("Still being written, left for the next time", report.left),
    ):
        if names:
            more = [f"  and {len(names) - 20:,} more"] if len(names) > 20 else []
            lines += ["", title, *(f"  {name}" for name in names[:20]), *more]
    return lines


def order_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return proposals as a planner lists them: what, from whom, for where, by when, at what cost."""
    shown = ("order_id", "supplier_id", "location_id", "need_date", "line_count", "units")
    money = ("goods_cost", "freight_cost", "total_cost", "currency")
    some_are_superseded = any(row["superseded_by"] for row in rows)
    drawn = [
        {name.removesuffix("_id"): row[name] for name in (*shown, *money)}
        | {"basis": "ASSUMED" if row["is_assumed"] else "data"}
        | ({"status": row["status"], "superseded_by": row["superseded_by"]} if some_are_superseded else {})
        for row in rows
    ]
    return table(drawn, empty="No proposal is open.")


def quarantine_lines(rows: Iterable[QuarantinedRow]) -> list[str]:
    """Return refused rows one below the other: where, why, and the raw text."""
    lines = []
    for row in rows:
        lines.append(f"{row.dataset}: {row.place}")
        for rule, column, message in zip(row.rules, row.columns, row.messages, strict=True):
            lines.append(f"    {rule}: {f'{column}: ' if column else ''}{message}")
        if row.status != "open":
            who = f" by {row.settled_by}: {row.settled_reason}" if row.settled_by else ""
            lines.append(f"    {row.status}{who}")
        lines += [f"    | {row.raw_text}", ""]
    return lines or ["Nothing in quarantine answers to that."]


def profile_lines(lake: Lake) -> list[str]:
    """Return the cost of each stage of the newest run."""
    steps = journal.last_run(lake)
    rows = [
        {
            "stage": step.stage,
            "wall_s": round(step.wall_s, 1),
            "cpu_s": round(step.cpu_s, 1),
            "peak_mb": round(step.peak_mb),
        }
        for step in steps
    ]
    return ["", *table(rows, title="Cost by stage")]


_BUSINESS_RULES = """
SELECT business_rule, line_count AS lines, units, revenue FROM lake.core.business_rule_count
ORDER BY line_count DESC, business_rule"""
_ACCURACY = """
SELECT segment, model, sum(pinball_loss * rows) / sum(rows) AS pinball_loss, sum(mae * rows) / sum(rows) AS mae,
    sum(coverage_80 * rows) / sum(rows) AS coverage_80
FROM lake.forecasts.accuracy
WHERE release_id = (SELECT release_id FROM lake.meta.release ORDER BY snapshot_id DESC LIMIT 1)
GROUP BY ALL ORDER BY segment, pinball_loss"""
_ORDERS = """
SELECT supplier_id AS supplier, count(*) AS orders, sum(line_count) AS lines, sum(units) AS units,
    sum(goods_cost) AS goods_cost, sum(freight_cost) AS freight_cost, sum(total_cost) AS total_cost
FROM lake.orders.proposal WHERE status = 'open' GROUP BY ALL ORDER BY total_cost DESC, supplier LIMIT 25"""
_FINDINGS = """
SELECT CASE outcome WHEN 'waived' THEN 'waived' WHEN 'error' THEN 'could not run' ELSE severity END AS severity,
    table_name, column_name, check_name, failing_rows, observed FROM lake.meta.gate_result
WHERE outcome <> 'passed' AND gate_run_id = (
    SELECT gate_run_id FROM lake.meta.gate_run ORDER BY snapshot_id DESC, ran_at DESC LIMIT 1)
ORDER BY outcome, severity, table_name, check_name LIMIT 10"""


def _query(lake: Lake, schema: str, name: str, query: str) -> list[dict[str, Any]]:
    with lake.read() as connection:
        if not table_exists(connection, schema, name):
            return []
        return connection.execute(query).pl().to_dicts()


def _gate_lines(lake: Lake) -> list[str]:
    return [
        f"           {row['severity']}: {row['table_name']}{'.' + row['column_name'] if row['column_name'] else ''}, "
        f"{row['check_name']}: {row['observed'] or row['failing_rows']}"
        for row in _query(lake, "meta", "gate_result", _FINDINGS)
    ]


def _forecast(lake: Lake, state: dict[str, Any]) -> str:
    if not state["series_forecast"]:
        if not state["release"]:
            return "none yet: it is made from a release, which `stocklake run` makes"
        is_sold = bool(_query(lake, "core", "fct_demand", "SELECT 1 FROM lake.core.fct_demand LIMIT 1"))
        return "none yet" if is_sold else "none: nothing was sold here, so the way ends at the gate"
    if state["skill_vs_seasonal_naive"] is None:
        return f"{state['series_forecast']:,} series, 28 days ahead; too little history to score it against baselines"
    return (
        f"{state['series_forecast']:,} series, 28 days ahead; pinball loss {state['skill_vs_seasonal_naive']:.1%} "
        "below the seasonal naive's (3 origins)"
    )


def _assumptions(company: Company, lake: Lake) -> list[str]:
    assumed = _query(
        lake,
        "orders",
        "proposal",
        "SELECT count(*) AS n FROM lake.orders.proposal WHERE status = 'open' AND is_assumed",
    )
    if not assumed or not assumed[0]["n"]:
        return []
    rules = ", ".join(company.settings.assumptions)
    return [
        "",
        f"ASSUMED    {assumed[0]['n']} of these orders rest on assumptions in company.yaml ({rules}), not on data.",
    ]


def _money(value: float) -> str:
    return f"{value:,.2f}"


def _is_number(value: object) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or type(
        value
    ).__name__ == "Decimal"


def _text(name: str, value: object) -> str:
    if name == "is_assumed":
        return "ASSUMED" if value else ""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if name.endswith(("cost", "value", "price", "revenue")):
        return f"{value:,.2f}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _lines(drawn: Table) -> list[str]:
    text = StringIO()
    Console(file=text, width=_WIDTH, no_color=True, highlight=False).print(drawn)
    return [line.rstrip() for line in text.getvalue().rstrip("\n").split("\n")]
