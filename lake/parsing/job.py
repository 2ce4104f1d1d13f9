"""One landed file, read to its contract: checked rows as Parquet, refused rows as Parquet, and their counts.

Runs in the process that parses (`worker.py`), which knows no lake: what rows may refer to comes as files, what is read
goes to a folder. Memory does not grow with the file: it is read block by block, and written part by part.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

import polars as pl

from lake.contracts.model import Column, Contract
from lake.errors import FileRefused
from lake.sources.block import Block, merged
from lake.sources.checking import CheckedFile
from lake.sources.conforming import conform
from lake.sources.control import Reconciled
from lake.sources.drift import Drift
from lake.sources.privacy import hidden, masked
from lake.sources.quick import Separator

PART_ROWS = 250_000
"""Rows that are held until a Parquet file is written."""
JUDGED_ROWS = 1_000
"""Doubtful rows that wait, at most, to be judged together."""
ROW_GROUP_ROWS = 122_880
"""As DuckDB writes them."""

_FILE_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")

Rows = Callable[[int], None]
"""Called with the number of rows of every block that was read, to show progress."""


@dataclass(frozen=True)
class Job:
    """What is to be read, and where what was read goes."""

    contract: Contract
    path: Path
    name: str
    """The file's name as delivered."""
    delivery_id: str
    folder: Path
    """Empty; made by who asks, removed by it too."""
    references: Mapping[str, Path] = field(default_factory=dict)
    """'dataset.column' -> Parquet file whose column `value` has what it may be; what is not here is not checked."""
    companion: Path | None = None
    """The control file, where the contract has one."""
    pii_key: bytes | None = field(default=None, repr=False)
    """The key of hashes of personal data."""


@dataclass(frozen=True)
class Parsed:
    """What a job wrote and counted: rows_read = good + quarantined."""

    rows_read: int
    good: int
    quarantined: int
    rules: dict[str, int]
    """Quarantined rows per rule; a row with two reasons counts in both."""
    parts: list[str]
    """Names of the Parquet files of good rows in the folder, in order: the raw table's columns."""
    refused: str | None
    """Name of the Parquet file of refused rows (`ledger.QUARANTINE_COLUMNS`)."""
    drift: list[Drift] = field(default_factory=list)
    evolved: list[Column] = field(default_factory=list)
    """Columns that the rows have and the contract has not."""
    control: list[Reconciled] = field(default_factory=list)


def parse(job: Job, on_rows: Rows) -> Parsed:
    """Read a file; raises `FileRefused` for one that cannot be read to its contract as a whole."""
    tempfile.tempdir = str(job.folder)  # what an archive unpacks to goes with the job, whatever becomes of it
    file, references = _file(job), _reference_values(job)
    blocks = file.blocks()
    first = next(blocks, None)  # only then it is known which columns the file has
    output = _Output(job, file.contract)
    separator = Separator(file.contract, references)
    doubtful = _Doubtful(file.contract, references, output)
    for block in chain([] if first is None else [first], blocks):
        certain, others = separator.separate(block)
        if block is first and others is not None:
            file.judge_values(block)
        output.add(certain, block.sheet)
        if others is not None:
            doubtful.add(others)
        on_rows(block.rows)
    doubtful.judge()
    parsed = output.close()
    return replace(parsed, drift=file.drift, evolved=list(file.evolved), control=file.reconciled)


def _file(job: Job) -> CheckedFile:
    return CheckedFile(job.path, job.name, job.contract, companion=job.companion)


class _Doubtful:
    """Rows to be judged one by one: some blocks' together, because judging costs the same for ten as for a thousand."""

    def __init__(self, contract: Contract, references: Mapping[str, pl.Series], output: "_Output") -> None:
        self.contract, self.references, self.output = contract, references, output
        self.waiting: list[Block] = []
        self.rows = 0

    def add(self, block: Block) -> None:
        if self.waiting and self.waiting[0].sheet != block.sheet:
            self.judge()
        if block.rows > JUDGED_ROWS:
            self.judge()
            self._judge(block)
        else:
            self.waiting.append(merged([block]))
            self.rows += block.rows
        if self.rows > JUDGED_ROWS:
            self.judge()

    def judge(self) -> None:
        if self.waiting:
            self._judge(merged(self.waiting))
        self.waiting, self.rows = [], 0

    def _judge(self, block: Block) -> None:
        conformed = conform(block, self.contract, self.references)
        self.output.add(conformed.good, block.sheet)
        self.output.quarantine(masked(conformed.refused, block, self.contract), block.sheet)


