"""Files whose columns are not those of the contract: what is named, what loads, what is kept out."""

from dataclasses import replace

import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column, SchemaPolicy
from lake.errors import ContractError
from tests.lake.loading_kit import HEADER, ITEM_COLUMNS, company, contract, deliver, load, rows

NEW = "Item,Qty,Colour,Price,Day\nA,1,red,2.50,2024-01-05\nB,2,,3.50,2024-01-06\n"


def policy(**kinds):
    return contract(schema_policy=SchemaPolicy(**kinds))


def test_a_new_column_is_named_and_passed_over(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", NEW)
    report = load(home, contract())
    assert report.is_clean
    assert report.drift == ["sales, sales_1.csv: the column 'Colour' is new: passed over"]
    assert rows(home, "SELECT item_id, quantity FROM lake.raw.sales ORDER BY 1") == [("A", 1), ("B", 2)]
    assert rows(home, "SELECT dataset, file_name, kind, column_name FROM lake.meta.drift") == [
        ("sales", "sales_1.csv", "new", "Colour")
    ]
    assert load(home, contract()).drift == []


def test_a_new_column_evolves_into_text_under_a_safe_name(tmp_path):
    home, evolving = company(tmp_path), policy(new_columns="evolve")
    deliver(home, "sales_1.csv", HEADER + "Z,1,1.00,2024-01-01\n")
    load(home, evolving)
    deliver(home, "sales_2.csv", NEW.replace("Colour", '"Col""; DROP TABLE x"'))
    assert load(home, evolving).drift == [
        "sales, sales_2.csv: the column 'Col\"; DROP TABLE x' is new: loaded as text into col_drop_table_x"
    ]
    deliver(home, "sales_3.csv", HEADER + "Y,1,1.00,2024-01-01\n")
    assert load(home, evolving).totals["loaded"] == 1
    assert rows(home, "SELECT item_id, col_drop_table_x FROM lake.raw.sales ORDER BY 1") == [
        ("A", "red"), ("B", None), ("Y", None), ("Z", None),
    ]  # fmt: skip


def test_long_names_and_control_characters_are_no_danger_in_a_header(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", NEW.replace("Colour", "\x1b[31m" + "x" * 150))
    [said] = load(home, policy(new_columns="evolve")).drift
    assert len(said) < 400
    assert "\x1b" not in said
    [(name,)] = rows(home, "SELECT column_name FROM (DESCRIBE lake.raw.sales) WHERE column_name LIKE '%xxx%'")
    assert len(name) <= 63


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (NEW, "new_columns", "the column 'Colour' is new: every row is quarantined"),
        (
            "Item,Qty,Price\nA,1,2\nB,2,2\n",
            "missing_columns",
            "the column 'Day' is missing: every row is quarantined",
        ),
    ],
)
def test_rows_of_a_drifted_file_can_wait_in_quarantine(tmp_path, text, kind, reason):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", text)
    report = load(home, policy(**{kind: "quarantine"}))
    assert report.totals | {"quarantined": 2, "loaded": 0} == report.totals
    assert report.rules == {"schema": 2}
    [first, _] = quarantine.show(Lake.of(home))
    assert (first.raw_text, first.reasons) == (text.splitlines()[1], reason)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (NEW, "new_columns", "the column 'Colour' is not in the contract"),
        ("Item,Qty,Price\nA,1,2\n", "missing_columns", "the column 'Day' is missing"),
        (HEADER + "A,x,1,\nB,y,1,\nC,z,1,\n", "changed_types", "the column 'Qty' is no integer any more"),
        ("Item,Price,Qty\nA,1,2.5\nB,2,3.5\n", "swapped_columns", "swapped? most values of 'Qty'"),
    ],
)
def test_a_drifted_file_can_be_refused_whole(tmp_path, text, kind, sentence):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", text)
    deliver(home, "sales_2.csv", HEADER + "Z,1,1.00,2024-01-01\n")
    report = load(home, policy(**{kind: "reject"}))
    assert sentence in report.refused[0].reason
    assert "change the contract" in report.refused[0].reason
    assert rows(home, "SELECT item_id FROM lake.raw.sales") == [("Z",)]


@pytest.mark.parametrize(
    ("title", "values"),
    [("day", "x,y"), ("Day!", "x,y"), ("Sold", "2024-01-01,2024-01-02")],
)
def test_a_renamed_column_is_told_by_name_or_by_its_values_and_refused(tmp_path, title, values):
    home = company(tmp_path)
    first, second = values.split(",")
    deliver(home, "sales_1.csv", f"Item,Qty,Price,{title}\nA,1,1,{first}\nB,1,1,{second}\n")
    [problem] = load(home, contract()).problems
    assert "'Day'" in problem
    assert f"'{title}'" in problem
    assert "renamed" in problem


