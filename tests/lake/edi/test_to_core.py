"""X12 messages of suppliers and carriers become shipments in core by two contracts: no code, no SQL."""

import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lake import transform
from lake.company import Company
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from tests.lake.edi.samples import DESPATCH, STATUS, interchange, renumbered
from tests.lake.loading_kit import company, rows

CONTRACTS = Path(__file__).parent / "contracts"
IN_POUNDS = [("BSN", "00", "SH1002", "20240131", "1010", "0001") if one[0] == "BSN" else
             (*one[:7], "551", "LB") if one[0] == "TD1" else one for one in DESPATCH]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """What came of three interchanges: a despatch advice, one in pounds, and the carrier's status messages."""
    made = company(tmp_path_factory.mktemp("edi"))
    shutil.copytree(CONTRACTS, made.contracts)
    (made.inbox / "edi").mkdir()
    (made.inbox / "edi" / "856_1.x12").write_text(interchange(DESPATCH, renumbered(IN_POUNDS, "0002")))
    (made.inbox / "edi" / "214_1.x12").write_text(interchange(STATUS, control_number="000000102"))
    contracts = load_contracts(made)
    report = ingest(made, contracts, run_id="run")
    assert report.is_clean, report.problems
    assert report.totals | {"rows_read": 11, "loaded": 10, "quarantined": 1} == report.totals
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "unit_test")
        transform.build(
            made, contracts, "+fct_shipment +fct_shipment_leg +fct_shipment_line +unconverted_row"
        )
    return made


def test_a_despatch_advice_says_when_a_shipment_departed_and_what_it_weighs(home: Company) -> None:
    assert rows(
        home,
        "select shipment_id, purchase_order_id, origin, destination, carrier, weight_kg, departed_at, delivered_at,"
        " missing_events from lake.core.fct_shipment",
    ) == [
        (
            "SH1001", "PO5001", "SUP-01", "DC-01", "FAST", Decimal("250.5000"), datetime(2024, 1, 30, 22, 30),
            datetime(2024, 2, 2, 9, 30), "booked",
        )
    ]  # fmt: skip


def test_the_goods_expected_of_it_are_known_by_item(home: Company) -> None:
    expected = rows(
        home,
        "select shipment_id, purchase_order_id, item_id, location_id, expected_on, shipped_units, expected_units"
        " from lake.core.fct_shipment_line order by all",
    )
    day = date(2024, 2, 2)
    assert expected == [
        ("SH1001", "PO5001", "00123", "DC-01", day, 24, 0), ("SH1001", "PO5002", "00200", "DC-01", day, 10, 0),
        ("SH1002", "PO5001", "00123", "DC-01", day, 24, 24), ("SH1002", "PO5002", "00200", "DC-01", day, 10, 10),
    ]  # fmt: skip
    waiting = rows(
        home, "select document_id, rule, original_quantity from lake.core.unconverted_row order by all"
    )
    assert waiting == [
        ("SH1001", "missing_factor", Decimal("6.5")),
        ("SH1002", "missing_factor", Decimal("6.5")),
    ], "kilograms are not taken for pieces"


def test_each_event_keeps_the_file_and_segment_that_told_it(home: Company) -> None:
    events = rows(
        home, "select event_type, _file from lake.staging.stg_shipment_event order by event_at, _file"
    )
    assert events == [
        ("departed", "214_1.x12"), ("departed", "856_1.x12"), ("arrived", "214_1.x12"), ("delivered", "214_1.x12"),
    ]  # fmt: skip
    legs = rows(home, "select leg_type, ended_at from lake.core.fct_shipment_leg order by leg_number")
    assert ("transit", datetime(2024, 2, 2, 8, 15)) in legs


def test_pounds_are_quarantined_and_not_taken_for_kilograms(home: Company) -> None:
    (found,) = rows(home, "select rules, raw_text from lake.meta.quarantine")
    assert found[0] == ["allowed"]
    assert "TD1*PLT*2****G*551*LB" in found[1]


def test_each_interchange_is_answered_once(home: Company) -> None:
    names = sorted(path.name for path in (home.exports / "edi").iterdir())
    assert names == ["997_NORTHMILL_000000101.x12", "997_NORTHMILL_000000102.x12"]
