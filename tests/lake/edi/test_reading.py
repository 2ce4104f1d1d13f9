"""X12 as rows: loops flattened, separators from the interchange, every count and control number checked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.conforming import conform
from lake.sources.edi.reading import read_x12
from lake.sources.edi.tables import columns
from lake.sources.edi.writing import Separators
from tests.lake.edi.samples import DESPATCH, INVENTORY, STATUS, interchange, renumbered
from tests.lake.loading_kit import contract


def text_columns(*names):
    return tuple(Column(name, name, "string") for name in names)


def read(path, content, transaction, *names, level="item", encoding="utf-8"):
    """Return the good rows, and {segment: rules} of the refused ones."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    location = {
        "format": "x12",
        "path": "a",
        "transaction": transaction,
        "level": level,
        "encoding": encoding,
    }
    of = contract("a", text_columns(*names), location=location)
    good, refused = [], {}
    for block in read_x12(path, path.name, of):
        conformed = conform(block, of, {})
        good += conformed.good.select(names).rows()
        refused |= {row["line"]: row["rules"] for row in conformed.refused.iter_rows(named=True)}
        assert conformed.rows == block.rows
    return good, refused


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.x12"


def test_a_despatch_advice_by_item(path):
    good, refused = read(
        path, interchange(DESPATCH), "856",
        "shipment_id", "shipped_at", "expected_at", "carrier", "weight", "ship_from", "ship_to", "purchase_order_id",
        "package_id", "line_number", "item_id", "gtin", "shipped_units", "unit", "interchange_control_number",
    )  # fmt: skip
    shipment = ("SH1001", "2024-01-30 22:30:00", "2024-02-02 00:00:00", "FAST", "250.5", "SUP-01", "DC-01")
    carton = "00340000000000000017"
    assert refused == {}
    assert good == [
        (*shipment, "PO5001", carton, "1", "00123", "012345678905", "24", "EA", "000000101"),
        (*shipment, "PO5001", carton, "2", "NM-8", None, "6.5", "KG", "000000101"),
        (*shipment, "PO5002", None, "1", "00200", None, "10", "EA", "000000101"),
    ]


def test_a_despatch_advice_by_order_and_by_shipment(path):
    assert read(path, interchange(DESPATCH), "856", "shipment_id", "purchase_order_id", level="order")[0] == [
        ("SH1001", "PO5001"), ("SH1001", "PO5002"),
    ]  # fmt: skip
    assert read(path, interchange(DESPATCH), "856", "shipment_id", level="shipment")[0] == [("SH1001",)]


def test_a_shipment_status(path):
    good, refused = read(
        path, interchange(STATUS), "214",
        "shipment_id", "event_type", "event_at", "origin", "destination", "city", "equipment", "purchase_order_id", "weight",
    )  # fmt: skip
    assert refused == {}
    ends = ("SUP-01", "DC-01")
    assert good == [
        ("SH1001", "departed", "2024-01-30 22:30:00", *ends, "Hull", None, "PO5001", "250.5"),
        ("SH1001", "arrived", "2024-02-02 08:15:00", *ends, "Leeds", "TRAILER5", "PO5001", "250.5"),
        ("SH1001", "delivered", "2024-02-02 09:30:00", *ends, None, None, "PO5001", "250.5"),
    ]


def test_an_inventory_advice(path):
    good, refused = read(
        path,
        interchange(INVENTORY),
        "846",
        "reported_on",
        "location_id",
        "item_id",
        "on_hand_units",
        "available_units",
    )
    assert refused == {}
    assert good == [
        ("2024-01-31", "DC-01", "00123", "120", "100"),
        ("2024-01-31", "ST-01", "00200", "7", None),
        ("2024-01-31", "ST-02", "00200", "9", None),
    ]


def test_locations_within_an_item(path):
    lines = interchange(INVENTORY).replace("SDQ*EA*92*ST-01*7*ST-02*9~", "N1*ST*One*92*ST-01~")
    columns = ("location_id", "item_id", "on_hand_units")
    assert read(path, lines, "846", *columns)[0][1] == ("ST-01", "00200", "16")
    pairs = "N1*ST*One*92*ST-01~QTY*17*7~N1*ST*Two*92*ST-02~QTY*17*9~"
    each = (
        interchange(INVENTORY)
        .replace("SDQ*EA*92*ST-01*7*ST-02*9~\nQTY*17*16*EA~", pairs)
        .replace("SE*11", "SE*13")
    )
    assert read(path, each, "846", *columns)[0][1:] == [("ST-01", "00200", "7"), ("ST-02", "00200", "9")]
    unclear = each.replace("QTY*17*7~", "").replace("SE*13", "SE*12").replace("*236", "*229")
    good, refused = read(path, unclear, "846", *columns)
    assert (len(good), refused) == (1, {9: ["segment"]})


NAMES = ("shipment_id", "item_id", "shipped_units")


@pytest.mark.parametrize(
    "separators",
    [
        Separators("*", ">", "~", ""),
        Separators("*", ">", "~", "\r\n"),
        Separators("|", ":", "'", "\n"),
        Separators("\x1d", "\x1f", "\x1c", ""),
        Separators("*", ">", "\n", ""),
        Separators("+", ":", "!", "\n\n"),
    ],
)
@pytest.mark.parametrize("version", ["00200", "00401", "00501"])
def test_separators_come_from_the_interchange(path, separators, version):
    expected = read(path, interchange(DESPATCH), "856", *NAMES)
    assert len(expected[0]) == 3
    assert (
        read(path, interchange(DESPATCH, separators=separators, version=version), "856", *NAMES) == expected
    )


