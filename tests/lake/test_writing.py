"""Write modes: what a delivery does to the rows that stand."""

import random
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from lake.contracts.model import Column, History, KnownAt
from lake.quality.suites import contract_rules
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

PRICES = (
    Column("item_id", "Item", "string", required=True, key=True),
    Column("price", "Price", "number", precision=9, scale=2),
    Column("valid", "Valid", "date", required=True),
    Column("gone", "Gone", "boolean", default="false"),
)
HEAD = "Item,Price,Valid\n"
VERSIONS = "SELECT item_id, price::DOUBLE, _valid_from::DATE::VARCHAR, _valid_to::DATE::VARCHAR, _is_current FROM lake.raw.price ORDER BY 1, 3, 4"


def history(columns=PRICES[:3], **changes):
    changes = {"history": History("valid"), "known_at": KnownAt("valid")} | changes
    return contract("price", columns, write_mode="history", **changes)


def counts(report):
    return tuple(report.totals[name] for name in ("loaded", "quarantined", "duplicate", "unchanged"))


def test_insert_only_never_changes_what_stands(tmp_path):
    home = company(tmp_path)
    item = contract("item", write_mode="insert_only")
    deliver(home, "item_1.csv", HEADER + "A,1,,\nA,2,,\nB,1,,\n")
    assert counts(load(home, item)) == (2, 0, 0, 1)
    deliver(home, "item_2.csv", HEADER + "A,9,,\nC,1,,\nC,1,,\n")
    assert counts(load(home, replace(item, duplicates="drop"))) == (1, 0, 1, 1)
    assert rows(home, "SELECT item_id, quantity FROM lake.raw.item ORDER BY 1") == [
        ("A", 1),
        ("B", 1),
        ("C", 1),
    ]


def test_keys_within_their_business_date_are_looked_for_on_the_days_of_the_delivery(tmp_path):
    home = company(tmp_path)
    item = contract("item", write_mode="insert_only", business_date="sold_on", key_scope="business_date")
    deliver(home, "item_1.csv", HEADER + "A,1,,2024-01-05\nB,1,,2024-01-06\n")
    assert counts(load(home, item)) == (2, 0, 0, 0)
    deliver(
        home, "item_2.csv", HEADER + "A,2,,2024-01-05\nC,1,,2024-01-07\nB,3,,2024-01-06\nC,1,,2024-01-07\n"
    )
    assert counts(load(home, item)) == (1, 0, 0, 3)
    deliver(home, "item_3.csv", HEADER + "A,1,,2024-02-05\n")
    assert counts(load(home, item)) == (1, 0, 0, 0)


def test_partitions_of_a_delivery_are_replaced_whole_and_others_stay(tmp_path):
    home = company(tmp_path)
    sales = contract(write_mode="replace_partition", partition_by=("item_id",))
    deliver(home, "sales_1.csv", HEADER + "A,1,,\nA,2,,\nB,1,,\n")
    load(home, sales)
    deliver(home, "sales_2.csv", HEADER + "A,7,,\nC,1,,\nA,x,,\n")
    assert counts(load(home, sales)) == (2, 1, 0, 0)
    content = "SELECT item_id, quantity FROM lake.raw.sales ORDER BY ALL"
    assert rows(home, content) == [("A", 7), ("B", 1), ("C", 1)]
    deliver(home, "sales_2.csv", HEADER + "A,1,,\nA,2,,\n")
    load(home, sales)
    assert rows(home, content) == [("A", 1), ("A", 2), ("B", 1), ("C", 1)]


def test_history_keeps_every_version_with_its_time(tmp_path):
    home = company(tmp_path)
    deliver(home, "price_1.csv", HEAD + "A,1,2024-01-01\nB,5,2024-01-01\n")
    assert counts(load(home, history())) == (2, 0, 0, 0)
    deliver(home, "price_2.csv", HEAD + "A,2,2024-03-01\nB,5,2024-03-01\n")
    assert counts(load(home, history())) == (1, 0, 0, 1)
    assert rows(home, VERSIONS) == [
        ("A", 1.0, "2024-01-01", "2024-03-01", False),
        ("A", 2.0, "2024-03-01", None, True),
        ("B", 5.0, "2024-01-01", None, True),
    ]


def test_a_late_version_takes_its_place_in_time(tmp_path):
    home = company(tmp_path)
    deliver(home, "price_1.csv", HEAD + "A,1,2024-01-01\nA,3,2024-05-01\n")
    load(home, history())
    deliver(home, "price_2.csv", HEAD + "A,2,2024-03-01\nA,0.5,2023-01-01\nA,1,2024-02-01\n")
    assert counts(load(home, history())) == (2, 0, 0, 1)
    assert [row[1:] for row in rows(home, VERSIONS)] == [
        (0.5, "2023-01-01", "2024-01-01", False),
        (1.0, "2024-01-01", "2024-03-01", False),
        (2.0, "2024-03-01", "2024-05-01", False),
        (3.0, "2024-05-01", None, True),
    ]


def test_a_correction_of_the_same_moment_leaves_the_old_without_duration(tmp_path):
    home = company(tmp_path)
    columns = (*PRICES[:3], Column("sent", "Sent", "date", required=True))
    prices = history(columns, known_at=KnownAt("sent"))
    deliver(
        home, "price_1.csv", "Item,Price,Valid,Sent\nA,1,2024-01-01,2024-01-01\nA,3,2024-02-01,2024-01-01\n"
    )
    load(home, prices)
    deliver(
        home, "price_2.csv", "Item,Price,Valid,Sent\nA,2,2024-01-01,2024-01-09\nA,3,2024-02-01,2024-01-09\n"
    )
    assert counts(load(home, prices)) == (1, 0, 0, 1)
    assert [row[1:] for row in rows(home, VERSIONS)] == [
        (1.0, "2024-01-01", "2024-01-01", False),
        (2.0, "2024-01-01", "2024-02-01", False),
        (3.0, "2024-02-01", None, True),
    ]


