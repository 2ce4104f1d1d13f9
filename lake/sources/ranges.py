"""Asking a source again for a range of days: which datasets can be asked so, and by which column."""

from datetime import date, timedelta

from lake.contracts.model import Column, Contract
from lake.errors import InputError
from lake.period import Period


def check_range(contract: Contract) -> None:
    """Raise `InputError` for a dataset that a part of its rows would harm: emptied of the others, or doubled."""
    where = f"{contract.path}: a range of days cannot be asked for again, because"
    hint = "leave the dataset out with --dataset, or fetch it without a range"
    if contract.write_mode == "replace" or contract.history.close_missing:
        raise InputError(f"{where} what is delivered takes the place of all rows: {hint}.")
    if contract.write_mode == "replace_partition" and contract.business_date not in contract.partition_by:
        raise InputError(
            f"{where} its partitions are not by its business date, so a range holds parts of them: {hint}."
        )
    if contract.write_mode == "append" and contract.duplicates != "drop":
        raise InputError(
            f"{where} its rows are appended and would stand twice: write duplicates: drop, or {hint}."
        )


def day_column(contract: Contract, cursor: str | None) -> Column:
    """Return the column by whose days a range is asked for: the business date, or else the cursor if it is a time.

    `cursor` is what the source calls it. Raises `InputError` where there is neither.
    """
    if contract.business_date:
        return contract.column(contract.business_date)
    for column in contract.columns:
        if column.source_name == cursor and column.type in ("date", "timestamp"):
            return column
    raise InputError(
        f"{contract.path}: it has no `business_date`, and its cursor is no date or time, so a range of days says nothing"
        " to its source: name the business date, or leave the dataset out with --dataset."
    )


def bounds(period: Period) -> tuple[date | None, date | None]:
    """Return the first day of a range and the day after its last; None for an open end."""
    return period.first, None if period.last is None else period.last + timedelta(days=1)
