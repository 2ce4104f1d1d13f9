"""AdventureWorks: a manufacturer's purchasing tables, reconciled to the cent against Python's own reading of them."""

import csv
import io
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from lake import transform
from lake.company import Company, load_company
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from tests.lake.loading_kit import rows

Table = list[list[str]]
BUILT = "+fct_purchase_order +fct_goods_receipt +fct_bill_of_material +dim_supplier_item +dim_supplier +fct_inventory"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    found = load_company("adventureworks", tmp_path_factory.mktemp("adventureworks"))
    if not _archive(found).is_file():
        pytest.skip(
            f"the real tables are not at {_archive(found)}: set STOCKLAKE_DATA to the folder that has them"
        )
    found.prepare()
    contracts = load_contracts(found)
    report = ingest(found, contracts, run_id="run")
    assert report.is_clean, report.problems
    transform.build(found, contracts, select=BUILT)
    return found


@pytest.fixture(scope="module")
def told(company: Company) -> Callable[[str], Table]:
    """The tables as Python's own reader gives them."""
    with tarfile.open(_archive(company)) as archive:
        texts = {
            name: archive.extractfile(name).read().decode()  # type: ignore[union-attr]
            for name in archive.getnames()
            if name.endswith(".csv")
        }
    return lambda name: list(
        csv.reader(io.StringIO(texts[f"{name}.csv"]), delimiter="\t", quoting=csv.QUOTE_NONE)
    )


def _archive(company: Company) -> Path:
    return Path(company.variables["STOCKLAKE_DATA"]) / "adventureworks" / "adventureworks.tar.xz"


@pytest.mark.parametrize(
    ("table", "count"),
    [
        ("core.fct_purchase_order", 4_012),
        ("core.fct_purchase_order_line", 8_845),
        ("core.fct_goods_receipt", 8_845),
        ("core.dim_item", 504),
        ("core.dim_supplier", 104),
        ("core.dim_supplier_item", 460),
        ("core.fct_bill_of_material", 2_679),
        ("core.fct_inventory", 1_069),
        ("meta.quarantine", 0),
    ],
)
def test_every_row_is_there_once(company: Company, table: str, count: int) -> None:
    assert rows(company, f"SELECT count(*) FROM lake.{table}") == [(count,)]


def test_lines_goods_and_totals_agree_to_the_cent(company: Company, told: Callable[[str], Table]) -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in told("PurchaseOrderDetail"):
        assert Decimal(line[3]) * Decimal(line[5]) == Decimal(line[6])
        sums[line[0]] += Decimal(line[6])
    found = rows(
        company,
        "SELECT purchase_order_id, lines_amount, goods_amount, total_amount, is_tied, lines_off FROM lake.core.fct_purchase_order",
    )
    expected = {
        (order[0], sums[order[0]], Decimal(order[8]), Decimal(order[11]), True, 0)
        for order in told("PurchaseOrderHeader")
    }
    assert set(found) == expected
    assert sum(sums.values()) == Decimal("63791994.8380")


def test_receipts_are_what_was_refused_and_what_was_stocked(
    company: Company, told: Callable[[str], Table]
) -> None:
    lines = told("PurchaseOrderDetail")
    expected = [sum((Decimal(line[at]) for line in lines), Decimal(0)) for at in (7, 8, 9)]
    found = rows(
        company,
        "SELECT sum(received_units), sum(rejected_units), sum(stocked_units),"
        " count_if(received_units <> rejected_units + stocked_units), count_if(rejected_units > 0) FROM lake.core.fct_goods_receipt",
    )
    assert found == [(*expected, 0, 563)]
    short = rows(
        company,
        "SELECT count_if(received_units < ordered_units), count_if(received_units > ordered_units),"
        " sum(open_units) FROM lake.core.fct_purchase_order_line",
    )
    missing = [Decimal(line[3]) - Decimal(line[7]) for line in lines]
    assert short == [(380, 0, sum(units for units in missing if units > 0))]


def test_a_line_takes_supplier_and_day_from_its_order(company: Company, told: Callable[[str], Table]) -> None:
    orders = {order[0]: order for order in told("PurchaseOrderHeader")}
    expected = Counter(
        (line[1], orders[line[0]][4], orders[line[0]][6][:10], "PLANT")
        for line in told("PurchaseOrderDetail")
    )
    found = rows(
        company,
        "SELECT purchase_order_line, supplier_id, ordered_on::varchar, location_id FROM lake.core.fct_purchase_order_line",
    )
    assert Counter(found) == expected


def test_what_a_product_is_made_of(company: Company, told: Callable[[str], Table]) -> None:
    expected = {
        (row[1] or None, row[2], Decimal(row[7]), row[5].strip(), row[4][:10] or None)
        for row in told("BillOfMaterials")
    }
    found = rows(
        company,
        "SELECT assembly_item_id, component_item_id, quantity_per_assembly, trim(quantity_unit), valid_to::varchar"
        " FROM lake.core.fct_bill_of_material",
    )
    assert set(found) == expected
