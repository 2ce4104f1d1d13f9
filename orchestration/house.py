"""What every step needs: the company, its contracts and its lake. Dagster carries it as a resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg
import duckdb

from lake.company import Company, load_company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.contracts.reading import load_contracts
from lake.errors import InputError, LakeBusy, StocklakeError
from lake.releases import Release, current_release
from orchestration import journal

DAILY = "daily"
"""The job of the whole way; the schedule, the inbox sensor and `stocklake run` start the same one."""

WRITER_POOL = "lake_writer"
"""One writer at a time; the writer lock makes it true, the pool keeps steps from queueing on it."""

RETRIES = 2
RETRY_AFTER_S = 5

_MAY_HEAL = (LakeBusy, OSError, duckdb.IOException)
"""A busy lake, a full disk, a share that went away. Bad data is as bad the second time, and a bug stays one."""


@dataclass(frozen=True)
class House:
    """One company, opened: what the plain functions of all rooms take."""

    company: Company
    contracts: tuple[Contract, ...]
    lake: Lake

    @property
    def has_demand(self) -> bool:
        """Whether anything is sold; without it the way ends at the gate."""
        return any(contract.entity == "sales_order_line" for contract in self.contracts)


@cache
def open_house(name: str, home: Path) -> House:
    """Return the house of a company. Raises `CompanyError`, `HomeError` or `ContractError`."""
    company = load_company(name, home)
    company.prepare()
    return House(company, load_contracts(company), Lake.of(company))


class HouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The house as a Dagster resource: a name and a home, and whether a person accepts the last good release."""

    company: str
    home: str
    last_good: bool = False

    def open(self) -> House:
        """Return the opened house; opened once per process."""
        return open_house(self.company, Path(self.home))

    def release(self, run_id: str) -> Release:
        """Return the release that a run reads downstream, or raise `GateFailed` or `NoRelease`.

        The first stage that asks decides for the whole run: what another run releases meanwhile never mixes in.
        """
        if run_id not in _RELEASE_OF_RUN:
            _RELEASE_OF_RUN[run_id] = current_release(self.open().lake, last_good=self.last_good)
        return _RELEASE_OF_RUN[run_id]


_RELEASE_OF_RUN: dict[str, Release] = {}
"""All stages of a run are executed in one process."""


@contextmanager
def stage(context: dg.AssetExecutionContext, house: House, name: str) -> Iterator[journal.StepRecord]:
    """Journal a stage; an error becomes a failure in its own words, tried again only if it may heal by itself."""
    try:
        with journal.step(house.lake, context.run.run_id, name) as record:
            yield record
    except Exception as error:
        if isinstance(error, _MAY_HEAL) and context.retry_number < RETRIES:
            wait_s = RETRY_AFTER_S * 2**context.retry_number
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait_s) from error
        kind = type(error).__name__
        on_purpose = isinstance(error, StocklakeError)
        raise dg.Failure(
            description=str(error) if on_purpose else f"{kind}: {error}",
            metadata={"exit_code": error.exit_code if on_purpose else 1, "kind": kind},
            allow_retries=False,
        ) from error


def refuse_unfinished_loading(house: House) -> None:
    """Raise `InputError` while the newest ingest has files that did not load: staging and onward wait for them."""
    raw = journal.newest(house.lake, "raw")
    if raw and raw.message:
        raise InputError(raw.message)
