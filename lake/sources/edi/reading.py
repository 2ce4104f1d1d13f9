"""The reader of X12 files: every transaction set of the contract's kind, as rows; sets that do not add up are quarantined."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from lake.contracts.model import Contract, Location
from lake.errors import FileRefused
from lake.sources.block import Block, Reason, Refused
from lake.sources.edi.interchange import Interchange, Problem, Segment, TransactionSet, read_interchanges
from lake.sources.edi.rows import Row, content_problems, envelope, rows_of
from lake.sources.text import clean, has_halves, text_chunks

MAX_CHARACTERS = 512 << 20


def read_x12(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read the transaction sets of the contract's kind, a block for each interchange; a row's line is its segment.

    A set with a wrong control number or count is refused row by row (rule `control_count`), as is all of an interchange
    whose own numbers are wrong. Raises `FileRefused` for what is no X12, or has no such transaction set.
    """
    rows = 0
    for interchange in read_interchanges(file_text(path, name, contract.location), name):
        block = _block(interchange, contract)
        rows += block.rows
        if block.rows:
            yield block
    if rows == 0:
        raise FileRefused(
            f"{name} has no transaction set {contract.location.transaction}: deliver it to the dataset it is for, or"
            " correct `transaction` in the contract."
        )


def file_text(path: Path, name: str, location: Location) -> str:
    """Return the text of a file. Raises `FileRefused` for one of more than `MAX_CHARACTERS`."""
    found: list[str] = []
    size = 0
    for chunk in text_chunks(path, name, location):
        found.append(chunk)
        size += len(chunk)
        if size > MAX_CHARACTERS:
            raise FileRefused(
                f"{name} is larger than {MAX_CHARACTERS >> 20} MB: deliver its interchanges one by one."
            )
    return "".join(found)


def _block(interchange: Interchange, contract: Contract) -> Block:
    location = contract.location
    rows: list[tuple[Row, list[Problem]]] = []
    refused: list[Refused] = []
    for group in interchange.groups:
        above = [*interchange.problems, *group.problems]
        for transaction in group.sets:
            if transaction.kind != location.transaction:
                continue
            found = rows_of(transaction, location.level)
            problems = [*above, *set_problems(transaction)]
            for row in found:
                row.values |= envelope(interchange, group)
                rows.append((row, _about(row, found, problems)))
            if not found:
                nothing = Problem(
                    "segment", "3", transaction.segments[0].number, "the transaction set has no rows"
                )
                refused.append(_refused(transaction.segments, problems or [nothing]))
    if interchange.unread:
        stray = Problem(
            "segment", "2", interchange.unread[0].number, "the segments belong to no transaction set"
        )
        refused.append(_refused(interchange.unread, [*interchange.problems, stray]))
    return _as_block(rows, refused, contract)


def set_problems(transaction: TransactionSet) -> list[Problem]:
    """Return what is wrong with a set as a whole, and with single segments of it."""
    return [*transaction.problems, *content_problems(transaction)]


def _about(row: Row, others: Sequence[Row], problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems that a row is refused for: of the set as a whole, of its segments, and of no row's segments."""
    used = frozenset().union(*(other.numbers for other in others))
    return [
        problem
        for problem in problems
        if problem.rule != "segment" or problem.segment in row.numbers or problem.segment not in used
    ]


def _refused(segments: Sequence[Segment], problems: Sequence[Problem]) -> Refused:
    raw = clean("\n".join(segment.raw for segment in segments))
    return Refused(segments[0].number, raw, tuple(map(_reason, problems)))


def _reason(problem: Problem) -> Reason:
    return Reason(problem.rule, None, problem.message)


def _as_block(rows: list[tuple[Row, list[Problem]]], refused: list[Refused], contract: Contract) -> Block:
    marks = [(i, _reason(problem)) for i, (_, problems) in enumerate(rows) for problem in problems]
    columns = []
    for column in contract.columns:
        texts = [row.values.get(column.source_name) or None for row, _ in rows]
        for i, text in enumerate(texts):
            if text and (has_halves(text) or "\0" in text):
                marks.append(
                    (i, Reason("encoding", column.name, "bytes that the contract's encoding does not have"))
                )
                texts[i] = clean(text)
        columns.append(pl.Series(column.name, texts, dtype=pl.String))
    lines = pl.Series("_line", [row.segment for row, _ in rows], dtype=pl.Int64)

    def raw_text(positions: Sequence[int]) -> list[str]:
        return [clean(rows[i][0].raw) for i in positions]

    return Block(pl.DataFrame(columns), lines, raw_text, refused=refused, marks=marks)