@pytest.mark.parametrize("width", [40, 80, 81])
def test_lines_may_be_cut_anywhere(path, width):
    content = interchange(DESPATCH, renumbered(DESPATCH, "0002"), separators=Separators(line_end=""))
    wrapped = "\r\n".join(content[i : i + width] for i in range(0, len(content), width))
    assert read(path, wrapped, "856", *NAMES) == read(path, content, "856", *NAMES)


def test_several_interchanges_with_separators_of_their_own(path):
    second = interchange(DESPATCH, separators=Separators("|", ":", "'"), control_number="000000102")
    good, refused = read(
        path, interchange(DESPATCH) + "\n" + second, "856", "interchange_control_number", "item_id"
    )
    assert ([row[0] for row in good], refused) == (["000000101"] * 3 + ["000000102"] * 3, {})


def test_other_transaction_sets_are_left_to_their_datasets(path):
    content = interchange(DESPATCH) + interchange(STATUS, control_number="000000102")
    assert len(read(path, content, "856", *NAMES)[0]) == 3
    with pytest.raises(FileRefused, match="has no transaction set 846"):
        read(path, content, "846", "item_id")


@pytest.mark.parametrize(
    ("old", "new", "segment"),
    [
        ("SE*28*0001", "SE*27*0001", 30),
        ("SE*28*0001", "SE*28*0002", 30),
        ("CTT*7*40.5", "CTT*6*40.5", 29),
        ("CTT*7*40.5", "CTT*7*41.5", 29),
        ("GE*1*11", "GE*2*11", 31),
        ("GE*1*11", "GE*1*12", 31),
        ("IEA*1*000000101", "IEA*1*000000999", 32),
        ("IEA*1*000000101", "IEA*2*000000101", 32),
        ("SE*28*0001~\n", "", 29),
        ("GE*1*11~\n", "", 31),
        ("IEA*1*000000101~\n", "", 31),
    ],
)
def test_a_wrong_count_or_control_number_refuses_every_row(path, old, new, segment):
    content = interchange(DESPATCH)
    assert content.count(old) == 1
    good, refused = read(path, content.replace(old, new), "856", *NAMES)
    assert good == []
    assert sorted(refused) == [17, 21, 26]
    assert all("control_count" in rules for rules in refused.values())


def test_a_good_set_beside_a_bad_one_loads(path):
    content = interchange(DESPATCH, renumbered(DESPATCH, "0002"))
    broken = content.replace("SE*28*0002", "SE*99*0002")
    good, refused = read(path, broken, "856", *NAMES)
    assert (len(good), len(refused)) == (3, 3)


def test_a_wrong_parent_or_a_missing_element_refuses_its_rows_alone(path):
    good, refused = read(path, interchange(DESPATCH).replace("HL*5*3*I", "HL*5*9*I"), "856", *NAMES)
    assert (len(good), refused) == (2, {21: ["segment"]})
    good, refused = read(path, interchange(DESPATCH).replace("LIN*2*VP*NM-8", "LIN*2*VP"), "856", *NAMES)
    assert (len(good), refused) == (2, {21: ["segment"]})


def test_the_same_interchange_twice_loads_once(path):
    good, refused = read(path, interchange(DESPATCH) * 2, "856", *NAMES)
    assert (len(good), len(refused)) == (3, 3)
    assert {rule for rules in refused.values() for rule in rules} == {"duplicate_interchange"}


def test_the_same_set_number_twice_is_refused(path):
    good, refused = read(path, interchange(DESPATCH, DESPATCH), "856", *NAMES)
    assert (len(good), len(refused)) == (3, 3)


@pytest.mark.parametrize(
    "content",
    [
        "", "\n\n", "hello", "ISA", "ISA*00*", "x" * 500, "ISA" + "A" * 200, b"\xff\xfe\x00\x01" * 40, "UNB+UNOA:1+S+R'" * 20,
        interchange(DESPATCH)[:90],
    ],
)  # fmt: skip
def test_what_is_no_x12_is_refused(path, content):
    with pytest.raises(FileRefused, match=r"a\.x12"):
        read(path, content, "856", *NAMES)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_loses_no_row_in_silence(tmp_path_factory, data):
    """Cut, double or swap segments: the good rows are rows of the original, and something is refused or nothing changed."""
    segments = interchange(DESPATCH).split("\n")[:-1]
    i = data.draw(st.integers(1, len(segments) - 1))
    how = data.draw(st.sampled_from(["cut", "double", "end"]))
    damaged = {
        "cut": segments[:i] + segments[i + 1 :], "double": segments[:i] + segments[i : i + 1] * 2 + segments[i + 1 :],
        "end": segments[:i],
    }[how]  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "damaged.x12"
    original, _ = read(path, "\n".join(segments), "856", *NAMES)
    try:
        good, refused = read(path, "\n".join(damaged), "856", *NAMES)
    except FileRefused:
        return
    assert set(good) <= set(original)
    assert refused or good == original


def test_every_column_of_the_tables_can_be_named():
    assert {"item_id", "shipped_units", "interchange_sender"} <= columns("856")
    assert "shipped_units" not in columns("856", "shipment")
    assert {"event_type", "event_at"} <= columns("214")
    assert {"location_id", "on_hand_units"} <= columns("846")
