"""All definitions of a company: policy is applied here once. Wiring only; what the steps do stands in the rooms."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lake.company import Company
from orchestration.defs.dbt import dbt_models
from orchestration.defs.features.assets import online_store
from orchestration.defs.forecasts.assets import forecast_assets
from orchestration.defs.gate.assets import gate_asset
from orchestration.defs.landing.sensor import fetch_sensor, inbox_sensor
from orchestration.defs.orders.assets import proposal
from orchestration.defs.plan.assets import replenishment
from orchestration.defs.raw.assets import raw_assets
from orchestration.defs.staging.assets import crosswalk_assets
from orchestration.house import DAILY, HouseResource, open_house
from orchestration.watch import failed_run_sensor, failed_tick_sensor


def build_definitions(
    company: Company, *, last_good: bool = False, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Return the definitions of one company; tests may swap any resource."""
    house = open_house(company.name, company.home.parent)
    raw = raw_assets(house)
    dbt = dbt_models(house)
    crosswalk = [crosswalk_assets(house)] if company.settings.matching else []
    conformed = [key for made in crosswalk for key in made.keys]
    gate = gate_asset([*dbt.keys, *conformed, *(key for key in raw.keys if key.path[0] == "raw")])
    downstream = [online_store, forecast_assets(), replenishment, proposal] if house.has_demand else []
    daily = dg.define_asset_job(
        DAILY, selection=dg.AssetSelection.all(), description="Exports in, proposed orders out."
    )
    resources = {
        "house": HouseResource(company=company.name, home=str(company.home.parent), last_good=last_good)
    }
    return dg.Definitions(
        assets=[raw, *crosswalk, dbt, gate, *downstream],
        jobs=[daily],
        schedules=[_daily_schedule(company)],
        sensors=[
            inbox_sensor(house),
            fetch_sensor(house),
            failed_run_sensor(company),
            failed_tick_sensor(company),
        ],
        resources=resources | dict(resource_overrides or {}),
        # In one process: a step under the multiprocess executor costs about 5.5 s to start.
        executor=dg.in_process_executor,
    )


def _daily_schedule(company: Company) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="every_morning",
        job_name=DAILY,
        cron_schedule="0 5 * * *",
        execution_timezone=company.settings.timezone,
        description="Plans the day before planners come in.",
    )
