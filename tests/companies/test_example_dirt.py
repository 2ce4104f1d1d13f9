"""What is wrong with the deliveries is exactly what the truth says, row by row, and what is left is true."""

import math
import re
from collections import Counter
from itertools import pairwise

import polars as pl
import pytest

from tests.companies.deliveries import COMPANY, Made, broken_rules, datasets


@pytest.fixture(scope="module")
def found(made: Made) -> dict[tuple[str, int], set[str]]:
    """The rules that each row of each file breaks, by an independent reading of contracts and files."""
    sets = datasets(made.inbox)
    values: dict[str, set[str]] = {}
    for name in ("item", "location", "supplier", "purchase_order_line", "planner_item", "planner_location"):
        for column in sets[name].columns:
            head = column.get("physicalName", column["name"])
            rows = sets[name].rows()
            values[f"{name}.{column['name']}"] = {fields[head] for _, _, fields in rows if fields}
    broken = {}
    for dataset in sets.values():
        columns = [(c, c.get("physicalName", c["name"])) for c in dataset.columns]
        known = [
            values.get(c["relationships"][0]["to"]) if "relationships" in c else None for c, _ in columns
        ]
        for file, line, fields in dataset.rows():
            rules = {"field_count"} if fields is None else set()
            for (column, head), targets in zip(columns, known, strict=True):
                rules |= broken_rules(column, fields[head], targets) if fields else set()
            if rules:
                broken[file, line] = rules
    return broken


def _expected(made: Made, outcome: str) -> pl.DataFrame:
    rows = made.table("bad_rows").filter(pl.col("expected_outcome") == outcome)
    return rows.with_columns(pl.col("file").str.split("/").list.last())


def test_every_row_to_be_quarantined_breaks_its_rule_and_no_other_row_breaks_any(
    made: Made, found: dict[tuple[str, int], set[str]]
) -> None:
    expected = _expected(made, "quarantined")
    rules = {(r["file"], r["line"]): r["expected_rule"] for r in expected.iter_rows(named=True)}
    assert len(rules) == expected.height
    assert set(found) == set(rules)
    for place, rule in rules.items():
        if rule == "final_newline":
            assert found[place] == {"field_count"}
        else:
            assert rule in found[place], place


def test_the_truncated_line_is_the_last_of_its_file(made: Made) -> None:
    row = made.table("bad_rows").filter(pl.col("kind") == "truncated_line").row(0, named=True)
    content = (made.inbox / row["file"]).read_bytes()
    assert not content.endswith(b"\n")
    assert len(content.splitlines()) == row["line"]
    others = [p for p in (made.inbox / "erp").glob("*.csv") if p.name != row["file"].split("/")[1]]
    assert all(p.read_bytes().endswith(b"\n") for p in others)


def test_counts_are_the_documented_rates(made: Made) -> None:
    seeded = Counter((r["dataset"], r["kind"]) for r in made.table("bad_rows").iter_rows(named=True))
    assert seeded.pop(("sales_order_line", "truncated_line")) == 1
    for row in made.table("dirt").iter_rows(named=True):
        due = math.ceil(round(row["rate"] * row["clean_rows"], 6))
        assert row["seeded_rows"] == due >= 1
        assert seeded.pop((row["dataset"], row["kind"])) == due
    assert not seeded


def test_the_readme_has_the_rates_and_rules_of_the_program(made: Made) -> None:
    text = (COMPANY / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\w+) \| (\w+) \| ([\d.]+) \| (\w+)(?:: (\w+))?", text, re.M)
    said = {(dataset, kind): (float(rate), outcome) for dataset, kind, rate, outcome, _ in table}
    rules = {(d, k): rule for d, k, _, outcome, rule in table if outcome == "quarantined"}
    bad = made.table("bad_rows").filter(pl.col("kind") != "truncated_line")
    outcomes = {(r["dataset"], r["kind"]): r["expected_outcome"] for r in bad.iter_rows(named=True)}
    dirt = made.table("dirt").iter_rows(named=True)
    assert said == {(r["dataset"], r["kind"]): (r["rate"], outcomes[r["dataset"], r["kind"]]) for r in dirt}
    quarantined = bad.filter(pl.col("expected_outcome") == "quarantined")
    assert rules == {(r["dataset"], r["kind"]): r["expected_rule"] for r in quarantined.iter_rows(named=True)}