def test_a_renamed_column_can_be_passed_over(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", "Item,Qty,Price,day\nA,1,1,2024-01-01\n")
    report = load(home, policy(renamed_columns="freeze", new_columns="evolve"))
    assert report.drift == [
        "sales, sales_1.csv: the column 'day' is not in the contract and 'Day' is missing: renamed? the old one is null, the new one passed over"
    ]
    assert rows(home, "SELECT sold_on FROM lake.raw.sales") == [(None,)]
    assert ("day_2",) not in rows(home, "SELECT column_name FROM (DESCRIBE lake.raw.sales)")


def test_an_abbreviated_required_column_is_named_in_the_refusal(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", "Item,Quantity,Price,Day\nA,1,1,2024-01-01\n")
    assert "'Qty' looks renamed to 'Quantity'" in load(home, contract()).problems[0]


def test_missing_reordered_swapped_and_changed_columns_are_named(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", "Qty,Item,Price\n1,A,1.00\n")
    deliver(home, "sales_2.csv", "Item,Price,Qty,Day\nA,1,2.5,\nB,2,3.5,\nC,3,4,\n")
    deliver(home, "sales_3.csv", HEADER + "A,1,one,\nB,1,two,\nC,1,3,\n")
    report = load(home, contract())
    assert [said.partition(".csv: ")[2] for said in report.drift] == [
        "the column 'Day' is missing: it is null in every row",
        "the columns 'Qty', 'Item' stand in another order: read by their names",
        "the columns 'Price', 'Qty' stand in another order: read by their names",
        "swapped? most values of 'Qty' do not keep its rules but those of 'Price', and the other way round:"
        " each row is judged as it stands",
        "the column 'Price' is no number any more in 2 of its first 3 rows: these rows are quarantined",
    ]


def test_a_column_may_have_a_policy_of_its_own(tmp_path):
    home = company(tmp_path)
    day = replace(ITEM_COLUMNS[3], schema_policy=(("missing_columns", "reject"),))
    deliver(home, "sales_1.csv", "Item,Qty,Price\nA,1,2\n")
    assert "the column 'Day' is missing" in load(home, contract(columns=(*ITEM_COLUMNS[:3], day))).problems[0]
    deliver(home, "other_1.csv", "Item,Qty,Day\nA,1,\n")
    assert load(home, contract("other", columns=(*ITEM_COLUMNS[:3], day))).is_clean


def test_types_of_a_table_only_widen(tmp_path):
    home = company(tmp_path)
    narrow = (Column("item_id", "Item", "string", key=True), Column("n", "N", "integer"),
              Column("price", "Price", "number", precision=9, scale=2), Column("at", "At", "date"))  # fmt: skip
    wide = (narrow[0], Column("n", "N", "number", precision=25, scale=2),
            Column("price", "Price", "number", precision=18, scale=4), Column("at", "At", "timestamp"))  # fmt: skip
    deliver(home, "sales_1.csv", "Item,N,Price,At\nA,1,1.25,2024-01-01\n")
    load(home, contract(columns=narrow))
    deliver(home, "sales_2.csv", "Item,N,Price,At\nB,2.5,1.2345,2024-01-01 10:00\n")
    assert load(home, contract(columns=wide)).totals["loaded"] == 1
    assert rows(
        home, 'SELECT item_id, n::VARCHAR, price::VARCHAR, "at"::VARCHAR FROM lake.raw.sales ORDER BY 1'
    ) == [
        ("A", "1.00", "1.2500", "2024-01-01 00:00:00"),
        ("B", "2.50", "1.2345", "2024-01-01 10:00:00"),
    ]
    deliver(home, "sales_3.csv", "Item,N,Price,At\nC,3,1.25,2024-01-01\n")
    with pytest.raises(ContractError, match="types only widen"):
        load(home, contract(columns=narrow))


def test_a_type_becomes_text_only_if_the_contract_says_so(tmp_path):
    home = company(tmp_path)
    columns = (Column("item_id", "Item", "string", key=True), Column("n", "N", "integer"))
    text = (columns[0], Column("n", "N", "string"))
    deliver(home, "sales_1.csv", "Item,N\nA,1\n")
    load(home, contract(columns=columns))
    deliver(home, "sales_2.csv", "Item,N\nB,x1\n")
    with pytest.raises(ContractError, match="changed_types: evolve"):
        load(home, contract(columns=text))
    load(home, contract(columns=text, schema_policy=SchemaPolicy(changed_types="evolve")))
    assert rows(home, "SELECT n FROM lake.raw.sales ORDER BY item_id") == [("1",), ("x1",)]


def test_a_file_with_thousands_of_new_columns_harms_nothing(tmp_path):
    home = company(tmp_path)
    many = ",".join(f"c{number}" for number in range(3_000))
    deliver(home, "sales_1.csv", f"Item,Qty,Price,Day,{many}\nA,1,1,,{',' * 2_999}\n")
    report = load(home, contract())
    assert (report.totals["loaded"], len(report.drift)) == (1, 21)
    assert report.drift[-1].endswith("2,980 more columns are new: passed over")
    deliver(home, "sales_2.csv", f"Item,Qty,Price,Day,{many}\nB,1,1,,{',' * 2_999}\n")
    [problem] = load(home, policy(new_columns="evolve")).problems
    assert "2,980 more columns are new, and one file may bring 100: the file is refused" in problem


def test_a_table_does_not_grow_without_end(tmp_path, monkeypatch):
    home = company(tmp_path)
    monkeypatch.setattr("lake.raw.MOST_COLUMNS", 20)
    for number in range(3):
        new = ",".join(f"c{number}_{k}" for k in range(6))
        deliver(home, f"sales_{number}.csv", f"Item,Qty,Price,Day,{new}\nA{number},1,1,{',' * 6}\n")
    report = load(home, policy(new_columns="evolve"))
    assert [one.status for one in report.files] == ["loaded", "refused", "refused"]
    assert "more than 20" in report.problems[0]
