"""Codes of several systems: what links by itself, what a steward has to decide, and what taking it back leaves."""

from pathlib import Path

import duckdb
import pytest

from lake.errors import InputError
from lake.matching import stewarding, texts
from lake.matching.stewarding import Pair
from tests.lake.matching_kit import Codes, item, supplier

GTIN_A, GTIN_B = "9520000000011", "9520000000028"
BY = {"by": "Kim", "reason": "looked at both", "run_id": "steward"}


@pytest.fixture
def codes(tmp_path: Path) -> Codes:
    return Codes(tmp_path)


def only(pairs: list[Pair]) -> Pair:
    assert len(pairs) == 1, pairs
    return pairs[0]


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        (texts.gtin, "4006381333931", "04006381333931"),
        (texts.gtin, "12345678905", "00012345678905"),  # a spreadsheet took its zero
        (texts.gtin, "40-06381 333931", "04006381333931"),
        (texts.gtin, "4006381333932", None),  # check digit
        (texts.gtin, "2000000000008", None),  # for use within one firm
        (texts.gtin, "0000000000000", None),
        (texts.gtin, "９５２００００００００１１", None),
        (texts.code_key, "itm-007 a", "ITM7A"),
        (texts.code_key, "東京-01", "東京1"),
        (texts.code_key, "--", None),
        (texts.name_key, "Müller & Söhne GmbH", "MULLER SOHNE"),
        (texts.name_key, " \u200b ", None),
        (texts.name_key, "x" * 10_000, "X" * texts.NAME_CHARACTERS),
    ],
)
def test_texts_are_normalised(expression, text: str, expected: str | None) -> None:  # type: ignore[no-untyped-def]
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {expression('t')} FROM (SELECT ? AS t)", [text]).fetchone() == (
            expected,
        )


HOSTILE = [
    "",
    "   ",
    "x" * 10_000,
    "'; DROP TABLE lake.raw.item; --",
    "東京 タワー 3",
    "🧹" * 50,
    "\u202enib",
    "a\x00b",
    "((",
    "%_\\",
    "null",
]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Codes:
    """One company with a case of everything, matched once."""
    codes = Codes(tmp_path_factory.mktemp("mixed"))
    part = {"manufacturer": "Mill", "manufacturer_part": "XY1"}
    hostile = [
        item(f"{n}-{text[:40]}", text, gtin=text, manufacturer=text, manufacturer_part=text)
        for n, text in enumerate(HOSTILE)
    ]
    codes.write(
        "item",
        item("ITM-001", "Floor cleaner no. 1", gtin=GTIN_A, list_price=2),
        item("ITM-002", "Broom no. 2", manufacturer="Acme, Inc", manufacturer_part="AB-12/3", list_price=4),
        item("ITM-003", "Mop head no. 3"),
        item("ITM-004", "Sponge set no. 4"),
        item("ITM-005", "Dish soap no. 5", category="Cleaning", unit_weight_kg=1.25),
        item("100", "Kettle"),
        item("200", "Dog chew", gtin=GTIN_B),
        item("P", "Ladder 3 m", gtin="9520000000035"),
        item("Q", "Ladder 3 m", manufacturer="Ladder", manufacturer_part="LD-1"),
        item("A", "Hammer", gtin="9520000000042"),
        item("", "nameless"),
        *hostile,
    )
    codes.write(
        "supplier",
        supplier("SUP-1", "Ohio Works"),
        *(supplier(f"S{n}", text, country=text, tax_id=text * 2) for n, text in enumerate(HOSTILE)),
    )
    codes.write(
        "supplier_item",
        {
            "supplier_id": "SUP-1",
            "item_id": "ITM-003",
            "lead_time_days": 3,
            "unit_price": 1,
            "supplier_part_number": "OW 77.1",
        },
    )
    codes.write("shipper", supplier("sup1", "OHIO WORKS"))
    codes.write(
        "article",
        item("K1", "FLOOR CLEANER NO 1", gtin=GTIN_A),
        item("K2", "BROOM NO 2", manufacturer="ACME INC", manufacturer_part="ab123"),
        item("K3", None, supplier_id="sup1", supplier_part_number="ow-771"),
        item("itm4", "Sponge set no. 4"),
        item("K5", "Dish saop no. 5", category="Cleaning", unit_weight_kg=1.25),
        item("K6", "Nothing like it"),
        item("100", "Garden hose"),
        item("200", "DOG CHEW", gtin="9520000000059"),
        item("PQ", "Ladder 3 m", gtin="9520000000035", manufacturer="Ladder", manufacturer_part="LD1"),
        item("B", "Hammer", gtin="9520000000042", **part),
        item("  ", "blank"),
        *(row | {"item_id": f"z{row['item_id']}"} for row in hostile),
    )
    codes.write(
        "planner_item",
        item("C", "Hammer", gtin="9520000000066", **part),
        item("itm-1", "Floor cleaner no. 1"),
        item("zz", "Kite", list_price=8),
    )
    count = {"counted_on": "2025-01-01", "location_id": "L"}
    codes.write(
        "stock_count",
        *(
            count | {"item_id": code, "counted_units": units}
            for code, units in (("itm-1", 12), ("zz", 1), ("yy", 5))
        ),
    )
    codes.match()
    return codes