def test_duplicate_rows_repeat_a_line_above_and_nothing_else_does(made: Made) -> None:
    for name in ("sales_order_line", "shipment_event", "purchase_order_line"):
        dataset = datasets(made.inbox)[name]
        seen: set[tuple[str, ...]] = set()
        repeats = set()
        for file, line, fields in dataset.rows():
            row = tuple(sorted(fields.items())) if fields else ()
            if fields and row in seen:
                repeats.add((file, line))
            seen.add(row)
        expected = _expected(made, "duplicate").filter(pl.col("dataset") == name)
        assert repeats == set(expected.select("file", "line").iter_rows())


def test_good_lines_with_the_newest_version_are_the_true_lines(made: Made) -> None:
    bad = set(_expected(made, "quarantined").select("file", "line").iter_rows())
    newest: dict[tuple[str, str], dict[str, str]] = {}
    versions = Counter()
    for file, line, fields in datasets(made.inbox)["sales_order_line"].rows():
        if (file, line) in bad or fields is None:
            continue
        key = fields["order_id"], fields["order_line"]
        versions[key, fields["posted_at"]] += 1
        if key not in newest or fields["posted_at"] >= newest[key]["posted_at"]:
            newest[key] = fields
    got = {
        (
            *key,
            f["order_date"],
            f["location"],
            f["item_code"],
            int(f["quantity"]),
            round(100 * float(f["unit_price"])),
        )
        for key, f in newest.items()
    }
    true = made.table("sales_order_line").with_columns(pl.col("order_line", "day").cast(pl.String))
    columns = [
        "order_id",
        "order_line",
        "day",
        "location_id",
        "item_id",
        "quantity_units",
        "unit_price_cents",
    ]
    assert got == set(true.select(columns).iter_rows())
    corrected = _expected(made, "corrected").height
    assert len({key for key, _ in versions}) + corrected == len(versions)


def test_whole_files_that_are_odd(made: Made) -> None:
    files = made.table("bad_files")
    assert Counter(files["kind"]) == {"duplicate_delivery": 3, "reordered_columns": 1, "missing_day": 2}
    for row in files.filter(pl.col("kind") == "duplicate_delivery").iter_rows(named=True):
        again = made.inbox / row["file"]
        assert again.read_bytes() == (made.inbox / row["file"].replace("_resent", "")).read_bytes()
    sales = datasets(made.inbox)["sales_order_line"]
    list(sales.rows())
    usual = [c.get("physicalName", c["name"]) for c in sales.columns]
    odd = {name for name, header in sales.headers.items() if header != usual}
    assert odd == {files.filter(pl.col("kind") == "reordered_columns")["file"][0].split("/")[1]}


def test_the_missing_day_is_the_only_one(made: Made) -> None:
    whole, part = (
        made.table("bad_files").filter(pl.col("kind") == "missing_day").sort("location").iter_rows(named=True)
    )
    bad = set(_expected(made, "quarantined").select("file", "line").iter_rows())
    rows = datasets(made.inbox)["inventory_snapshot"].rows()
    seen = {(f["Date"], f["Location"]) for file, line, f in rows if f and (file, line) not in bad}
    stock = made.table("stock").filter(pl.col("closing_units") > 0).select("day", "location_id").unique()
    all_days = {(day.strftime("%d.%m.%Y"), location, day.isoformat()) for day, location in stock.iter_rows()}
    missing = {(iso, location) for day, location, iso in all_days if (day, location) not in seen}
    locations = made.table("stock")["location_id"].unique()
    assert whole["location"] is None
    assert missing == {(whole["day"], name) for name in locations} | {(part["day"], part["location"])}


def test_without_dirt_nothing_is_wrong(clean: Made) -> None:
    assert clean.table("bad_rows").height == clean.table("bad_files").height == 0
    assert not list(clean.inbox.rglob("*_resent*"))
    days = sorted(
        {
            f["Date"][6:] + f["Date"][3:5] + f["Date"][:2]
            for _, _, f in datasets(clean.inbox)["inventory_snapshot"].rows()
        }
    )
    assert len(days) == 150
    assert all(a < b for a, b in pairwise(days))
