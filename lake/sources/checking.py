"""One file, read to its contract: what its reader yields, judged as a whole.

This is where a file's schema may differ from its contract (`drift.py`) and where its control totals are counted
(`control.py`). Rows are judged in `conforming.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from lake.contracts.model import Column, Contract, Figure
from lake.errors import FileRefused
from lake.sources.block import Block, Reason
from lake.sources.control import Reconciled, Tally, read_companion, without_trailer
from lake.sources.drift import Drift, judge_header, judge_values, new_columns
from lake.sources.header import NewColumns, similar
from lake.sources.json_records import noting_fields
from lake.sources.readers import reader

FIELDS = ("json", "jsonl", "xml")
"""Formats without a header: each object has fields of its own."""


def decides_fields(contract: Contract) -> bool:
    """Whether a contract says more of new and missing fields than that rows with them are judged one by one."""
    kinds = [contract.policy("missing_columns", column.name) for column in contract.columns]
    return contract.policy("new_columns") != "freeze" or any(kind != "freeze" for kind in kinds)


class CheckedFile:
    """The blocks of a file; what it says about the file as a whole is complete after the last block."""

    def __init__(
        self,
        path: Path,
        name: str,
        contract: Contract,
        *,
        companion: Path | None = None,
    ) -> None:
        """Open nothing yet. `companion` is the control file, where the contract has one."""
        self.path, self.name, self.asked, self.companion = path, name, contract, companion
        self.evolved: tuple[Column, ...] = ()
        """Columns that the contract has not and that load as text."""
        self.drift: list[Drift] = []
        self.reconciled: list[Reconciled] = []
        self._passing: tuple[Column, ...] = ()
        self._renamed: Mapping[str, str] = {}
        self._said: dict[Figure, str] = {}

    @property
    def contract(self) -> Contract:
        """The contract as this file loads: with the new columns that evolve."""
        return replace(self.asked, columns=self.asked.columns + self.evolved) if self.evolved else self.asked

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of data; raises `FileRefused`, at the first block or later."""
        totals = self.asked.control_totals
        tally = Tally(self.asked, totals.figures) if totals is not None else None
        reason: Reason | None = None
        for number, block in enumerate(self._read()):
            if number == 0:
                reason = self._judge_columns(block)
            if tally is not None:
                tally.add(block)
            if reason is not None:
                block.marks += [(row, reason) for row in range(block.text.height)]
            yield block
        if tally is not None:
            self.reconciled = tally.reconcile(self._expected(), self.name)

    def judge_values(self, first: Block) -> None:
        """Note what a file's first block shows about the values of whole columns; raises `FileRefused`."""
        self._note(judge_values(self.asked, first))

    def _read(self) -> Iterator[Block]:
        """Read the file; where it has columns that the contract lets pass, read it again with them."""
        if self.asked.location.format in FIELDS and decides_fields(self.asked):
            yield from self._with_fields()
            return
        has_begun = False
        try:
            for block in self._data(self.asked):
                has_begun = True
                yield block
        except NewColumns as new:
            if has_begun:  # a later part of the file, such as the next file of an archive
                raise
            self._passing = new_columns(new.titles, [column.name for column in self.asked.columns])
            self._renamed = new.renamed
            yield from self._data(replace(self.asked, columns=self.asked.columns + self._passing))

    def _with_fields(self) -> Iterator[Block]:
        """Read a file of objects twice: only its end tells which fields it has."""
        with noting_fields() as seen:
            for _ in self._data(self.asked):
                pass
        if self.asked.policy("new_columns") != "freeze":  # else `other_fields` decides, row by row
            self._passing = new_columns(seen.new, [column.name for column in self.asked.columns])
        there = tuple(column.name for column in self.asked.columns if column.source_name in seen.columns)
        missing = [column.source_name for column in self.asked.columns if column.name not in there]
        by_source = {column.source_name: column.name for column in self.asked.columns}
        titles = [column.source_name for column in self._passing]
        self._renamed = {new: by_source[old] for new, old in similar(titles, missing).items()}
        for block in self._data(replace(self.asked, columns=self.asked.columns + self._passing)):
            block.header = there
            yield block

    def _data(self, contract: Contract) -> Iterator[Block]:
        blocks = reader(contract)(self.path, self.name, contract)
        totals = contract.control_totals
        if totals is None or totals.trailer is None:
            return blocks
        return without_trailer(blocks, totals.trailer, self.name, contract.location, self._said)

    def _judge_columns(self, block: Block) -> Reason | None:
        """Note drift of the columns, let in what evolves, and return why every row is quarantined, if so."""
        self._note(judge_header(self.asked, self._passing, self._renamed, block))
        renamed = {drift.new for drift in self.drift if drift.kind == "renamed"}
        if self.asked.policy("new_columns") == "evolve":
            self.evolved = tuple(column for column in self._passing if column.source_name not in renamed)
        messages = [drift.message for drift in self.drift if drift.policy == "quarantine"]
        return Reason("schema", None, "; ".join(messages)) if messages else None

    def _note(self, found: list[Drift]) -> None:
        self.drift += found
        if rejected := [drift.message for drift in found if drift.policy == "reject"]:
            raise FileRefused(
                f"{self.name}: {'; '.join(rejected)}: deliver it with the columns of the contract"
                f" {self.asked.path.name}, or change the contract."
            )

    def _expected(self) -> dict[Figure, str]:
        totals = self.asked.control_totals
        if totals is None or totals.companion is None:
            return self._said
        if self.companion is None:
            raise FileRefused(
                f"{self.name} came without its control file: deliver it beside the file, or correct the contract."
            )
        return read_companion(self.companion, self.name, totals.companion)
