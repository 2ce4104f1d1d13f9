"""Dagster's sensors that tell people: of a failed run or gate, and of a sensor or schedule whose tick failed.

How a failure is told, and where, stands in `alerts.py`.
"""

import json

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from lake.company import Company
from orchestration.alerts import alert
from orchestration.orphans import process_of

_NEWEST_TICKS = 50


def failed_run_sensor(company: Company) -> dg.SensorDefinition:
    """Return the sensor that alerts once for each failed run, with the sentence of every step that failed."""

    @dg.run_failure_sensor(
        name="alert_on_failed_run",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of a failed run or gate by webhook or e-mail (company.yaml, alerts), and in the log.",
    )
    def alert_on_failed_run(context: dg.RunFailureSensorContext) -> None:
        if process_of(context.dagster_run):  # `stocklake run` tells of its own failure, daemon or not
            return
        run_id = context.dagster_run.run_id
        sentences = _failed_checks(context.instance, run_id)
        sentences += [_sentence(event) for event in context.get_step_failure_events()]
        detail = "\n".join(sentences) or context.failure_event.message or ""
        alert(company, f"run {run_id} failed", detail)

    return alert_on_failed_run


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return what every blocking check that failed in the run found: the gate's own words."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.asset_check_evaluation_data for entry in events if entry.dagster_event]
    return [
        f"{check.asset_key.to_user_string()}: {check.description}"
        for check in found
        if check.blocking and not check.passed
    ]


def _sentence(event: dg.DagsterEvent) -> str:
    """Return what a step said when it failed: a `Failure`'s own words, else the error's last line."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return f"{event.step_key}: {data.user_failure_data.description}"
    return f"{event.step_key}: {data.error.message.strip() if data.error else event.message}"


def failed_tick_sensor(company: Company) -> dg.SensorDefinition:
    """Return the sensor that alerts when a tick of any sensor or schedule fails; the same error in a row is told once.

    It reads what the daemon has noted, so a definition that someone adds is watched without a word about it.
    The cursor is, per name, the newest tick seen and the error it ended with.
    """

    @dg.sensor(
        name="alert_on_failed_tick",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of a sensor or schedule that could not do its work (company.yaml, alerts).",
    )
    def alert_on_failed_tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        seen: dict[str, tuple[int, str]] = json.loads(context.cursor or "{}")
        told = 0
        for state in context.instance.all_instigator_state():
            tick_id, last_error = seen.get(state.name, (0, ""))
            ticks = context.instance.get_ticks(
                state.instigator_origin_id,
                state.selector_id,
                limit=_NEWEST_TICKS,
                statuses=[TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE],
            )
            for tick in sorted(ticks, key=lambda tick: tick.tick_id):
                if int(tick.tick_id) <= tick_id:
                    continue
                error = _root(tick.error) if tick.status == TickStatus.FAILURE else ""
                if error and error != last_error:
                    alert(company, f"{state.instigator_type.value.lower()} {state.name} failed", error)
                    told += 1
                tick_id, last_error = int(tick.tick_id), error
            seen[state.name] = (tick_id, last_error)
        context.update_cursor(json.dumps(seen))
        return dg.SkipReason(f"{told} failures told.")

    return alert_on_failed_tick


def _root(error: object) -> str:
    """Return the message at the root of a tick's error: what was raised, not that something was."""
    while getattr(error, "cause", None):
        error = error.cause
    return str(getattr(error, "message", "") or "it failed without a message").strip()
