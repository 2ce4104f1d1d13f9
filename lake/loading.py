"""Landed files into the lake: rows, quarantined rows, ledger rows and the guard in one transaction.

A file is read in a process of its own (`parsing/`) while nobody is kept from writing; what it gave waits until the
transaction, which is short, looks into the ledger again, and takes up what is still news. What arrives is found by
`landing.py`; which datasets come first is `ingest.py`; how rows enter a table is `writing.py`.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import duckdb

from lake import ledger, raw, writing
from lake.connection import Lake, quoted_name, quoted_text
from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.landing import LandedFile
from lake.ledger import Delivery
from lake.parsing import process
from lake.parsing.job import Job, Parsed, Rows
from lake.sources.control import check_tied
from lake.sources.drift import Drift
from lake.sources.port import Arrival, Position

TRANSACTION_ROWS = 1_000_000
"""Rows that wait, at most, until they are committed, beside those of one file."""
REGISTERED_ROWS = 10_000
"""From so many rows a file's Parquet becomes part of the table as it is; fewer are copied, so that files do not get tiny."""
STALE_S = 24 * 3600
"""A folder of parsed rows this old was left by a process that was killed."""


@dataclass
class _Waiting:
    """A delivery that waits for the next transaction."""

    contract: Contract
    delivery: Delivery
    landed: LandedFile | None = None
    arrival: Arrival | None = None
    parsed: Parsed | None = None
    folder: Path = Path()
    since: Position | None = None
    """The position that its arrival goes on from."""

    def files(self, names: Sequence[str]) -> str:
        """Return Parquet files of its folder as a SQL relation."""
        return f"read_parquet([{', '.join(quoted_text(self.folder / name) for name in names)}])"


Files = Callable[[Sequence[str]], str]
"""Parquet files of one parsed delivery, by their names, as a SQL relation."""