def waiting(codes: Codes, *named: str) -> list[Pair]:
    """What waits about these codes of systems beside the master."""
    return [pair for pair in stewarding.waiting(codes.company) if pair.code in named and pair.system != "erp"]


def test_each_method_links_and_says_on_what_rows(mixed: Codes) -> None:
    found = mixed.ask(
        "SELECT code, conformed_id, method FROM lake.staging.crosswalk WHERE system = 'logistics' AND kind = 'item' AND code[1] IN ('K', 'i') ORDER BY 1"
    )
    assert found == [
        ("K1", "ITM-001", "gtin"),
        ("K2", "ITM-002", "manufacturer_part"),
        ("K3", "ITM-003", "supplier_part"),
        ("K5", "ITM-005", "probability"),
        ("K6", "K6", "none"),
        ("itm4", "ITM-004", "normalised_code"),
    ]  # fmt: skip
    link = only(stewarding.links(mixed.company, code="K1"))
    assert link.decided_by == "rule"
    assert link.evidence["code"] | {"file": "article.csv", "line": 2} == link.evidence["code"]
    assert (
        link.evidence["target"] | {"file": "item.csv", "line": 2, "name": "Floor cleaner no. 1"}
        == link.evidence["target"]
    )
    assert link.evidence["found"]["value"] == f"0{GTIN_A}"
    scored = only(stewarding.links(mixed.company, code="K5"))
    outcomes = {one["attribute"]: one["outcome"] for one in scored.evidence["found"]["attributes"]}
    assert (
        outcomes | {"name": "misspelt", "unit_weight_kg": "within 1 %", "list_price": "no value"} == outcomes
    )


def test_the_same_code_for_two_items_is_asked_about_and_never_merged(mixed: Codes) -> None:
    assert mixed.means("100", "logistics") == "logistics:100"
    assert {pair.code: pair.why for pair in waiting(mixed, "100", "200")} == {
        "100": "the same code under another name",
        "200": "another gtin",
    }


def test_identifiers_that_name_two_items_are_a_conflict(mixed: Codes) -> None:
    assert {(pair.target_code, pair.why) for pair in waiting(mixed, "PQ")} == {
        ("P", "its identifiers name different ones"),
        ("Q", "its identifiers name different ones"),
    }
    assert mixed.means("PQ", "logistics") == "PQ"


def test_a_chain_that_contradicts_itself_waits(mixed: Codes) -> None:
    """A = B by GTIN, B = C by part number, but C has another GTIN than A."""
    assert mixed.means("B", "logistics") == "A"
    assert mixed.means("C", "spreadsheets") == "C"
    pair = only(waiting(mixed, "C"))
    assert (pair.target_code, pair.why) == ("A", "another gtin")
    assert pair.evidence["found"]["right"]["code"] == "B"


def test_the_money_of_unmatched_codes_is_counted(mixed: Codes) -> None:
    found = mixed.ask(
        "SELECT codes, unmatched_codes, unmatched_lines, value, unmatched_value FROM lake.staging.unmatched_value WHERE kind = 'item' AND system = 'spreadsheets'"
    )
    typical = 4.0  # no price is listed for itm-1 and yy: the median of 2, 4 and 8
    assert found == [(4, 3, 2, 12 * typical + 8 + 5 * typical, 8 + 5 * typical)]


def test_hostile_names_and_codes_harm_nothing(mixed: Codes) -> None:
    linked = mixed.ask(
        "SELECT code, conformed_id FROM lake.staging.crosswalk WHERE kind = 'item' AND system = 'logistics' AND event_id IS NOT NULL"
        " AND starts_with(code, 'z')"
    )
    assert all(code == f"z{conformed}" for code, conformed in linked)
    assert mixed.ask("SELECT count(*) FROM lake.staging.crosswalk WHERE trim(code) = ''") == [(0,)]


