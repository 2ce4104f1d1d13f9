"""Money in whole numbers: prices as ten-thousandths, rates as millionths, costs as cents, rounded half up.

Integers add and compare the same on every machine; a float enters once and never again.
"""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from lake.errors import InputError

Integers = NDArray[np.int64]

PRICE = pl.Decimal(18, 4)
COST = pl.Decimal(18, 2)
_LARGEST = 9.2e18


def micros(amount: ArrayLike) -> Integers:
    """Return an amount of currency per unit in millionths of it.

    >>> micros([1.25, 0.000001]).tolist()
    [1250000, 1]
    """
    return np.rint(np.asarray(amount, dtype=np.float64) * 1e6).astype(np.int64)


def cost_cents(units: Integers, micros_per_unit: Integers) -> Integers:
    """Return units x price in cents, rounded half up (amounts are not negative).

    >>> cost_cents(np.array([1, 3]), micros([0.125, 0.335])).tolist()
    [13, 101]
    """
    if units.size and float(units.max()) * float(micros_per_unit.max()) > _LARGEST:
        raise InputError(
            f"An order of up to {units.max():,} units at up to {micros_per_unit.max() / 1e6:,.2f} costs more than 18 "
            "digits hold: correct the unit of the price in marts.supply_option, or of the demand."
        )
    return np.asarray((units * micros_per_unit + 5_000) // 10_000, dtype=np.int64)


def cents_as_decimal(name: str, cents: Integers) -> pl.Series:
    """Return cents as a DECIMAL(18, 2) column, exactly."""
    return _scaled(name, cents, 2).cast(COST)


def micros_as_price(name: str, amount: Integers) -> pl.Series:
    """Return millionths as a DECIMAL(18, 4) column, rounded half up."""
    return _scaled(name, (amount + 50) // 100, 4).cast(PRICE)


def _scaled(name: str, whole: Integers, scale: int) -> pl.Series:
    wide = pl.Decimal(38, scale)
    number = pl.Series(name, whole).cast(pl.Decimal(18, 0)).cast(wide)
    return number / pl.Series([10**scale]).cast(wide)
