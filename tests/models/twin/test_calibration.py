"""The replay on a small past that is known to the unit: it passes, and notices when the past is not what was told."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from lake.errors import InputError
from models.twin.calibration import calibrate

START, DAYS = date(2026, 1, 1), 60
ITEMS = ("a", "b")


@pytest.fixture(scope="module")
def past():
    """A centre that buys every ten days (in two receipts), a shop that is sent what it sold, and sells out at times."""
    random = np.random.default_rng(5)
    stock = {("DC", "a"): 60, ("DC", "b"): 40, ("ST", "a"): 9, ("ST", "b"): 6}
    moves, lines, receipts, wanted, snapshots, coming = [], [], [], [], [], []

    def move(kind, day, place, item, units, reference=""):
        moves.append((kind, day, place, item, units, reference))
        stock[place, item] += units

    for number in range(DAYS + 1):
        day = START + timedelta(days=number)
        if number:
            for entry in [each for each in coming if each[0] == day]:
                move(*entry[1:])
            for item in ITEMS:
                if random.random() < 0.1:
                    move("return", day, "ST", item, 1)
                customers = int(random.poisson(5))
                sold = min(customers, stock["ST", item])
                if sold:
                    move("sale", day, "ST", item, -sold)
                wanted.append((item, "ST", day, sold, float(customers)))
                units = min(max(9 - stock["ST", item], 0), stock["DC", item])
                if units and number % 2:
                    reference = f"SH{number}{item}"
                    move("transfer_out", day, "DC", item, -units, reference)
                    coming.append(
                        (
                            day + timedelta(days=1),
                            "transfer_in",
                            day + timedelta(days=1),
                            "ST",
                            item,
                            units,
                            reference,
                        )
                    )
                if number % 10 == 1:
                    lines.append((f"PO{number}", item, item, "DC", day))
                    for wait, part in ((5, 30), (8, 15)):
                        due = day + timedelta(days=wait)
                        receipts.append((f"PO{number}", item, due, part, None))
                        coming.append((due, "receipt", due, "DC", item, part, ""))
        snapshots += [(item, place, day, units, 0) for (place, item), units in stock.items()]
    return {
        "core.dim_location": pl.DataFrame({"location_id": ["DC", "ST"], "replenished_from": [None, "DC"], "purchasing_location_id": ["DC", "DC"]}),
        "core.fct_inventory": pl.DataFrame(snapshots, ["item_id", "location_id", "snapshot_date", "on_hand_units", "in_transit_units"], orient="row"),
        "core.fct_inventory_movement": pl.DataFrame(moves, ["movement_type", "moved_on", "location_id", "item_id", "moved_units", "reference_id"], orient="row"),
        "core.fct_shipment": pl.DataFrame(schema={"shipment_id": pl.String, "destination": pl.String, "delivered_at": pl.Datetime}),
        "core.fct_purchase_order_line": pl.DataFrame(lines, ["purchase_order_id", "purchase_order_line", "item_id", "location_id", "ordered_on"], orient="row"),
        "core.fct_goods_receipt": pl.DataFrame(receipts, {"purchase_order_id": pl.String, "purchase_order_line": pl.String, "received_on": pl.Date, "received_units": pl.Int64, "stocked_units": pl.Int64}, orient="row"),
        "marts.item_location_day": pl.DataFrame(wanted, ["item_id", "location_id", "day", "demand_units", "unconstrained_demand_units"], orient="row"),
    }  # fmt: skip


AS_OF = START + timedelta(days=DAYS)


def test_a_past_that_is_told_whole_is_reproduced_to_the_unit(past):
    found = calibrate(past, AS_OF)
    assert found.passed and found.share_within == 1 and found.days == DAYS
    shop = next(node for node in found.nodes if node.node == "ST")
    assert shop.actual_fill_rate is not None and shop.actual_fill_rate < 0.95, (
        "it sold out, and the twin knows by itself"
    )
    assert [node.stock_error for node in found.nodes] == pytest.approx([0, 0], abs=1e-6)
    assert shop.fill_rate == pytest.approx(shop.actual_fill_rate, abs=1e-6)


def test_a_past_that_lacks_receipts_is_not_believed(past):
    receipts = past["core.fct_goods_receipt"]
    found = calibrate(
        past | {"core.fct_goods_receipt": receipts.filter(pl.col("received_units") != 15)}, AS_OF
    )
    assert not found.passed
    assert next(node for node in found.nodes if node.node == "DC").stock_error > 0.05


def test_a_lake_without_movements_cannot_be_replayed(past):
    moves = past["core.fct_inventory_movement"].clear()
    with pytest.raises(InputError, match="no stock movements or no daily stock"):
        calibrate(past | {"core.fct_inventory_movement": moves}, AS_OF)
    with pytest.raises(InputError, match="28 at least"):
        calibrate(past, START + timedelta(days=20))
