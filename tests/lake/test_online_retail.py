"""The real export, accounted for to the row: counts as `xz -dc | sort | uniq` gives them."""

import os
from pathlib import Path

import pytest

from lake.company import PROJECT_ROOT
from lake.contracts.model import Column
from tests.lake.loading_kit import company, contract, load, rows

DATA = Path(os.environ.get("STOCKLAKE_DATA") or PROJECT_ROOT.parent / "shared" / "data")
COLUMNS = (
    Column("invoice", "Invoice", "string", required=True),
    Column("stock_code", "StockCode", "string", required=True),
    Column("description", "Description", "string"),
    Column("quantity_units", "Quantity", "integer", required=True),
    Column("sold_at", "InvoiceDate", "timestamp", required=True, format="%m/%d/%Y %H:%M"),
    Column("unit_price", "Price", "number", scale=4, minimum=0),
    Column("customer", "Customer ID", "string"),
    Column("country", "Country", "string"),
)


@pytest.mark.skipif(
    not (DATA / "online_retail").is_dir(), reason="no online_retail in the data folder (STOCKLAKE_DATA)"
)
def test_every_row_of_the_real_export_is_accounted_for(tmp_path):
    home = company(tmp_path)
    location = {"path": "${STOCKLAKE_DATA}/online_retail/online_retail.csv.xz"}
    retail = contract("retail", COLUMNS, location=location, duplicates="drop", business_date="sold_at")
    [file] = load(home, retail).files
    negative_prices = 5  # bad-debt adjustments
    assert (file.rows_read, file.quarantined, file.rules) == (
        1_067_371,
        negative_prices,
        {"range": negative_prices},
    )
    assert (file.duplicate, file.loaded) == (34_335, 1_067_371 - 34_335 - negative_prices)
    [(cancelled, anonymous, last_line)] = rows(
        home,
        "SELECT count(*) FILTER (starts_with(invoice, 'C')), count(*) FILTER (customer IS NULL), max(_line)"
        " FROM lake.raw.retail",
    )
    assert last_line == 1_067_372
    assert 0 < cancelled < 19_494 + 1
    assert 0 < anonymous < 243_007 + 1
