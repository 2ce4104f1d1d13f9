"""Small interchanges of made-up companies, as the tests send them."""

from collections.abc import Sequence
from dataclasses import replace

from lake.sources.edi.writing import USUAL, Elements, Envelope, Separators, WrittenGroup, write_interchange

ENVELOPE = Envelope("NORTHMILL", "ACME", "000000101", "240131", "1015")

DESPATCH: list[Elements] = [
    ("ST", "856", "0001"),
    ("BSN", "00", "SH1001", "20240131", "1010", "0001"),
    ("HL", "1", "", "S"),
    ("TD1", "PLT", "2", "", "", "", "G", "250.5", "KG"),
    ("TD5", "B", "2", "FAST", "M"),
    ("REF", "BM", "BOL77"),
    ("DTM", "011", "20240130", "2230"),
    ("DTM", "017", "20240202"),
    ("N1", "SF", "North Mill", "92", "SUP-01"),
    ("N1", "ST", "Acme Centre", "92", "DC-01"),
    ("HL", "2", "1", "O"),
    ("PRF", "PO5001", "", "", "20240115"),
    ("HL", "3", "2", "P"),
    ("MAN", "GM", "00340000000000000017"),
    ("HL", "4", "3", "I"),
    ("LIN", "1", "BP", "00123", "VP", "NM-7", "UP", "012345678905"),
    ("SN1", "", "24", "EA", "", "30"),
    ("PID", "F", "", "", "", "Steel bolt"),
    ("HL", "5", "3", "I"),
    ("LIN", "2", "VP", "NM-8"),
    ("SN1", "", "6.5", "KG"),
    ("HL", "6", "1", "O"),
    ("PRF", "PO5002"),
    ("HL", "7", "6", "I"),
    ("LIN", "1", "BP", "00200"),
    ("SN1", "", "10", "EA"),
    ("CTT", "7", "40.5"),
]

STATUS: list[Elements] = [
    ("ST", "214", "0001"),
    ("B10", "PRO99", "SH1001", "FAST"),
    ("L11", "PO5001", "PO"),
    ("N1", "SH", "North Mill", "92", "SUP-01"),
    ("N1", "CN", "Acme Centre", "92", "DC-01"),
    ("LX", "1"),
    ("AT7", "AF", "NS", "", "", "20240130", "2230", "LT"),
    ("MS1", "Hull", "", "GB"),
    ("LX", "2"),
    ("AT7", "X1", "NS", "", "", "20240202", "0815", "LT"),
    ("MS1", "Leeds", "", "GB"),
    ("MS2", "FAST", "TRAILER5"),
    ("AT7", "D1", "NS", "", "", "20240202", "0930", "LT"),
    ("AT8", "G", "K", "250.5", "2"),
]

INVENTORY: list[Elements] = [
    ("ST", "846", "0001"),
    ("BIA", "00", "SI", "INV9", "20240131", "2359"),
    ("N1", "WH", "Acme Centre", "92", "DC-01"),
    ("LIN", "1", "BP", "00123", "UP", "012345678905"),
    ("QTY", "17", "120", "EA"),
    ("QTY", "33", "100", "EA"),
    ("LIN", "2", "BP", "00200"),
    ("SDQ", "EA", "92", "ST-01", "7", "ST-02", "9"),
    ("QTY", "17", "16", "EA"),
    ("CTT", "2", "236"),
]

FUNCTIONS = {"856": "SH", "214": "QM", "846": "IB"}


def group(*sets: Sequence[Elements], control_number: str = "11") -> WrittenGroup:
    """Return a group of sets of one kind."""
    function = FUNCTIONS.get(sets[0][0][1], "PO")
    return WrittenGroup(function, "NORTHMILL", "ACME", "20240131", "1015", control_number, "004010", sets)


def interchange(
    *sets: Sequence[Elements],
    separators: Separators = USUAL,
    control_number: str = "000000101",
    version: str = "00401",
) -> str:
    """Return an interchange with one group of these sets."""
    envelope = replace(ENVELOPE, control_number=control_number, version=version)
    return write_interchange(envelope, [group(*sets)], separators)


def renumbered(segments: Sequence[Elements], control_number: str) -> list[Elements]:
    """Return a set with another control number."""
    return [("ST", segments[0][1], control_number), *segments[1:]]