def test_a_deletion_is_a_version_that_staging_never_sees(tmp_path):
    home = company(tmp_path)
    prices = history(PRICES, deletion_column="gone")
    deliver(home, "price_1.csv", "Item,Price,Valid,Gone\nA,1,2024-01-01,\nB,1,2024-01-01,\n")
    load(home, prices)
    deliver(home, "price_2.csv", "Item,Price,Valid,Gone\nA,,2024-02-01,true\nA,9,2024-03-01,true\n")
    assert counts(load(home, prices)) == (1, 0, 0, 1)
    live = f"SELECT item_id FROM lake.raw.price WHERE {prices.live_condition}"
    assert rows(home, live) == [("B",)]
    deliver(home, "price_3.csv", "Item,Price,Valid,Gone\nA,1,2024-04-01,\n")
    load(home, prices)
    assert sorted(rows(home, live)) == [("A",), ("B",)]
    assert [row[2:] for row in rows(home, VERSIONS) if row[0] == "A"] == [
        ("2024-01-01", "2024-02-01", False),
        ("2024-02-01", "2024-04-01", False),
        ("2024-04-01", None, True),
    ]
    assert [rule.check for rule in contract_rules(prices) if rows(home, rule.failing_sql)] == []


def full():
    return history(PRICES[:2], known_at=KnownAt(filename_pattern=r"_(\d{8})"), history=History(None, True))


def test_a_key_that_is_missing_from_a_full_delivery_ends_and_may_come_back(tmp_path):
    home = company(tmp_path)
    for day, text in [("0101", "A,1\nB,1\n"), ("0201", "A,1\n"), ("0301", "A,1\nB,1\n"), ("0215", "B,1\n")]:
        deliver(home, f"price_2024{day}.csv", "Item,Price\n" + text)
        load(home, full())
    assert rows(home, VERSIONS) == [
        ("A", 1.0, "2024-01-01", None, True),
        ("B", 1.0, "2024-01-01", "2024-02-01", False),
        ("B", 1.0, "2024-02-15", "2024-03-01", False),
        ("B", 1.0, "2024-03-01", None, True),
    ]


def test_a_full_delivery_with_quarantined_rows_ends_nothing(tmp_path):
    home = company(tmp_path)
    deliver(home, "price_20240101.csv", "Item,Price\nA,1\nB,1\n")
    load(home, full())
    deliver(home, "price_20240201.csv", "Item,Price\nA,1\nB,one\n")
    report = load(home, full())
    assert "nothing was ended" in report.drift[0]
    assert [row[4] for row in rows(home, VERSIONS)] == [True, True]


@pytest.mark.parametrize("seed", range(4))
def test_history_is_the_same_in_whatever_order_versions_arrive(tmp_path, seed):
    """Against plain Python: versions by their time, each until the next."""
    random.seed(seed)
    days = random.sample(range(60), 24)
    versions = [("AB"[k % 2], k, date(2024, 1, 1) + timedelta(days=day)) for k, day in enumerate(days)]
    home = company(tmp_path)
    for number in range(6):
        part = versions[number * 4 : number * 4 + 4]
        deliver(
            home,
            f"price_{number}.csv",
            HEAD + "".join(f"{item},{price},{day}\n" for item, price, day in part),
        )
        load(home, history())
    for item in "AB":
        found = rows(
            home,
            f"SELECT price::INT, _valid_from, _valid_to FROM lake.raw.price WHERE item_id = '{item}' ORDER BY 2",
        )
        assert [end for _, _, end in found] == [start for _, start, _ in found[1:]] + [None]
        for price, day in [(p, d) for i, p, d in versions if i == item]:
            moment = datetime.combine(day, datetime.min.time())
            [stands] = [p for p, start, end in found if start <= moment and (end is None or moment < end)]
            assert stands == price
    assert rows(home, "SELECT sum(rows_read) = sum(loaded + unchanged) FROM lake.meta.delivery") == [(True,)]


def test_a_table_without_times_does_not_become_a_history(tmp_path):
    home = company(tmp_path)
    deliver(home, "price_1.csv", HEAD + "A,1,2024-01-01\n")
    load(home, contract("price", PRICES[:3]))
    deliver(home, "price_2.csv", HEAD + "A,1,2024-01-02\n")
    with pytest.raises(Exception, match="its write mode is history now"):
        load(home, history())


def test_modes_at_the_size_of_registered_files(tmp_path):
    """From 10,000 rows a file's Parquet becomes part of the table: widening, history and partitions hold there too."""
    home = company(tmp_path)
    body = "".join(f"I{number},1,2024-01-01\n" for number in range(12_000))
    deliver(home, "price_1.csv", HEAD + body)
    sales = contract("price", PRICES[:3], write_mode="replace_partition", partition_by=("valid",))
    assert counts(load(home, sales))[0] == 12_000
    wide = (PRICES[0], replace(PRICES[1], precision=18, scale=4), PRICES[2])
    deliver(home, "price_2.csv", HEAD + "X,1.2345,2024-01-02\n")
    load(home, replace(sales, columns=wide))
    assert rows(home, "SELECT sum(price)::VARCHAR, count(*) FROM lake.raw.price") == [("12001.2345", 12_001)]
    deliver(home, "price_3.csv", HEAD + body.replace(",1,", ",2,"))
    load(home, replace(sales, columns=wide))
    assert rows(home, "SELECT sum(price)::DECIMAL(18,4)::VARCHAR FROM lake.raw.price") == [("24001.2345",)]
