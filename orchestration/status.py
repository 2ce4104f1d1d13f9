"""The state as it stands, in the figures that `stocklake status --json` promises, and those of the last run."""

from typing import Any

from lake.connection import Lake, table_exists
from lake.ledger import totals
from lake.releases import list_releases
from orchestration import journal

COUNTS = ("rows_read", "loaded", "quarantined", "duplicate", "unchanged", "files_refused")


def status(lake: Lake) -> dict[str, Any]:
    """Return the state: rows cumulative, gates of the newest run, forecast, open proposals; and `last_run` alone."""
    counted = totals(lake)
    state: dict[str, Any] = {key: counted[key] for key in COUNTS}
    state["unconverted"] = (_newest(lake, "unconverted_row", _UNCONVERTED, schema="core") or (0,))[0]
    state |= _control(lake) | _gates(lake) | _forecast(lake) | _orders(lake)
    releases = list_releases(lake)
    state["release"] = releases[0].release_id if releases else None
    state["as_of"] = releases[0].as_of.isoformat() if releases else None
    state["last_run"] = _last_run(lake)
    return state


_UNCONVERTED = "SELECT count(*) FROM lake.core.unconverted_row"


def _control(lake: Lake) -> dict[str, Any]:
    """Read the control totals of what stands: of each file as it was delivered last."""
    row = _newest(
        lake,
        "control",
        "SELECT count(*), count(*) FILTER (NOT ties) FROM (FROM lake.meta.control"
        " QUALIFY rank() OVER (PARTITION BY dataset, file_name ORDER BY noted_at DESC) = 1)",
    )
    figures, untied = row or (0, 0)
    return {"control_figures": figures, "control_figures_not_tied": untied}


def _gates(lake: Lake) -> dict[str, Any]:
    row = _newest(
        lake,
        "gate_run",
        "SELECT checks_passed, checks_failed + checks_errored, checks_warned FROM lake.meta.gate_run"
        " ORDER BY snapshot_id DESC, ran_at DESC LIMIT 1",
    )
    passed, failed, warned = row or (0, 0, 0)
    return {"gates_passed": passed, "gates_failed": failed, "gates_warned": warned}


def _newest(lake: Lake, table: str, query: str, schema: str = "meta") -> tuple[Any, ...] | None:
    with lake.read() as connection:
        if not table_exists(connection, schema, table):
            return None
        return connection.execute(query).fetchone()


_FORECAST = """
WITH newest AS (
    SELECT release_id FROM lake.meta.release
    WHERE release_id IN (SELECT release_id FROM lake.forecasts.demand_forecast)
    ORDER BY snapshot_id DESC LIMIT 1
), scored AS (
    SELECT a.model, c.model AS chosen, a.pinball_loss * a.rows AS loss
    FROM lake.forecasts.accuracy AS a JOIN lake.forecasts.chosen_model AS c USING (release_id, segment)
    WHERE release_id IN (FROM newest)
)
SELECT
    (SELECT count(DISTINCT (item_id, location_id)) FROM lake.forecasts.demand_forecast WHERE release_id IN (FROM newest)),
    (SELECT 1 - sum(loss) FILTER (model = chosen) / nullif(sum(loss) FILTER (model = 'seasonal_naive'), 0) FROM scored)"""


def _forecast(lake: Lake) -> dict[str, Any]:
    """Read the newest forecast's figures from its tables: they stand however often it is used again."""
    row = _newest(lake, "demand_forecast", _FORECAST, schema="forecasts")
    series, skill = row or (0, None)
    return {"series_forecast": series, "skill_vs_seasonal_naive": skill}


def _orders(lake: Lake) -> dict[str, Any]:
    with lake.read() as connection:
        if not table_exists(connection, "orders", "proposal"):
            return {"orders_proposed": 0, "orders_assumed": 0, "order_value": 0.0}
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (is_assumed), coalesce(sum(total_cost), 0)"
            " FROM lake.orders.proposal WHERE status = 'open'"
        ).fetchone()
    count, assumed, value = row or (0, 0, 0)
    return {"orders_proposed": count, "orders_assumed": assumed, "order_value": round(float(value), 2)}


def _last_run(lake: Lake) -> dict[str, Any]:
    steps = journal.last_run(lake)
    run: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    run |= {"gates_passed": 0, "gates_failed": 0, "series_forecast": 0, "skill_vs_seasonal_naive": None}
    run |= {"orders_proposed": 0, "order_value": 0.0, "release": None}
    for step in steps:
        run |= {key: value for key, value in step.counts.items() if key in run}
    run["run_id"] = steps[0].run_id if steps else None
    run["succeeded"] = bool(steps) and all(step.succeeded for step in steps)
    run["wall_s"] = round(sum(step.wall_s for step in steps), 1)
    return run
