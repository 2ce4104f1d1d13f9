"""Which element of which segment is which column: X12 004010, as it stands in 856, 214 and 846 (and later versions).

A column's name is what a contract's `physicalName` takes it by. Dates come as YYYY-MM-DD, moments as YYYY-MM-DD HH:MM:SS,
without a zone; what is no date comes as it was written, and is refused by the contract's type.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "date", "moment"]


@dataclass(frozen=True)
class Field:
    """Where a column's value stands."""

    column: str
    segment: str
    element: int
    only: tuple[str, ...] = ()
    """Values of the qualifier for which it counts; () for any."""
    qualifier: int = 1
    """Number of the qualifying element."""
    kind: Kind = "text"
    """A moment takes the time from the element after the date."""
    otherwise: int = 0
    """Element taken where `element` is empty."""


ENVELOPE = (
    "interchange_sender", "interchange_receiver", "interchange_control_number", "interchange_at", "is_test",
    "group_control_number", "transaction_control_number",
)  # fmt: skip
"""Columns of every transaction set, from ISA, GS and ST."""

ITEM_NUMBERS = {
    "buyer_item_id": ("BP", "IN", "CB", "PI", "SK"),
    "supplier_item_id": ("VP", "VN", "VC", "VA"),
    "gtin": ("UK", "UP", "EN", "UI", "UA", "UD"),
    "lot": ("LT",),
}
"""Columns from the pairs of qualifier and number in LIN02 onward. `item_id` is the first of the first three that is there."""

PARTIES = (
    Field("ship_from", "N1", 4, ("SF", "SH"), otherwise=2),
    Field("ship_to", "N1", 4, ("ST", "CN"), otherwise=2),
    Field("supplier", "N1", 4, ("SU", "VN", "SE"), otherwise=2),
    Field("buyer", "N1", 4, ("BY", "BT"), otherwise=2),
)
REFERENCES = (
    Field("bill_of_lading", "REF", 2, ("BM", "MB")),
    Field("carrier_reference", "REF", 2, ("CN", "2I")),
)

DESPATCH: dict[str, tuple[Field, ...]] = {
    "": (
        Field("purpose", "BSN", 1),
        Field("shipment_id", "BSN", 2),
        Field("created_at", "BSN", 3, kind="moment"),
    ),
    "S": (
        Field("shipped_at", "DTM", 2, ("011",), kind="moment"),
        Field("expected_at", "DTM", 2, ("017", "067", "002"), kind="moment"),
        Field("packages", "TD1", 2, qualifier=0),
        Field("weight", "TD1", 7, qualifier=0),
        Field("weight_unit", "TD1", 8, qualifier=0),
        Field("carrier", "TD5", 3, qualifier=0, otherwise=5),
        Field("mode", "TD5", 4, qualifier=0),
        Field("equipment", "TD3", 3, qualifier=0),
        *REFERENCES,
        *PARTIES,
    ),
    "O": (
        Field("purchase_order_id", "PRF", 1, qualifier=0),
        Field("purchase_order_date", "PRF", 4, qualifier=0, kind="date"),
        Field("ship_to", "N1", 4, ("ST", "BY", "Z7"), otherwise=2),
    ),
    "T": (Field("pallet_id", "MAN", 2, ("GM", "W", "AI")),),
    "P": (Field("package_id", "MAN", 2, ("GM", "CP", "AI")),),
    "I": (
        Field("line_number", "LIN", 1, qualifier=0),
        Field("shipped_units", "SN1", 2, qualifier=0),
        Field("unit", "SN1", 3, qualifier=0),
        Field("ordered_units", "SN1", 5, qualifier=0),
        Field("description", "PID", 5, qualifier=0),
        Field("lot", "REF", 2, ("LT", "BT")),
        Field("purchase_order_id", "PRF", 1, qualifier=0),
    ),
}
"""856: fields by the level of their HL loop; '' is before the first."""