class Loader:
    """Loads files in few transactions; leaving it commits what waits, an exception drops that.

    Other writers have their turn meanwhile, so each transaction reads again what the ledger says.
    """

    def __init__(
        self, lake: Lake, run_id: str, on_rows: Rows | None = None, pii_key: bytes | None = None
    ) -> None:
        """Open nothing yet; `run_id` stands in every ledger row, `pii_key` is the company's."""
        self.lake, self.run_id, self.pii_key = lake, run_id, pii_key
        self.on_rows = on_rows or (lambda rows: None)
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._noted: dict[str, list[ledger.Noted]] | None = None
        self._references: dict[str, Path | None] = {}

    def __enter__(self) -> "Loader":  # noqa: D105
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:  # noqa: D105
        with self._stack:
            if kind is None:
                self.commit()

    def load(
        self,
        contract: Contract,
        landed: LandedFile,
        arrival: Arrival | None = None,
        since: Position | None = None,
    ) -> Delivery:
        """Read one landed file; a refusal is in what it returns, not raised. Its counts are final after the commit.

        The position of its `arrival` commits with its rows, and it is acknowledged after that; not so if refused, or
        if the position committed by then is not `since` any more: then another process was faster (`overtaken`).

        Raises `ContractError` when the contract no longer fits the raw table.
        """
        if self._rows > TRANSACTION_ROWS:
            self.commit()
        delivery = Delivery(contract.dataset, landed.name, landed.sha256, landed.size_bytes)
        waiting = _Waiting(contract, delivery, landed, arrival, since=since)
        held = self._holds(delivery, arrival)
        if repeats := repeated_delivery(held, contract, landed):
            _as_duplicate(delivery, repeats)
        else:
            delivery.delivery_id = _numbered(held, delivery)
            try:
                self._parse(waiting)
            except FileRefused as refusal:
                return self.refuse(contract, delivery, str(refusal))
        if delivery.status == "loaded" or arrival is not None or _is_news(held, landed):
            self._waiting.append(waiting)
        return delivery

    def reread(
        self, contract: Contract, landed: LandedFile, delivery: Delivery
    ) -> tuple[Contract, Parsed, Files]:
        """Read a landed file again and load nothing; return the contract as the file has it, and what was read.

        What was read lies there until the loader is left. Raises `FileRefused`.
        """
        counts = replace(delivery)
        reading = _Waiting(contract, counts, landed)
        self._parse(reading)
        assert reading.parsed is not None
        return reading.contract, reading.parsed, reading.files

    def refuse(self, contract: Contract, delivery: Delivery, reason: str) -> Delivery:
        """Let a delivery enter the ledger as refused."""
        delivery.status, delivery.reason = "refused", reason
        delivery.clear_counts()
        self._waiting.append(_Waiting(contract, delivery))
        return delivery

    def commit(self) -> None:
        """Write what waits in one transaction."""
        if not self._waiting:
            return
        moved: list[Path] = []
        with self.lake.write() as connection:
            try:
                _Transaction(self.lake, connection, self.run_id, moved).run(self._waiting)
            except BaseException:
                # After this block nobody can say whether the commit took place; then only the lake knows what is an orphan.
                for path in moved:
                    path.unlink(missing_ok=True)
                raise
        done, self._waiting, self._rows = self._waiting, [], 0
        self._noted, self._references = None, {}
        for one in done:
            if one.folder.name:
                shutil.rmtree(one.folder, ignore_errors=True)
            has_arrived = one.delivery.status in ("loaded", "duplicate_delivery")
            if has_arrived and one.arrival is not None and one.arrival.acknowledge is not None:
                one.arrival.acknowledge()

    def _parse(self, waiting: _Waiting) -> None:
        contract, landed, delivery = waiting.contract, waiting.landed, waiting.delivery
        assert landed is not None
        references = self._reference_files(contract)
        waiting.folder = Path(tempfile.mkdtemp(dir=self._work_folder()))
        job = Job(
            contract,
            landed.path.absolute(),
            landed.name,
            delivery.delivery_id,
            waiting.folder,
            references,
            landed.companion.absolute() if landed.companion else None,
            self.pii_key,
        )
        try:
            waiting.parsed = process.parse(job, self.on_rows)
        except BaseException:
            shutil.rmtree(waiting.folder, ignore_errors=True)
            raise
        parsed = waiting.parsed
        delivery.drift, delivery.control = parsed.drift, parsed.control
        check_tied(contract, landed.name, parsed.control)
        waiting.contract = replace(contract, columns=(*contract.columns, *parsed.evolved))
        if parsed.evolved:
            self._check_width(waiting.contract, delivery)
        delivery.rows_read, delivery.quarantined = parsed.rows_read, parsed.quarantined
        delivery.loaded, delivery.rules = parsed.good, dict(parsed.rules)
        self._rows += parsed.rows_read

    def _check_width(self, contract: Contract, delivery: Delivery) -> None:
        self.commit()  # what waits may have brought columns too
        with self.lake.read() as connection:
            columns = raw.width(connection, contract)
        if columns > raw.MOST_COLUMNS:
            raise FileRefused(
                f"{delivery.file_name} has new columns, with which raw.{contract.dataset} would have {columns:,}, more than"
                f" {raw.MOST_COLUMNS:,}: deliver it with the columns of the contract {contract.path.name}, or let"
                " `schema_policy.new_columns` freeze."
            )

    def _work_folder(self) -> Path:
        """Return the folder of parsed rows of this loader, on the file system of the lake's data."""
        if self._folder is None:
            root = self.lake.spill.parent / "parsing"
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in root.iterdir():
                with suppress(OSError):
                    if time.time() - left.stat().st_mtime > STALE_S:
                        shutil.rmtree(left)
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=root))).absolute()
        return self._folder

    def _holds(self, delivery: Delivery, arrival: Arrival | None) -> ledger.Held:
        """Say what the dataset holds; files are asked about by the hundred, what is fetched one by one or not yet."""
        noted = {} if arrival is not None and arrival.is_new else self._noted
        if noted is None:
            with self.lake.read() as connection:
                noted = ledger.noted(connection, [delivery] if arrival else None)
            self._noted = None if arrival else noted
        mine = (one.delivery for one in self._waiting if one.delivery.dataset == delivery.dataset)
        return ledger.held(noted.get(delivery.dataset, ()), mine)

    def _reference_files(self, contract: Contract) -> Mapping[str, Path]:
        """Write down what each reference may be. Where nothing is there to compare with, nothing is checked."""
        wanted = {column.references for column in contract.columns if column.references}
        if {name.partition(".")[0] for name in wanted} & {one.contract.dataset for one in self._waiting}:
            self.commit()
        if unknown := sorted(wanted - set(self._references)):
            # An open reader keeps a writer on SQLite from committing: it is opened for this and closed.
            with self.lake.read() as connection:
                for name in unknown:
                    path = self._work_folder() / f"values-{uuid4().hex}.parquet"
                    self._references[name] = path if raw.write_distinct(connection, name, path) else None
        return {name: path for name, path in self._references.items() if path is not None and name in wanted}


