"""Online retail's logistics side: the real shipment history, every row and every word of it."""

import csv
import io
import lzma
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest

from lake.company import Company, load_company
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from tests.lake.loading_kit import rows


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    found = load_company("online_retail", tmp_path_factory.mktemp("shipments"))
    export = Path(found.variables["STOCKLAKE_DATA"]) / "scms"
    if not export.is_dir():
        pytest.skip(f"the real export is not at {export}: set STOCKLAKE_DATA to the folder that has it")
    found.prepare()
    report = ingest(found, load_contracts(found), run_id="run", datasets=["shipment_history"])
    assert report.is_clean, report.problems
    return found


@pytest.fixture(scope="module")
def told(company: Company) -> list[dict[str, str]]:
    """The export as Python's own reader gives it."""
    path = Path(company.variables["STOCKLAKE_DATA"]) / "scms" / "SCMS_Delivery_History_Dataset.csv.xz"
    text = lzma.decompress(path.read_bytes()).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_row_is_loaded_though_lines_end_with_a_return_alone(
    company: Company, told: list[dict[str, str]]
) -> None:
    assert rows(company, "SELECT count(*), min(_line), max(_line) FROM lake.raw.shipment_history") == [
        (len(told), 2, len(told) + 1)
    ]
    assert rows(company, "SELECT count(*) FROM lake.meta.quarantine") == [(0,)]


def test_words_for_no_day_are_empty_and_words_that_say_where_are_kept(
    company: Company, told: list[dict[str, str]]
) -> None:
    days = sum(row["PO Sent to Vendor Date"][0].isdigit() for row in told)
    assert len(told) - days == 5_732
    assert rows(company, "SELECT count(ordered_on) FROM lake.raw.shipment_history") == [(days,)]
    found = rows(
        company, "SELECT line_id, freight_cost_usd_text, weight_kg_text FROM lake.raw.shipment_history"
    )
    assert {(str(line), freight, weight) for line, freight, weight in found} == {
        (row["ID"], row["Freight Cost (USD)"], row["Weight (Kilograms)"]) for row in told
    }
    words = "SELECT count(*) FROM lake.raw.shipment_history WHERE try_cast(freight_cost_usd_text AS DOUBLE) IS NULL"
    assert rows(company, words) == [(4_126,)]


def test_lead_times_are_the_real_ones(company: Company, told: list[dict[str, str]]) -> None:
    expected = median(_lead_times(told))
    query = "SELECT median(delivered_on - ordered_on) FROM lake.raw.shipment_history"
    assert rows(company, query) == [(expected,)]


def _lead_times(told: list[dict[str, str]]) -> Iterator[int]:
    for row in told:
        if row["PO Sent to Vendor Date"][0].isdigit():
            ordered = datetime.strptime(row["PO Sent to Vendor Date"], "%m/%d/%y")
            yield (datetime.strptime(row["Delivered to Client Date"], "%d-%b-%y") - ordered).days
