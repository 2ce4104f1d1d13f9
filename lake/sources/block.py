"""What a source hands on: a block of text rows with their place in the file, and rows it could not take apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import polars as pl


@dataclass(frozen=True)
class Reason:
    """Why a row is refused: the rule, the column it is about (None: the row as a whole), and a sentence."""

    rule: str
    column: str | None
    message: str


@dataclass(frozen=True)
class Refused:
    """A row that never became fields: where it stands, whole, with every reason."""

    line: int
    raw_text: str
    reasons: tuple[Reason, ...]


@dataclass
class Block:
    """Some thousand rows: one column per contract column, as text or with the contract's own type (`typed.py`)."""

    text: pl.DataFrame
    """String columns, null where the field is empty; or a column whose every value is one of the contract's type."""
    lines: pl.Series
    """Int64: the physical line or row on which each row starts, 1-based."""
    raw_text: Callable[[Sequence[int]], list[str]]
    """The rows at these positions of `text`, as they were delivered."""
    refused: list[Refused] = field(default_factory=list)
    marks: list[tuple[int, Reason]] = field(default_factory=list)
    """(position in `text`, reason) that the source found in rows that do have their fields."""
    sheet: str | None = None
    header: tuple[str, ...] | None = None
    """The columns that the file has, in its order; None where records name their fields one by one."""

    @property
    def rows(self) -> int:
        """Rows read: those with fields and those without."""
        return self.text.height + len(self.refused)


def merged(blocks: Sequence[Block]) -> Block:
    """Return the rows of blocks of one sheet, in their order, as one block that no longer needs them."""
    raw = [text for block in blocks for text in block.raw_text(range(block.text.height))]
    before = [0, *accumulate(block.text.height for block in blocks)]
    return Block(
        text=pl.concat(block.text for block in blocks),
        lines=pl.concat(block.lines for block in blocks),
        raw_text=lambda rows: [raw[row] for row in rows],
        refused=[one for block in blocks for one in block.refused],
        marks=[
            (first + row, reason)
            for first, block in zip(before, blocks, strict=False)
            for row, reason in block.marks
        ],
        sheet=blocks[0].sheet,
    )


def in_order(one: Block, other: Block) -> Block:
    """Return the rows of two blocks of the same columns as one, in the order of their lines."""
    lines = pl.concat([one.lines, other.lines])
    order = lines.arg_sort()
    places = order.arg_sort().to_list()  # of each row of the two where it stands now
    before = one.text.height

    def raw_text(rows: Sequence[int]) -> list[str]:
        at = [int(order[row]) for row in rows]
        of_one, of_other = [row for row in at if row < before], [row for row in at if row >= before]
        told = dict(zip(of_one, one.raw_text(of_one), strict=True))
        told |= zip(of_other, other.raw_text([row - before for row in of_other]), strict=True)
        return [told[row] for row in at]

    return Block(
        pl.concat([one.text, other.text])[order],
        lines[order],
        raw_text,
        refused=[*one.refused, *other.refused],
        marks=[
            *((places[row], reason) for row, reason in one.marks),
            *((places[before + row], reason) for row, reason in other.marks),
        ],
    )
