"""Where the columns of a fixed-width file stand: `start` and `width` of each, or the server's list of `widths`."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate

from lake.contracts.document import Node
from lake.contracts.model import Column, Location


def place_columns(schema: Node, columns: Iterable[Column], location: Location | None) -> tuple[Column, ...]:
    """Return the columns with their places; problems are noted at the column or the server."""
    found = tuple(columns)
    if location is None:
        return found
    if location.format != "fixed_width":
        for column in found:
            if column.start is not None or column.width is not None:
                _node(schema, column).reject(
                    f"start and width are for fixed_width files, not for {location.format}"
                )
        return found
    if location.widths is not None:
        return _side_by_side(schema, found, location.widths)
    for column in found:
        if column.start is None or column.width is None:
            _node(schema, column).reject(
                f"column {column.name!r} needs its place in the line: add the custom properties start and width, or"
                " widths to the server"
            )
    return found


def _side_by_side(schema: Node, columns: tuple[Column, ...], widths: tuple[int, ...]) -> tuple[Column, ...]:
    if len(widths) != len(columns):
        schema.reject(
            f"widths of the server has {len(widths)} numbers for {len(columns)} columns: write one for each"
        )
        return columns
    placed = [column for column in columns if column.start is not None or column.width is not None]
    for column in placed:
        _node(schema, column).reject("start and width stand beside widths of the server: keep one of them")
    starts = accumulate(widths, initial=1)
    return tuple(
        replace(column, start=start, width=width)
        for column, start, width in zip(columns, starts, widths, strict=False)
    )


def _node(schema: Node, column: Column) -> Node:
    return next(node for node in schema.items("properties") if node.value["name"] == column.name)