def test_accept_reject_and_undo_leave_exactly_what_stood_before(codes: Codes) -> None:
    codes.write("item", item("A", "Broom"), item("B", "Mop"))
    codes.write("article", item("A", "Sponge"), item("b", "Mop"))
    codes.match()
    before, waits = codes.crosswalk(), stewarding.waiting(codes.company)
    pair = only(waits)
    assert pair.effect == "every line of logistics with A counts as item A"
    with pytest.raises(InputError, match="a person and a reason"):
        stewarding.accept(codes.company, pair.id, by=" ", reason="x", run_id="r")
    with pytest.raises(InputError, match="no pair 'nope'"):
        stewarding.reject(codes.company, "nope", **BY)
    stewarding.accept(codes.company, pair.id, **BY)
    assert codes.means("A", "logistics") == "A"
    assert stewarding.waiting(codes.company) == []
    with pytest.raises(InputError, match="decided already"):  # by another steward, meanwhile
        stewarding.accept(codes.company, pair.id, **BY)
    accepted = codes.crosswalk()
    number = only([one for one in stewarding.links(codes.company) if one.code == "A"]).id
    stewarding.undo(codes.company, number, **BY)
    assert codes.crosswalk() == before
    assert stewarding.waiting(codes.company) == waits
    stewarding.accept(codes.company, pair.id, **BY)
    stewarding.reject(
        codes.company, only([one for one in stewarding.links(codes.company) if one.code == "A"]).id, **BY
    )
    assert codes.crosswalk() == before
    [rejected] = [one for one in stewarding.history(codes.company) if one["decision"] == "reject"]
    stewarding.undo(codes.company, rejected["id"], **BY)
    same = [row[:7] for row in accepted]
    assert [row[:7] for row in codes.crosswalk()] == same
    by_rule = only([one for one in stewarding.links(codes.company) if one.code == "b"]).id
    with pytest.raises(InputError, match="by rule"):
        stewarding.undo(codes.company, by_rule, **BY)
    stewarding.reject(codes.company, by_rule, **BY)
    codes.match()
    assert codes.means("b", "logistics") == "b"
    assert codes.means("A", "logistics") == "A"
    assert codes.ask("SELECT count(*), count(DISTINCT event_id) FROM lake.meta.match_event") == [(7, 7)]


def test_a_second_look_does_nothing_and_a_new_code_alone_is_matched(codes: Codes) -> None:
    codes.write("item", item("A1", "Broom no. 1"), item("A2", "Mop no. 2"))
    codes.write("article", item("a-1", "Broom no. 1"))
    assert codes.match().linked == {"normalised_code": 1}
    assert codes.match().is_standing
    before = codes.crosswalk()
    codes.write("article", item("a-1", "Broom no. 1"), item("a-2", "Mop no. 2"))
    assert codes.match().linked == {"normalised_code": 1}
    assert set(before) < set(codes.crosswalk())


def test_what_was_rejected_is_not_made_over_others(codes: Codes) -> None:
    """S1 is not S3, a person said; S2 is doubled with both."""
    same = {"country": "US", "street": "1 Main Street", "postal_code": "44101", "city": "Akron"}
    codes.write("supplier", supplier("S1", "Ohio Works", **same), supplier("S3", "Ohio Wroks", **same))
    codes.match()
    link = only(stewarding.links(codes.company))
    stewarding.reject(codes.company, link.id, **BY)
    assert codes.means("S3", "erp", "supplier") == "S3"
    codes.write(
        "supplier",
        supplier("S1", "Ohio Works", tax_id="12345678", **same),
        supplier("S3", "Ohio Wroks", tax_id="12345678", **same),
        supplier("S4", "Ohio Works", tax_id="12345678", **same),
    )
    codes.match()
    means = {code: codes.means(code, "erp", "supplier") for code in ("S1", "S3", "S4")}
    assert means["S1"] != means["S3"]
    assert any("rejected" in pair.why for pair in stewarding.waiting(codes.company))


def test_two_suppliers_become_one_and_two_again(codes: Codes) -> None:
    codes.write(
        "supplier",
        supplier("S1", "Ohio Works", tax_id="12-3456789"),
        supplier("S2", "OHIO WORKS, INC.", tax_id="US123456789"),
    )
    codes.write("shipper", supplier("s-2", "Ohio Works"))
    codes.match()
    assert [codes.means(*of, "supplier") for of in (("S2", "erp"), ("s-2", "logistics"))] == ["S1", "S1"]
    merged = next(one for one in stewarding.links(codes.company) if one.code == "S2")
    stewarding.reject(codes.company, merged.id, **BY)
    assert codes.means("S2", "erp", "supplier") == "S2"
    assert codes.means("s-2", "logistics", "supplier") in ("S1", "S2")


def test_a_code_used_again_means_another_item_from_that_day_on(codes: Codes) -> None:
    codes.write(
        "item", item("A", "Broom", gtin=GTIN_A), item("B", "Garden hose", gtin=GTIN_B), known="2025-01-01"
    )
    codes.write("article", item("77", "BROOM", gtin=GTIN_A), known="2025-01-01")
    codes.match()
    codes.write("article", item("77", "GARDEN HOSE", gtin=GTIN_B), known="2025-06-01")
    codes.match()
    assert codes.means("77", "logistics") == "A"  # nothing is guessed
    pair = only(stewarding.waiting(codes.company))
    assert pair.why.startswith("the code means something else than before")
    assert pair.effect == "every line of logistics with 77 counts as item B from 2025-06-01 on"
    stewarding.accept(codes.company, pair.id, **BY)
    spans = codes.ask(
        "SELECT conformed_id, valid_from::VARCHAR, valid_to::VARCHAR FROM lake.staging.crosswalk WHERE code = '77' ORDER BY 2 NULLS FIRST"
    )
    assert spans == [("A", None, "2025-06-01"), ("B", "2025-06-01", None)]
    assert codes.match().is_standing is False
    assert stewarding.waiting(codes.company) == []
