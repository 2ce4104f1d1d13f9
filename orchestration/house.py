"""What every step needs: the company, its contracts and its lake. Dagster carries it as a resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg

from lake.company import Company, load_company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.contracts.reading import load_contracts
from lake.errors import InputError, StocklakeError
from lake.releases import Release, current_release
from orchestration import journal

WRITER_POOL = "lake_writer"
"""One writer at a time; the writer lock makes it true, the pool keeps steps from queueing on it."""

NO_BAD_DATA_RETRY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For what may heal by itself (a busy lake, a full disk). Bad data raises Failure(allow_retries=False)."""


@dataclass(frozen=True)
class House:
    """One company, opened: what the plain functions of all rooms take."""

    company: Company
    contracts: tuple[Contract, ...]
    lake: Lake


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

    def release(self) -> Release:
        """Return the release that downstream reads, or raise `GateFailed` or `NoRelease`."""
        return current_release(self.open().lake, last_good=self.last_good)


@contextmanager
def stage(context: dg.AssetExecutionContext, house: House, name: str) -> Iterator[journal.StepRecord]:
    """Journal a stage, and turn errors that no retry can cure into failures that Dagster does not retry."""
    try:
        with journal.step(house.lake, context.run.run_id, name) as record:
            yield record
    except StocklakeError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"exit_code": error.exit_code, "kind": type(error).__name__},
            allow_retries=error.exit_code == 1,
        ) from error


def refuse_unfinished_loading(house: House) -> None:
    """Raise `InputError` while the newest ingest has files that did not load: staging and onward wait for them."""
    raw = journal.newest(house.lake, "raw")
    if raw and raw.message:
        raise InputError(raw.message)
