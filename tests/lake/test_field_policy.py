"""Fields of JSON, JSON lines and XML that the contract has not, or that no row has: what `schema_policy` says is done."""

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from lake.contracts.model import Column, SchemaPolicy
from lake.sources.json_records import TEXT, FieldsSeen
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = {
    ".": (
        Column("item_id", "item.id", "string", required=True),
        Column("units", "units", "integer"),
        Column("note", "note", "string"),
    ),
    "/": (
        Column("item_id", "Item/@id", "string", required=True),
        Column("units", "Units", "integer"),
        Column("note", "Note", "string"),
    ),
}
PLAIN = [{"item": {"id": "A"}, "units": 1, "note": "x"}, {"item": {"id": "B"}, "units": 2, "note": None}]
MORE = [
    *PLAIN,
    {"item": {"id": "C", "colour": "red"}, "units": 3, "note": "y", "made": {"in": {"city": "Hull"}}},
]


def as_jsonl(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


def as_xml(records: list[dict[str, Any]]) -> str:
    def element(name: str, value: Any) -> str:
        if isinstance(value, dict):
            identity = f" id='{value['id']}'" if "id" in value else ""
            inner = "".join(element(key.title(), one) for key, one in value.items() if key != "id")
            return f"<{name}{identity}>{inner}</{name}>"
        return "" if value is None else f"<{name}>{value}</{name}>"

    rows_ = "".join(element("Row", dict(record)) for record in records)
    return f"<Rows>{rows_.replace('<item', '<Item').replace('</item', '</Item')}</Rows>"


FORMATS = {
    "jsonl": (".", as_jsonl, {}),
    "json": (".", json.dumps, {}),
    "xml": ("/", as_xml, {"record_path": "Row"}),
}


def made(kind: str, policy: SchemaPolicy = SchemaPolicy(), **location: Any):  # noqa: B008  # frozen
    separator, _, more = FORMATS[kind]
    return contract(
        "sales", COLUMNS[separator], schema_policy=policy,
        location={"path": "${INBOX}/sales*." + kind, "format": kind} | more | location,
    )  # fmt: skip


def send(home, kind, records, name="sales_1"):
    deliver(home, f"{name}.{kind}", FORMATS[kind][1](records))


@pytest.mark.parametrize("kind", FORMATS)
def test_new_fields_evolve_into_text_wherever_they_first_appear(tmp_path, kind):
    home, evolving = company(tmp_path), made(kind, SchemaPolicy(new_columns="evolve"))
    send(home, kind, PLAIN)
    assert load(home, evolving).drift == []
    send(home, kind, MORE, "sales_2")
    report = load(home, evolving)
    assert report.is_clean
    assert report.totals | {"loaded": 3, "quarantined": 0} == report.totals
    assert len(report.drift) == 2
    names = ("item_colour", "made_in_city")
    assert all(f"loaded as text into {name}" in "".join(report.drift) for name in names)
    assert rows(
        home, f"SELECT item_id, units, {', '.join(names)} FROM lake.raw.sales WHERE item_id = 'C'"
    ) == [("C", 3, "red", "Hull")]
    assert rows(home, "SELECT count(*) FROM lake.raw.sales WHERE item_colour IS NULL") == [(4,)]


@pytest.mark.parametrize("kind", FORMATS)
def test_new_fields_may_refuse_the_file_or_put_all_of_it_into_quarantine(tmp_path, kind):
    home = company(tmp_path)
    send(home, kind, MORE)
    [refused] = load(home, made(kind, SchemaPolicy(new_columns="reject"))).refused
    assert "is new: the file is refused" in refused.reason
    report = load(home, made(kind, SchemaPolicy(new_columns="quarantine")), run_id="again")
    assert report.rules == {"schema": 3}
    assert report.totals | {"rows_read": 3, "quarantined": 3} == report.totals


@pytest.mark.parametrize("kind", FORMATS)
def test_without_a_word_of_it_rows_with_other_fields_are_judged_one_by_one(tmp_path, kind):
    home = company(tmp_path)
    send(home, kind, MORE)
    report = load(home, made(kind))
    assert (report.rules, report.totals["loaded"]) == ({"unknown_field": 1}, 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_field_that_no_row_has_is_missing_and_one_that_some_lack_is_not(tmp_path, kind):
    home = company(tmp_path)
    some = [{key: value for key, value in PLAIN[0].items() if key != "note"}, PLAIN[1] | {"note": "z"}]
    none = [{key: value for key, value in one.items() if key != "note"} for one in PLAIN]
    rejecting = made(kind, SchemaPolicy(missing_columns="reject"))
    send(home, kind, some)
    assert load(home, rejecting).totals["loaded"] == 2
    send(home, kind, none, "sales_2")
    [refused] = load(home, rejecting, run_id="two").refused
    assert "is missing: the file is refused" in refused.reason
    columns = rejecting.columns
    own = (*columns[:2], replace(columns[2], schema_policy=(("missing_columns", "quarantine"),)))
    report = load(home, replace(made(kind), columns=own), run_id="three")
    assert report.rules == {"schema": 2}
    send(home, kind, MORE, "sales_3")  # new fields are still judged row by row
    assert load(home, rejecting, run_id="four").rules == {"unknown_field": 1}


def test_a_field_with_a_similar_name_is_taken_for_a_renamed_one(tmp_path):
    home = company(tmp_path)
    send(home, "jsonl", [{"item": {"id": "A"}, "unit": 1, "note": "x"}])
    [refused] = load(home, made("jsonl", SchemaPolicy(new_columns="evolve"))).refused
    assert "'unit' is not in the contract and 'units' is missing: renamed?" in refused.reason


def test_a_list_or_a_name_with_a_dot_is_lost_nowhere(tmp_path):
    home, evolving = company(tmp_path), made("jsonl", SchemaPolicy(new_columns="evolve"))
    odd = [
        PLAIN[0] | {"tags": ["a", "b"]},
        PLAIN[1] | {"a.b": "1"},
        PLAIN[0] | {"a": {"b": "2"}},
        PLAIN[1] | {"e": {}},
    ]
    send(home, "jsonl", odd)
    report = load(home, evolving)
    assert report.rules == {"nested": 2, "unknown_field": 1}
    assert rows(home, "SELECT a_b FROM lake.raw.sales") == [("2",)]


def test_more_new_fields_than_a_schema_can_have_refuse_the_file(tmp_path):
    home = company(tmp_path)
    send(home, "jsonl", [PLAIN[0] | {f"f{n}": "1"} for n in range(150)])
    [refused] = load(home, made("jsonl", SchemaPolicy(new_columns="evolve"))).refused
    assert "one file may bring 100" in refused.reason


def test_pages_in_an_archive_are_one_file(tmp_path):
    home = company(tmp_path)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, records in enumerate((PLAIN, MORE)):
            content = json.dumps(records).encode()
            entry = tarfile.TarInfo(f"page_{number}.json")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    deliver(home, "sales_1.tar", packed.getvalue())
    evolving = made("json", SchemaPolicy(new_columns="evolve"), path="${INBOX}/sales*.tar")
    report = load(home, evolving)
    assert report.totals | {"loaded": 5, "quarantined": 0} == report.totals
    assert rows(home, "SELECT item_colour FROM lake.raw.sales WHERE item_colour IS NOT NULL") == [("red",)]


def test_what_is_seen_stays_small_and_costs_one_look_at_each_field():
    seen = FieldsSeen()
    seen.note([{f"field {n}": n} for n in range(20_000)], {"units": {TEXT: {}}}, ".")
    assert len(seen.new) == 10_001
