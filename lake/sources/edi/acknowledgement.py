"""Answers an interchange: a 997 for each of its groups, or a TA1 where its own envelope is wrong.

The answer depends on the interchange alone (its date and control number are that of the interchange), so that answering
again is the same answer. Sets are accepted (A), accepted though single segments are in error (E), or rejected (R).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from lake.contracts.model import Contract
from lake.sources.block import Block
from lake.sources.edi.interchange import Group, Interchange, Problem, TransactionSet, read_interchanges
from lake.sources.edi.reading import file_text, set_problems
from lake.sources.edi.tables import TRANSACTIONS
from lake.sources.edi.writing import Elements, Envelope, WrittenGroup, write_interchange
from lake.sources.text import clean

_FUNCTION = "FA"
_NOT_SUPPORTED, _SEGMENTS_IN_ERROR = "1", "5"
_ELEMENT_CODES = {"1", "7"}


def read_answers(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Yield one row for each interchange of a file that is to be answered: its `file` name, without folder, and `answer`.

    A reader like any other, so that answering has the walls that reading has; `lake/answering.py` is its one user.
    """
    names: list[str] = []
    texts: list[str] = []
    for interchange in read_interchanges(file_text(path, name, contract.location), name):
        if (answer := acknowledge(interchange)) is None:
            continue
        target = f"997_{_safe(interchange.sender)}_{_safe(interchange.control_number)}"
        names.append(target + ("_repeated" if f"{target}.x12" in names else "") + ".x12")
        texts.append(clean(answer))
    if names:
        lines = pl.Series("_line", range(1, len(names) + 1), dtype=pl.Int64)
        yield Block(
            pl.DataFrame({"file": names, "answer": texts}), lines, lambda rows: [texts[i] for i in rows]
        )


def acknowledge(interchange: Interchange) -> str | None:
    """Return the answer to one interchange; None for one that holds nothing but answers."""
    groups = [group for group in interchange.groups if group.function != _FUNCTION]
    if not groups and not interchange.problems:
        return None
    header = interchange.header
    envelope = Envelope(
        sender=header.elements[7].strip(),
        receiver=header.elements[5].strip(),
        control_number=interchange.control_number,
        date=header.get(9),
        time=header.get(10),
        sender_qualifier=header.get(7),
        receiver_qualifier=header.get(5),
        is_test=interchange.is_test,
    )
    if interchange.problems:
        code = interchange.problems[0].code
        rejected = ("TA1", interchange.control_number, header.get(9), header.get(10), "R", code)
        return write_interchange(envelope, [], extra=[rejected])
    sets = [list(_answer(group, f"{i:04d}")) for i, group in enumerate(groups, start=1)]
    century = "19" if header.get(9)[:2] >= "70" else "20"
    group = WrittenGroup(
        function=_FUNCTION,
        sender=groups[0].receiver,
        receiver=groups[0].sender,
        date=century + header.get(9),
        time=header.get(10),
        control_number=interchange.control_number.lstrip("0") or "0",
        version="004010",
        sets=sets,
    )
    return write_interchange(envelope, [group])


def _answer(group: Group, number: str) -> Iterator[Elements]:
    """Yield the 997 for a group, from ST to AK9."""
    yield ("ST", "997", number)
    yield ("AK1", group.function, group.control_number)
    statuses = []
    for transaction in group.sets:
        status, segments = _judged(transaction, is_rejected=bool(group.problems))
        statuses.append(status)
        yield from segments
    accepted = sum(status != "R" for status in statuses)
    if group.problems or not accepted:
        status = "R"
    elif accepted < len(statuses):
        status = "P"
    else:
        status = "E" if "E" in statuses else "A"
    codes = sorted({problem.code for problem in group.problems})[:5]
    included = group.included if group.included.isdecimal() else str(len(statuses))
    yield ("AK9", status, included, str(len(statuses)), str(accepted), *codes)


def _judged(transaction: TransactionSet, *, is_rejected: bool) -> tuple[str, list[Elements]]:
    """Return the status of a set, and AK2 to AK5."""
    head = ("AK2", transaction.kind, transaction.control_number)
    if transaction.kind not in TRANSACTIONS:
        return "R", [head, ("AK5", "R", _NOT_SUPPORTED)]
    problems = set_problems(transaction)
    details = [elements for problem in problems for elements in _detail(problem, transaction)]
    codes = {problem.code for problem in transaction.problems if problem.rule == "control_count"}
    codes |= {_SEGMENTS_IN_ERROR} if details else set()
    is_wrong = any(problem.rule == "control_count" for problem in problems)
    status = "R" if is_wrong or is_rejected else "E" if details else "A"
    return status, [head, *details, ("AK5", status, *sorted(codes)[:5])]


def _detail(problem: Problem, transaction: TransactionSet) -> Sequence[Elements]:
    """Return AK3, and AK4 where one element is in error."""
    if problem.rule == "control_count" and problem.element is None:
        return ()
    position = problem.segment - transaction.segments[0].number + 1
    segment = transaction.segments[position - 1] if position <= len(transaction.segments) else None
    identifier = segment.name if segment else "ST"
    if problem.code == "HL1":
        return (("AK3", "HL", str(position), "", "8"), ("AK4", "1", "", "7"))
    if problem.element is None or problem.code not in _ELEMENT_CODES:
        return (("AK3", identifier, str(position), "", problem.code),)
    return (("AK3", identifier, str(position), "", "8"), ("AK4", str(problem.element), "", problem.code))


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:40] or "none"
