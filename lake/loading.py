"""Landed files into the lake: rows, quarantined rows, ledger rows and the guard in one transaction.

A file is read to its contract before anything of it is written, so a file that is refused harms no neighbour in the
same transaction; only a file too large to hold gets a transaction of its own and streams. What arrives is found by
`landing.py`; which datasets come first is `ingest.py`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta

import duckdb
import polars as pl

from lake import ledger, raw
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.landing import LandedFile
from lake.ledger import Delivery
from lake.sources.conforming import Conformed, conform
from lake.sources.port import Arrival, Position
from lake.sources.readers import reader

HELD_ROWS = 400_000
"""A file of up to about this many rows is held in memory and shares a transaction; larger ones stream alone."""
TRANSACTION_ROWS = 1_000_000

_FILE_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")

Rows = Callable[[int], None]
"""Called with the number of rows of every block that was read, to show progress."""


@dataclass
class _Reading:
    """One file on its way: blocks as they come, counts and refused rows on the side."""

    delivery: Delivery
    landed: LandedFile
    blocks: Iterator[tuple[Conformed, str | None]]
    contract: Contract
    on_rows: Rows
    file_day: date | None = None
    refused: list[pl.DataFrame] = field(default_factory=list)
    prints: list[raw.Fingerprints] = field(default_factory=list)
    held: list[pl.DataFrame] = field(default_factory=list)
    good_rows: int = 0
    is_whole: bool = False
    error: Exception | None = None

    def hold(self) -> None:
        """Read until the file ends or becomes too large to hold; raises `FileRefused`."""
        for frame in self._frames():
            self.held.append(frame)
            if self.good_rows > HELD_ROWS:
                return
        self.is_whole = True

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all good rows, those held first. An error is kept, because DuckDB wraps what a stream raises."""
        yield from self.held
        self.held = []
        try:
            yield from self._frames()
        except Exception as error:
            self.error = error
            raise

    def _frames(self) -> Iterator[pl.DataFrame]:
        for conformed, sheet in self.blocks:
            good = self._with_provenance(conformed.good, sheet)
            self.delivery.rows_read += conformed.rows
            self.good_rows += good.height
            if conformed.refused.height:
                self._quarantine(conformed.refused, sheet)
            if self.contract.duplicates == "drop" and self.contract.write_mode != "upsert":
                self.prints.append(raw.fingerprints(self.contract, good, self.delivery.delivery_id))
            self.on_rows(conformed.rows)
            yield good

    def _with_provenance(self, good: pl.DataFrame, sheet: str | None) -> pl.DataFrame:
        return good.with_columns(
            pl.lit(self.delivery.delivery_id).alias("_delivery_id"),
            pl.lit(self.delivery.file_name).alias("_file"),
            pl.lit(sheet, pl.String).alias("_sheet"),
            self._known_at().cast(pl.Datetime("us")).alias("_known_at"),
        )

    def _known_at(self) -> pl.Expr:
        rule, contract = self.contract.known_at, self.contract
        delay = timedelta(days=rule.delay_days)
        if rule.filename_pattern:
            return pl.lit(self.file_day).cast(pl.Datetime("us")) + delay
        columns = [name for name in (rule.column, contract.business_date) if name]
        if not columns:
            return pl.lit(None, pl.Datetime("us"))
        return pl.coalesce(pl.col(name).cast(pl.Datetime("us")) for name in columns) + delay

    def _quarantine(self, refused: pl.DataFrame, sheet: str | None) -> None:
        first = self.delivery.quarantined
        self.delivery.quarantined += refused.height
        for rules in refused["rules"]:
            for rule in set(rules):
                self.delivery.rules[rule] = self.delivery.rules.get(rule, 0) + 1
        numbers = pl.int_range(first + 1, first + 1 + refused.height).cast(pl.String)
        self.refused.append(
            refused.select(
                pl.concat_str(pl.lit(self.delivery.delivery_id + "-"), numbers).alias("quarantine_id"),
                pl.lit(self.delivery.delivery_id).alias("delivery_id"),
                pl.lit(self.delivery.dataset).alias("dataset"),
                pl.lit(self.delivery.file_name).alias("file_name"),
                pl.lit(sheet, pl.String).alias("sheet"),
                *("line", "raw_text", "rules", "columns", "messages"),
            )
        )


class _RollBack(Exception):
    """Leaves a transaction without committing it."""


