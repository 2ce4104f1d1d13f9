"""A house of one or two datasets that stands in a test's own folder, and Dagster runs in this process on it."""

from pathlib import Path

import dagster as dg

from lake.connection import Lake
from lake.contracts.model import Contract
from orchestration.house import House, HouseResource
from tests.lake import loading_kit


def resource_over(house: House) -> HouseResource:
    """Return the resource `house` over a house that is open already: what a test swaps in."""

    class OpenedHouse(HouseResource):
        def open(self) -> House:
            return house

    return OpenedHouse(company=house.company.name, home=str(house.company.home.parent))


def open_tiny(folder: Path, *contracts: Contract) -> House:
    company = loading_kit.company(folder)
    return House(company, contracts or (loading_kit.contract(),), Lake.of(company))


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return what every failed step said of itself."""
    return [
        event.step_failure_data.user_failure_data.description
        if event.step_failure_data.user_failure_data
        else event.step_failure_data.error.message
        for event in result.all_events
        if event.is_step_failure
    ]


def retries(result: dg.ExecuteInProcessResult) -> int:
    return sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
