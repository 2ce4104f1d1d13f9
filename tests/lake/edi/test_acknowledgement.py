"""The answer to an interchange: what it says of each set, once, after the rows are committed."""

import pytest

from lake.contracts.model import Column
from lake.sources.edi.acknowledgement import acknowledge
from lake.sources.edi.interchange import read_interchanges
from lake.sources.edi.writing import write_interchange
from tests.lake.edi.samples import DESPATCH, ENVELOPE, INVENTORY, STATUS, group, interchange, renumbered
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = tuple(
    Column(name, name, kind, scale=3) for name, kind in (("shipment_id", "string"), ("item_id", "string"), ("shipped_units", "number"))
)  # fmt: skip


def answer(content):
    """Return the answer's segments."""
    [one] = read_interchanges(content, "a.x12")
    text = acknowledge(one)
    return [segment.strip().split("*") for segment in text.split("~")[:-1]] if text else None


def about_sets(content):
    return [segment for segment in answer(content) if segment[0].startswith("AK")]


def test_the_answer_goes_back_to_the_sender_and_counts_right():
    segments = answer(interchange(DESPATCH))
    isa, gs, st = segments[:3]
    assert (isa[6].strip(), isa[8].strip(), isa[13]) == ("ACME", "NORTHMILL", "000000101")
    assert gs == ["GS", "FA", "ACME", "NORTHMILL", "20240131", "1015", "101", "X", "004010"]
    assert segments[3:] == [
        ["AK1", "SH", "11"], ["AK2", "856", "0001"], ["AK5", "A"], ["AK9", "A", "1", "1", "1"],
        ["SE", "6", "0001"], ["GE", "1", "101"], ["IEA", "1", "000000101"],
    ]  # fmt: skip
    assert st == ["ST", "997", "0001"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("SE*28*0001", "SE*27*0001", [["AK5", "R", "4"], ["AK9", "R", "1", "1", "0"]]),
        ("SE*28*0001", "SE*28*0002", [["AK5", "R", "3"], ["AK9", "R", "1", "1", "0"]]),
        ("SE*28*0001~\n", "", [["AK5", "R", "2"], ["AK9", "R", "1", "1", "0"]]),
        ("CTT*7*40.5", "CTT*8*40.5", [["AK3", "CTT", "27", "", "8"], ["AK4", "1", "", "7"], ["AK5", "R", "5"], ["AK9", "R", "1", "1", "0"]]),
        ("HL*5*3*I", "HL*5*9*I", [["AK3", "HL", "19", "", "8"], ["AK4", "2", "", "7"], ["AK5", "E", "5"], ["AK9", "E", "1", "1", "1"]]),
        ("LIN*2*VP*NM-8", "LIN*2*VP", [["AK3", "LIN", "20", "", "8"], ["AK4", "3", "", "1"], ["AK5", "E", "5"], ["AK9", "E", "1", "1", "1"]]),
        ("GE*1*11", "GE*3*11", [["AK5", "R"], ["AK9", "R", "3", "1", "0", "5"]]),
        ("GE*1*11", "GE*1*12", [["AK5", "R"], ["AK9", "R", "1", "1", "0", "4"]]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(old, new, expected):
    content = interchange(DESPATCH)
    assert content.count(old) == 1
    assert about_sets(content.replace(old, new))[2:] == expected


def test_one_set_of_two_is_refused():
    content = interchange(DESPATCH, renumbered(DESPATCH, "0002")).replace("SE*28*0002", "SE*1*0002")
    assert [segment for segment in about_sets(content) if segment[0] in ("AK5", "AK9")] == [
        ["AK5", "A"], ["AK5", "R", "4"], ["AK9", "P", "2", "2", "1"],
    ]  # fmt: skip


def test_sets_that_are_not_read_are_not_accepted():
    order = [("ST", "850", "0001"), ("BEG", "00", "SA", "PO1", "", "20240131")]
    assert about_sets(interchange(order))[1:] == [
        ["AK2", "850", "0001"],
        ["AK5", "R", "1"],
        ["AK9", "R", "1", "1", "0"],
    ]


def test_a_wrong_interchange_is_answered_by_ta1():
    content = interchange(DESPATCH).replace("IEA*1*000000101", "IEA*1*000000999")
    assert answer(content)[1] == ["TA1", "000000101", "240131", "1015", "R", "001"]


def test_an_answer_is_not_answered():
    [one] = read_interchanges(interchange(DESPATCH), "a")
    assert answer(acknowledge(one)) is None


def test_each_group_has_its_answer():
    content = write_interchange(
        ENVELOPE, [group(DESPATCH), group(STATUS, control_number="12"), group(INVENTORY, control_number="13")]
    )
    assert [segment for segment in about_sets(content) if segment[0] in ("AK1", "AK9")] == [
        ["AK1", "SH", "11"], ["AK9", "A", "1", "1", "1"], ["AK1", "QM", "12"], ["AK9", "A", "1", "1", "1"],
        ["AK1", "IB", "13"], ["AK9", "A", "1", "1", "1"],
    ]  # fmt: skip


def test_files_are_answered_once_after_their_rows_are_in(tmp_path):
    home = company(tmp_path)
    location = {"path": "${INBOX}/asn_*.x12", "format": "x12", "transaction": "856"}
    asn = contract("asn", COLUMNS, location=location, duplicates="drop")
    deliver(home, "asn_1.x12", interchange(DESPATCH))
    broken = interchange(DESPATCH, control_number="000000102").replace("SE*28", "SE*27")
    deliver(home, "asn_2.x12", broken)
    report = load(home, asn)
    assert report.totals | {"rows_read": 6, "loaded": 3, "quarantined": 3} == report.totals
    assert rows(home, "SELECT item_id, shipped_units::VARCHAR, _line FROM lake.raw.asn ORDER BY _line") == [
        ("00123", "24.000", 17), ("NM-8", "6.500", 21), ("00200", "10.000", 26),
    ]  # fmt: skip
    folder = home.exports / "edi"
    assert sorted(path.name for path in folder.iterdir()) == [
        "997_NORTHMILL_000000101.x12",
        "997_NORTHMILL_000000102.x12",
    ]
    first, second = ((folder / f"997_NORTHMILL_00000010{n}.x12").read_text() for n in (1, 2))
    assert "AK5*A~" in first and "AK5*R*4~" in second
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    deliver(home, "asn_3.x12", interchange(DESPATCH))
    again = load(home, asn, run_id="again")
    assert again.is_clean and again.totals["loaded"] == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    deliver(home, "asn_4.x12", interchange(renumbered(DESPATCH, "0009")))
    reused = load(home, asn, run_id="reused")
    assert any(
        "a control number that was answered before for other content" in one for one in reused.problems
    )
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