STATUS: dict[str, tuple[Field, ...]] = {
    "": (
        Field("carrier_reference", "B10", 1, qualifier=0),
        Field("shipment_id", "B10", 2, qualifier=0, otherwise=1),
        Field("carrier", "B10", 3, qualifier=0),
        Field("origin", "N1", 4, ("SF", "SH"), otherwise=2),
        Field("destination", "N1", 4, ("ST", "CN"), otherwise=2),
        Field("purchase_order_id", "L11", 1, ("PO",), qualifier=2),
        Field("bill_of_lading", "L11", 1, ("BM", "MB"), qualifier=2),
        Field("weight", "AT8", 3, qualifier=0),
        Field("weight_unit", "AT8", 2, qualifier=0),
    ),
    "AT7": (
        Field("status_code", "AT7", 1, qualifier=0, otherwise=3),
        Field("reason_code", "AT7", 2, qualifier=0, otherwise=4),
        Field("event_at", "AT7", 5, qualifier=0, kind="moment"),
        Field("time_code", "AT7", 7, qualifier=0),
        Field("city", "MS1", 1, qualifier=0),
        Field("state", "MS1", 2, qualifier=0),
        Field("country", "MS1", 3, qualifier=0),
        Field("equipment", "MS2", 2, qualifier=0),
    ),
}
"""214: fields of the shipment, and of each status with the place and equipment that follow it."""

EVENTS = {
    "XB": "booked", "AA": "booked", "AF": "departed", "P1": "departed", "CP": "loaded", "X6": "en_route", "X4": "arrived",
    "X1": "arrived", "X2": "expected", "AG": "expected", "D1": "delivered", "CD": "delivered", "SD": "delayed", "A7": "refused",
    "CA": "cancelled",
}  # fmt: skip
"""`event_type` by status code (element 1650); of another code it is the code itself."""

LOCATIONS = ("WH", "ST", "SF", "LW", "SN")
"""Qualifiers (N101) of the party that holds what an 846 counts."""
COUNTED = {"17": "on_hand_units", "33": "available_units", "63": "on_order_units", "IQ": "in_transit_units"}
"""Columns by what is counted (QTY01)."""

INVENTORY: dict[str, tuple[Field, ...]] = {
    "": (
        Field("purpose", "BIA", 1),
        Field("report_type", "BIA", 2, qualifier=0),
        Field("report_id", "BIA", 3, qualifier=0),
        Field("reported_on", "BIA", 4, qualifier=0, kind="date"),
        Field("reported_at", "BIA", 4, qualifier=0, kind="moment"),
        Field("location_id", "N1", 4, LOCATIONS, otherwise=2),
        Field("supplier", "N1", 4, ("SU", "VN"), otherwise=2),
    ),
    "LIN": (
        Field("line_number", "LIN", 1, qualifier=0),
        Field("description", "PID", 5, qualifier=0),
        Field("counted_on", "DTM", 2, ("405", "514", "007", "018"), kind="date"),
        Field("location_id", "N1", 4, LOCATIONS, otherwise=2),
        *(Field(column, "QTY", 2, (kind,)) for kind, column in COUNTED.items()),
        Field("unit", "QTY", 3, qualifier=0),
    ),
}
"""846: fields of the report, and of each item; an item with several locations (SDQ) is a row for each."""

LEVELS = {"item": "I", "package": "P", "order": "O", "shipment": "S"}
"""Of an 856: what a row is."""
TRANSACTIONS = ("856", "214", "846")
FIRST_SEGMENT = {"856": "BSN", "214": "B10", "846": "BIA"}
REQUIRED = {
    "BSN": (1, 2, 3, 4), "HL": (1, 3), "LIN": (2, 3), "SN1": (2, 3), "B10": (3,), "BIA": (1, 2, 3, 4), "QTY": (1, 2),
}  # fmt: skip
"""Elements without which a segment says nothing."""


def columns(transaction: str, level: str = "item") -> frozenset[str]:
    """Return the columns that rows of a transaction can have."""
    table = {"856": DESPATCH, "214": STATUS, "846": INVENTORY}[transaction]
    above = {"item": "SOTPI", "package": "SOTP", "order": "SO", "shipment": "S"}[level]
    kinds = [kind for kind in table if transaction != "856" or kind == "" or kind in above]
    found = {field.column for kind in kinds for field in table[kind]} | set(ENVELOPE)
    if transaction == "214":
        found.add("event_type")
    elif transaction == "846" or level == "item":
        found |= {*ITEM_NUMBERS, "item_id"}
    return frozenset(found)
