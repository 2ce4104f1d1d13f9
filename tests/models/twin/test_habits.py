"""How places order, read off a past whose rule is known: (s, S) in packs, on three days a week, from an origin that runs dry."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from models.twin.habits import Past, case_units, observed_levels, order_weekdays, protection_levels
from models.twin.network import Lane, LeadTime

START, DAYS = date(2026, 1, 5), 182
AS_OF = START + timedelta(days=DAYS - 1)
PACK = {"a": 1, "b": 6, "c": 1}
POINT, LEVEL = {"a": 14.0, "b": 20.0, "c": 3.0}, {"a": 30.0, "b": 45.0, "c": 5.0}


def _past(follows: float = 0.0, dry: bool = False) -> tuple[Past, dict[str, float]]:
    """Return the past of a shop, and by what its levels are multiplied on the last day: demand falls to a quarter on the way."""
    random = np.random.default_rng(3)
    stock, coming, at_hub = dict.fromkeys(PACK, 20), [], dict.fromkeys(PACK, 10_000)
    inventory, transfers, demand, factor = [], [], [], 1.0
    seen: dict[str, list[int]] = {item: [] for item in PACK}
    for number in range(DAYS):
        day = START + timedelta(days=number)
        mean = 4.0 if number < DAYS // 3 else 1.0
        for entry in [each for each in coming if each[0] == number]:
            stock[entry[1]] += entry[2]
            coming.remove(entry)
        for item, pack in PACK.items():
            wanted = int(random.poisson(mean))
            demand.append((item, "ST", day, float(wanted)))
            seen[item].append(wanted)
            stock[item] -= min(wanted, stock[item])
            factor = ((sum(seen[item][-56:]) + 2) / 56 / 4) ** follows
            under_way = sum(each[2] for each in coming if each[1] == item)
            position = stock[item] + under_way
            # every other week the origin has nothing for two weeks on end: silence that says nothing of the rule
            at_hub[item] = 0 if dry and number // 14 % 2 else 10_000
            if (
                day.weekday() in (0, 2, 4)
                and item != "c"
                and position < POINT[item] * factor
                and at_hub[item]
            ):
                packs = -(-(LEVEL[item] * factor - position) // pack)
                units = int(packs * pack)
                transfers.append(("ST", item, day, units))
                coming.append((number + 1 + int(random.random() < 0.2), item, units))
            under_way = sum(each[2] for each in coming if each[1] == item)
            inventory += [(item, "ST", day, stock[item], under_way), (item, "DC", day, at_hub[item], 0)]
    factors = {item: ((sum(seen[item][-56:]) + 2) / 56 / 4) ** follows for item in PACK}
    frames = Past(
        pl.DataFrame(inventory, ["item_id", "location_id", "snapshot_date", "on_hand_units", "in_transit_units"], orient="row"),
        pl.DataFrame(transfers, ["destination", "item_id", "day", "units"], orient="row"),
        pl.DataFrame(demand, ["item_id", "location_id", "day", "units"], orient="row"),
        pl.DataFrame({"location_id": ["DC", "ST"], "replenished_from": [None, "DC"]}),
        pl.DataFrame({"item_id": list(PACK), "pack_units": [float(each) for each in PACK.values()]}),
    )  # fmt: skip
    return frames, factors


@pytest.mark.parametrize(("follows", "dry"), [(0.0, False), (0.0, True), (0.75, False), (1.0, False)])
def test_the_levels_by_which_a_place_orders_are_read_off_its_transfers(follows, dry):
    past, factors = _past(follows, dry)
    found = observed_levels(past, START - timedelta(days=1), AS_OF)
    assert found.power == follows and found.wrong_share < 0.03
    levels = {row["item_id"]: row for row in found.levels.iter_rows(named=True)}
    assert set(levels) == {"a", "b"}, "an item that was never sent says nothing of its rule"
    for item, row in levels.items():
        assert row["point_units"] == pytest.approx(POINT[item] * factors[item], abs=2)
        assert row["level_units"] == pytest.approx(LEVEL[item] * factors[item], abs=2.5)


def test_too_few_orders_say_nothing():
    past, _ = _past()
    assert observed_levels(past, AS_OF - timedelta(days=10), AS_OF).levels.is_empty()
    assert observed_levels(past, AS_OF, AS_OF).levels.is_empty()


def test_packs_and_weekdays_are_those_of_the_past():
    past, _ = _past()
    assert case_units(past.transfers, {item: at for at, item in enumerate(PACK)}).tolist() == [1, 6, 1]
    ordered = past.transfers.select(pl.lit("DC").alias("origin"), "destination", "day")
    lanes = [Lane("DC", "ST"), Lane("DC", "elsewhere")]
    assert order_weekdays(ordered, lanes).T.tolist() == [[1, 0, 1, 0, 1, 0, 0], [1] * 7]


def test_without_a_past_levels_cover_lead_time_and_order_days():
    rate = np.array([0.0, 2.0])
    point, level = protection_levels(rate, np.ones(2), LeadTime((3,), (1.0,)), 4.0, np.array([0.95, 0.95]))
    # mean 2 x (3 + 4) = 14 and as much variance: 14 + 1.645 x 3.742 = 20.2 units; 4 days more are 8
    assert point.tolist() == [0, 21] and level.tolist() == [0, 29]