class Loader:
    """Loads files in few transactions; leaving it commits what is open, an exception rolls that back.

    Between transactions other writers have their turn, so what the ledger says is read again in each.
    """

    def __init__(self, lake: Lake, run_id: str, on_rows: Rows | None = None) -> None:
        """Open nothing yet; `run_id` stands in every ledger row."""
        self.lake, self.run_id = lake, run_id
        self.on_rows = on_rows or (lambda rows: None)
        self._stack = ExitStack()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._deliveries: list[Delivery] = []
        self._refused: list[pl.DataFrame] = []
        self._positions: dict[str, tuple[Position, str]] = {}
        self._acknowledge: list[Callable[[], None]] = []
        self._noted: dict[str, list[ledger.Noted]] = {}
        self._ensured: set[str] = set()
        self._references: dict[str, pl.Series] = {}
        self._rows = 0

    def __enter__(self) -> "Loader":  # noqa: D105
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:  # noqa: D105
        if kind is None:
            self.commit()
        else:
            self._roll_back()

    def load(self, contract: Contract, landed: LandedFile, arrival: Arrival | None = None) -> Delivery:
        """Load one landed file; a refusal is in what it returns, not raised.

        The position of its `arrival` commits with its rows, and it is acknowledged after that; not so if refused.

        Raises `ContractError` when the contract no longer fits the raw table.
        """
        if self._rows > TRANSACTION_ROWS:
            self.commit()
        delivery = Delivery(contract.dataset, landed.name, landed.sha256, landed.size_bytes)
        if repeats := self._repeats(contract, landed):
            self._note_duplicate(delivery, repeats, landed)
            return self._note_position(delivery, arrival)
        self._number(delivery)
        try:
            reading = self._reading(contract, landed, delivery)
            reading.hold()
            if reading.is_whole:
                self._write(reading)
            else:
                self._stream(reading, arrival)
        except FileRefused as refusal:
            delivery.reason = str(refusal)
            return self.refuse(delivery)
        return self._note_position(delivery, arrival) if reading.is_whole else delivery

    def refuse(self, delivery: Delivery) -> Delivery:
        """Write a refused delivery to the ledger."""
        self._begin()
        delivery.status = "refused"
        for name in ledger.COUNTS:
            setattr(delivery, name, 0)
        delivery.rules = {}
        self._number(delivery)
        self._enter(delivery)
        return delivery

    def commit(self) -> None:
        """Write the ledger and end the transaction, if one is open."""
        if self._connection is None:
            return
        if not self._deliveries and not self._positions:
            self._roll_back()
            return
        connection, self._connection = self._connection, None
        stack, self._stack = self._stack, ExitStack()
        with stack:
            ledger.write_deliveries(connection, self.run_id, self._deliveries)
            if self._refused:
                ledger.write_quarantine(connection, pl.concat(self._refused))
            ledger.write_positions(connection, self._positions)
            ledger.touch_guard(connection)
        acknowledge = self._acknowledge
        self._forget()
        for each in acknowledge:
            each()

    def _forget(self) -> None:
        self._deliveries, self._refused, self._noted, self._references = [], [], {}, {}
        self._positions, self._acknowledge = {}, []
        self._ensured = set()
        self._rows = 0

    def _begin(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = self._stack.enter_context(self.lake.write())
            ledger.create_tables(self._connection)
        return self._connection

    def _note_position(self, delivery: Delivery, arrival: Arrival | None) -> Delivery:
        """Let the arrival's position commit with the open transaction."""
        if arrival is not None:
            self._begin()
            if arrival.position is not None:
                self._positions[delivery.dataset] = (arrival.position, delivery.delivery_id)
            if arrival.acknowledge is not None:
                self._acknowledge.append(arrival.acknowledge)
        return delivery

    def _stream(self, reading: _Reading, arrival: Arrival | None) -> None:
        """Load a large file in a transaction of its own."""
        self.commit()
        self._begin()
        try:
            if repeats := self._repeats(reading.contract, reading.landed):
                # Another process loaded it while this one had let go of the lock.
                self._note_duplicate(reading.delivery, repeats, reading.landed)
                self._note_position(reading.delivery, arrival)
                return
            self._write(reading)
            self._note_position(reading.delivery, arrival)
            self.commit()
        except duckdb.Error:
            self._roll_back()
            if isinstance(reading.error, FileRefused):
                raise reading.error from None
            raise

    def _roll_back(self) -> None:
        stack, self._stack, self._connection = self._stack, ExitStack(), None
        with suppress(_RollBack), stack:
            raise _RollBack
        self._forget()

    def _reading(self, contract: Contract, landed: LandedFile, delivery: Delivery) -> _Reading:
        references = self._reference_values(contract, landed)
        blocks = _conformed(contract, landed, references)
        reading = _Reading(delivery, landed, blocks, contract, self.on_rows)
        if contract.known_at.filename_pattern:
            reading.file_day = file_day(contract, landed.name)
        return reading

    def _write(self, reading: _Reading) -> None:
        connection, contract, delivery = self._begin(), reading.contract, reading.delivery
        if contract.dataset not in self._ensured:
            raw.ensure_table(connection, contract)
            self._ensured.add(contract.dataset)
        if contract.write_mode == "upsert":
            delivery.loaded, repeats = raw.upsert(connection, contract, reading.frames())
            delivery.duplicate = repeats if contract.duplicates == "drop" else 0
            delivery.unchanged = reading.good_rows - delivery.loaded - delivery.duplicate
        else:
            add = raw.replace if contract.write_mode == "replace" else raw.append
            add(connection, contract, reading.frames())
            if reading.prints:
                dropped = raw.drop_repeats(connection, contract, reading.prints)
                delivery.duplicate = dropped.get(delivery.delivery_id, 0)
            delivery.loaded = reading.good_rows - delivery.duplicate
        assert delivery.is_balanced, delivery
        self._refused.extend(reading.refused)
        self._enter(delivery)
        self._rows += delivery.rows_read
        self._references = {
            key: v for key, v in self._references.items() if key.split(".")[0] != contract.dataset
        }

    def _note_duplicate(self, delivery: Delivery, repeats: str, landed: LandedFile) -> Delivery:
        """Say so in the ledger once; a file that simply still lies there needs no note on every run."""
        held = self._holds(delivery.dataset)
        delivery.status, delivery.reason, delivery.rows_read = "duplicate_delivery", repeats, 0
        is_same_name = held.by_name.get(landed.name) == landed.sha256
        if not is_same_name and (landed.name, landed.sha256) not in held.noted:
            self._number(delivery)
            self._enter(delivery)
        return delivery

    def _repeats(self, contract: Contract, landed: LandedFile) -> str | None:
        return repeated_delivery(self._holds(contract.dataset), contract, landed)

    def _holds(self, dataset: str) -> ledger.Held:
        if dataset not in self._noted:
            self._noted[dataset] = ledger.noted(self._begin(), dataset)
        return ledger.held(self._noted[dataset], (one for one in self._deliveries if one.dataset == dataset))

    def _number(self, delivery: Delivery) -> None:
        """Give a delivery its id: the same history gives the same ids, so a lake can be made again and is equal."""
        content = delivery.content_sha256 or ""
        attempts = self._holds(delivery.dataset).attempts.get(content, 0)
        delivery.delivery_id = f"{delivery.dataset}-{content[:12] or 'unread'}-{attempts + 1}"

    def _enter(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)

    def _reference_values(self, contract: Contract, landed: LandedFile) -> Mapping[str, pl.Series]:
        """Return what each reference may be. Where nothing is there to compare with, nothing is checked."""
        wanted = {column.references for column in contract.columns if column.references}
        for reference in sorted(wanted - set(self._references)):
            values = raw.distinct_values(self._begin(), reference)
            if values is not None:
                self._references[reference] = values
        known = {name: self._references[name] for name in wanted if name in self._references}
        own = {name for name in wanted if name.startswith(contract.dataset + ".")}
        return {**known, **_own_values(contract, landed, own, known)} if own else known


def _conformed(
    contract: Contract, landed: LandedFile, references: Mapping[str, pl.Series]
) -> Iterator[tuple[Conformed, str | None]]:
    for block in reader(contract)(landed.path, landed.name, contract):
        yield conform(block, contract, references), block.sheet


def _own_values(
    contract: Contract, landed: LandedFile, own: set[str], known: Mapping[str, pl.Series]
) -> Mapping[str, pl.Series]:
    """Return the values of columns that a file refers to within its own dataset: what stands and what it brings."""
    columns = {name: name.partition(".")[2] for name in own}
    others = {name: values for name, values in known.items() if name not in own}
    brought: dict[str, list[pl.Series]] = {name: [known[name]] if name in known else [] for name in own}
    for conformed, _ in _conformed(contract, landed, others):
        for name, column in columns.items():
            brought[name].append(conformed.good[column].unique())
    return {name: pl.concat(parts).unique() for name, parts in brought.items()}


def repeated_delivery(held: ledger.Held, contract: Contract, landed: LandedFile) -> str | None:
    """Return what a delivery repeats, in words, or None if it is news.

    It repeats one if the content last loaded under its name is the same, or if the dataset holds its content now:
    a dataset that appends holds all it ever loaded, one that replaces or updates only what it loaded last.
    """
    if held.by_name.get(landed.name) == landed.sha256:
        return f"{landed.name} was loaded before with the same content"
    if contract.write_mode == "append":
        earlier = held.contents.get(landed.sha256)
        return f"its content was loaded before as {earlier}" if earlier else None
    if held.newest == landed.sha256:
        return f"its content was loaded last, as {held.contents[landed.sha256]}"
    return None


def file_day(contract: Contract, name: str) -> date:
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


def count_rules(deliveries: list[Delivery]) -> dict[str, int]:
    """Return quarantined rows per rule, most first."""
    counts: Counter[str] = Counter()
    for delivery in deliveries:
        counts.update(delivery.rules)
    return dict(counts.most_common())