class _Transaction:
    """What is written under the writer's lock: every delivery that waits, judged by the ledger as it stands now."""

    def __init__(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, run_id: str, moved: list[Path]
    ) -> None:
        self.lake, self.connection, self.run_id, self.moved = lake, connection, run_id, moved
        self.entered: list[Delivery] = []
        self.noted: dict[str, list[ledger.Noted]] = {}
        self.ensured: list[Contract] = []

    def run(self, waiting: Sequence[_Waiting]) -> None:
        ledger.create_tables(self.connection)
        self.noted = ledger.noted(self.connection, (one.delivery for one in waiting))
        positions: dict[str, tuple[Position, str]] = {}
        for one in waiting:
            position = one.arrival.position if one.arrival and one.delivery.status != "refused" else None
            if position is not None and self._is_overtaken(one, positions):
                one.delivery.status = "overtaken"
                one.delivery.clear_counts()
                continue
            self._settle(one)
            if position is not None:
                positions[one.delivery.dataset] = (position, one.delivery.delivery_id)
        ledger.write_deliveries(self.connection, self.run_id, self.entered)
        ledger.write_findings(self.connection, self.run_id, self.entered)
        ledger.write_positions(self.connection, positions)
        ledger.touch_guard(self.connection)

    def _is_overtaken(self, one: _Waiting, moved: Mapping[str, tuple[Position, str]]) -> bool:
        """Whether the source went on from elsewhere since: committing now would set its position back."""
        dataset = one.delivery.dataset
        stands = moved[dataset][0] if dataset in moved else ledger.read_position(self.connection, dataset)
        return stands != one.since

    def _settle(self, one: _Waiting) -> None:
        delivery = one.delivery
        held = self._held(delivery.dataset)
        parsed_id, delivery.delivery_id = delivery.delivery_id, _numbered(held, delivery)
        if one.parsed is not None and one.landed is not None:
            # Another process may have loaded it since this one looked.
            if repeats := repeated_delivery(held, one.contract, one.landed):
                _as_duplicate(delivery, repeats)
            else:
                self._write(one, parsed_id)
        if delivery.status != "duplicate_delivery" or (one.landed and _is_news(held, one.landed)):
            self.entered.append(delivery)
        else:
            delivery.delivery_id = ""

    def _held(self, dataset: str) -> ledger.Held:
        return ledger.held(
            self.noted.get(dataset, ()), (one for one in self.entered if one.dataset == dataset)
        )

    def _write(self, one: _Waiting, parsed_id: str) -> None:
        contract, delivery, parsed = one.contract, one.delivery, one.parsed
        assert parsed is not None
        if contract not in self.ensured:
            raw.ensure_table(self.connection, contract)
            self.ensured.append(contract)
        if contract.history.close_missing and parsed.quarantined:
            contract = self._ending_nothing(contract, delivery)
        is_as_parsed = parsed_id == delivery.delivery_id
        may_register = is_as_parsed and parsed.good >= REGISTERED_ROWS and self.lake.is_local
        counts = writing.write(
            self.connection,
            contract,
            self._incoming(one, parsed_id) if parsed.parts else self._nothing(contract),
            (lambda: self._adopt(one)) if may_register else None,
        )
        delivery.loaded, delivery.duplicate, delivery.unchanged = (
            counts.loaded,
            counts.duplicate,
            counts.unchanged,
        )
        assert delivery.is_balanced, delivery
        if parsed.refused is not None:
            ledger.write_quarantine(
                self.connection, one.files([parsed.refused]), parsed_id, delivery.delivery_id
            )

    @staticmethod
    def _ending_nothing(contract: Contract, delivery: Delivery) -> Contract:
        """Return the contract without its ending of keys that are missing: they may be among the quarantined rows."""
        said = f"nothing was ended, because {delivery.quarantined} rows are in quarantine and may hold keys that are missing"
        delivery.drift = [*delivery.drift, Drift("incomplete", None, said)]
        return replace(contract, history=replace(contract.history, close_missing=False))

    def _incoming(self, one: _Waiting, parsed_id: str) -> str:
        """Return the good rows as a relation; if another process took their delivery's number, under the next one."""
        assert one.parsed is not None
        files = one.files(one.parsed.parts)
        if parsed_id == one.delivery.delivery_id:
            return files
        return f"(SELECT * REPLACE ({quoted_text(one.delivery.delivery_id)} AS _delivery_id) FROM {files})"

    @staticmethod
    def _nothing(contract: Contract) -> str:
        columns = (f"NULL::{type_} AS {quoted_name(name)}" for name, type_ in raw.schema(contract).items())
        return f"(SELECT {', '.join(columns)} WHERE false)"

    def _adopt(self, one: _Waiting) -> list[Path]:
        """Move a delivery's Parquet files to where DuckLake keeps those of the table."""
        assert one.parsed is not None and isinstance(self.lake.data, Path)
        folder = self.lake.data.absolute() / "raw" / one.contract.dataset
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name in one.parsed.parts:
            to = folder / f"{one.delivery.delivery_id}-{uuid4().hex}.parquet"
            self.moved.append(to)
            shutil.move(one.folder / name, to)
            paths.append(to)
        return paths


def _as_duplicate(delivery: Delivery, repeats: str) -> None:
    delivery.status, delivery.reason = "duplicate_delivery", repeats
    delivery.clear_counts()


def _numbered(held: ledger.Held, delivery: Delivery) -> str:
    """Return a delivery's id: the same history gives the same ids, so a lake can be made again and is equal."""
    content = delivery.content_sha256 or ""
    return f"{delivery.dataset}-{content[:12] or 'unread'}-{held.attempts.get(content, 0) + 1}"


def _is_news(held: ledger.Held, landed: LandedFile) -> bool:
    """Whether a duplicate delivery goes into the ledger: a file that simply still lies there needs no note on every run."""
    is_same_name = held.by_name.get(landed.name) == landed.sha256
    return not is_same_name and (landed.name, landed.sha256) not in held.noted


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


def count_rules(deliveries: list[Delivery]) -> dict[str, int]:
    """Return quarantined rows per rule, most first."""
    counts: Counter[str] = Counter()
    for delivery in deliveries:
        counts.update(delivery.rules)
    return dict(counts.most_common())