class _Output:
    """Good rows to parts of `PART_ROWS`, refused rows to one file."""

    def __init__(self, job: Job, contract: Contract) -> None:
        self.job, self.contract = job, contract
        self.held: list[tuple[str | None, pl.DataFrame]] = []
        """Good rows with the sheet that they are of."""
        self.refused: list[pl.DataFrame] = []
        self.parts: list[str] = []
        self.good = self.quarantined = self.held_rows = self.bytes = 0
        self.rules: Counter[str] = Counter()
        self.known_at = _known_at(job.contract, job.name)

    def add(self, good: pl.DataFrame, sheet: str | None) -> None:
        if not good.height:
            return
        self.good += good.height
        self.held_rows += good.height
        self.held.append((sheet, good))
        if self.held_rows >= PART_ROWS:
            self._write_part()

    def close(self) -> Parsed:
        if self.held:
            self._write_part()
        refused = None
        if self.refused:
            refused = "refused.parquet"
            pl.concat(self.refused).write_parquet(self.job.folder / refused, compression="snappy")
        return Parsed(
            self.good + self.quarantined, self.good, self.quarantined, dict(self.rules), self.parts, refused
        )

    def _with_provenance(self, good: pl.DataFrame, sheet: str | None) -> pl.DataFrame:
        return hidden(good, self.contract, self.job.pii_key).select(
            *(column.name for column in self.contract.columns),
            _constant("_delivery_id", self.job.delivery_id, good.height),
            _constant("_file", self.job.name, good.height),
            pl.Series("_sheet", [sheet], pl.String).new_from_index(0, good.height),
            pl.col("_line"),
            self.known_at.cast(pl.Datetime("us")).alias("_known_at"),
        )

    def _write_part(self) -> None:
        name = f"rows-{len(self.parts)}.parquet"
        path = self.job.folder / name
        pl.concat(
            self._with_provenance(pl.concat(frame for _, frame in frames), sheet)
            for sheet, frames in groupby(self.held, key=itemgetter(0))
        ).write_parquet(path, compression="snappy", row_group_size=ROW_GROUP_ROWS)
        self.parts.append(name)
        self.held, self.held_rows = [], 0
        self._check_size(path)

    def _check_size(self, path: Path) -> None:
        self.bytes += path.stat().st_size
        most_mb = self.job.contract.limits.output_mb
        if self.bytes > most_mb << 20:
            raise FileRefused(too_large(self.job.name, most_mb))

    def quarantine(self, refused: pl.DataFrame, sheet: str | None) -> None:
        if not refused.height:
            return
        first = self.quarantined
        self.quarantined += refused.height
        for rules in refused["rules"]:
            self.rules.update(set(rules))
        numbers = pl.int_range(first + 1, first + 1 + refused.height).cast(pl.String)
        self.refused.append(
            refused.select(
                pl.concat_str(pl.lit(self.job.delivery_id + "-"), numbers).alias("quarantine_id"),
                pl.lit(self.job.delivery_id).alias("delivery_id"),
                pl.lit(self.job.contract.dataset).alias("dataset"),
                pl.lit(self.job.name).alias("file_name"),
                pl.lit(sheet, pl.String).alias("sheet"),
                *("line", "raw_text", "rules", "columns", "messages"),
            )
        )


def _constant(name: str, text: str, rows: int) -> pl.Series:
    """Return a text that is the same in every row; as the word of an enumeration it is written without a look at each."""
    return pl.Series(name, [text], pl.Enum([text])).new_from_index(0, rows)


def too_large(name: str, output_mb: int) -> str:
    """Return why a file is refused whose rows fill more than the contract allows."""
    return (
        f"{name} gives more than {output_mb} MB of rows, which its contract does not allow: deliver it in smaller files,"
        " or raise `limits.output_mb` in the contract."
    )


def _known_at(contract: Contract, name: str) -> pl.Expr:
    rule = contract.known_at
    delay = timedelta(days=rule.delay_days)
    if rule.filename_pattern:
        return pl.lit(file_day_of(contract, name)).cast(pl.Datetime("us")) + delay
    columns = [name for name in (rule.column, contract.business_date) if name]
    if not columns:
        return pl.lit(None, pl.Datetime("us"))
    moment = pl.coalesce(pl.col(name).cast(pl.Datetime("us")) for name in columns)
    return moment + delay if delay else moment


def _reference_values(job: Job) -> Mapping[str, pl.Series]:
    """Return what each reference may be; of columns of its own dataset, what stands and what the file brings."""
    known = {name: pl.read_parquet(path)["value"] for name, path in job.references.items()}
    contract = job.contract
    own = {
        column.references: column.references.partition(".")[2]
        for column in contract.columns
        if column.references and column.references.startswith(contract.dataset + ".")
    }
    if not own:
        return known
    others = {name: values for name, values in known.items() if name not in own}
    brought: dict[str, list[pl.Series]] = {name: [known[name]] if name in known else [] for name in own}
    for block in _file(job).blocks():
        good = conform(block, contract, others).good
        for name, column in own.items():
            brought[name].append(good[column].unique())
    return {**known, **{name: pl.concat(parts).unique() for name, parts in brought.items() if parts}}


def file_day_of(contract: Contract, name: str) -> date:
    """Return the date in a file's name (group 1 of the contract's pattern); `FileRefused` if there is none."""
    pattern = contract.known_at.filename_pattern
    assert pattern is not None
    found = re.search(pattern, name)
    parts = _FILE_DATE.fullmatch(found[1]) if found else None
    try:
        if parts:
            return date(*(int(part) for part in parts.groups()))
    except ValueError:
        pass
    raise FileRefused(
        f"{name} has no date in its name where the contract {contract.path.name} expects it (pattern {pattern!r}):"
        " deliver it under a name with the date, or correct known_at.filename_pattern."
    )
