"""What a contract says of X12 files: which transaction set its rows come from, and what a row is."""

from collections.abc import Iterable

from lake.contracts import values
from lake.contracts.document import Node
from lake.contracts.model import Column, Location
from lake.contracts.standard import suggest
from lake.sources.edi.tables import LEVELS, TRANSACTIONS, columns

X12: dict[str, values.Parser] = {
    "encoding": values.encoding,
    "transaction": values.one_of(*TRANSACTIONS),
    "level": values.one_of(*LEVELS),
}
"""Custom properties of the server, for X12; each is a field of `Location`."""


def check_columns(schema: Node, found: Iterable[Column], location: Location | None) -> None:
    """Judge that every column is one of the contract's transaction set."""
    if location is None or location.format != "x12":
        return
    if not location.transaction:
        schema.document.reject(
            ("servers", 0), f"the transaction is missing: write one of {', '.join(TRANSACTIONS)}"
        )
        return
    known = columns(location.transaction, location.level)
    nodes = {node.value["name"]: node for node in schema.items("properties")}
    for column in found:
        if column.source_name not in known:
            nodes[column.name].reject(
                f"{column.source_name!r} is no column of {location.transaction} by {location.level}:"
                f" {suggest(column.source_name, known)}"
            )
