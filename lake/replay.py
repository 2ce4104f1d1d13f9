"""Quarantined rows once more: what a corrected contract lets pass is loaded, once, and what a person closes stays out.

A replay reads the landed original again, takes exactly the rows that are open in quarantine, and loads those that pass
now, under their own delivery, file and line. The ledger gets an entry `replayed` of that delivery, which moves them from
quarantined to loaded, so that its totals stay true. All of a delivery commits together, or nothing of it.

To accept a row is to agree that it was rightly refused: it stays out for good and stays counted as quarantined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import duckdb

from lake import ledger, raw, writing
from lake.company import Company
from lake.connection import Lake, quoted_name, quoted_text, table_exists
from lake.contracts.model import Contract
from lake.errors import FileRefused, InputError
from lake.landing import LandedFile, original
from lake.ledger import Delivery
from lake.loading import Files, Loader
from lake.parsing.job import Parsed
from lake.sources.privacy import key_of


@dataclass(frozen=True)
class Choice:
    """Which open rows of a dataset: all, or those that answer to every part that is given."""

    dataset: str
    rule: str | None = None
    file_name: str | None = None
    quarantine_id: str | None = None

    @property
    def condition(self) -> str:
        """SQL over meta.quarantine."""
        parts = ["coalesce(status, 'open') = 'open'", f"dataset = {quoted_text(self.dataset)}"]
        if self.rule is not None:
            parts.append(f"list_contains(rules, {quoted_text(self.rule)})")
        if self.file_name is not None:
            parts.append(f"file_name = {quoted_text(self.file_name)}")
        if self.quarantine_id is not None:
            parts.append(f"quarantine_id = {quoted_text(self.quarantine_id)}")
        return " AND ".join(parts)


@dataclass
class ReplayReport:
    """What a replay did: rows that left quarantine and what became of them, rows that are still open."""

    loaded: int = 0
    duplicate: int = 0
    unchanged: int = 0
    still_open: int = 0
    problems: list[str] = field(default_factory=list)
    """Deliveries that could not be read again, or whose rows have no place any more."""

    @property
    def replayed(self) -> int:
        """Rows that left quarantine."""
        return self.loaded + self.duplicate + self.unchanged


def replay(company: Company, contracts: Sequence[Contract], choice: Choice, *, run_id: str) -> ReplayReport:
    """Read the chosen open rows again under their contract as it is now, and load those that pass.

    Raises `InputError` for a dataset without contract.
    """
    contract = next((one for one in contracts if one.dataset == choice.dataset), None)
    if contract is None:
        known = ", ".join(one.dataset for one in contracts)
        raise InputError(f"No contract has dataset {choice.dataset}: choose among {known}.")
    report, lake = ReplayReport(), Lake.of(company)
    with Loader(lake, run_id, pii_key=key_of(company, [contract])) as loader:
        for delivery in _deliveries(lake, choice):
            try:
                read, parsed, files = loader.reread(_for_rows(contract), _landed(company, delivery), delivery)
            except FileRefused as refusal:
                report.problems.append(str(refusal))
                report.still_open += delivery.quarantined
                continue
            with lake.write() as connection:
                ledger.create_tables(connection)
                _Replay(connection, read, choice, delivery, report, run_id).run(parsed, files)
    return report


def _for_rows(contract: Contract) -> Contract:
    """Return the contract for some rows of a file: what its source says of the whole was judged when it was loaded."""
    totals = contract.control_totals
    if totals is not None:
        totals = None if totals.trailer is None else replace(totals, severity="warn")
    history = replace(contract.history, close_missing=False)
    return replace(contract, control_totals=totals, history=history)


def _deliveries(lake: Lake, choice: Choice) -> list[Delivery]:
    """Return the deliveries of the chosen rows as the ledger has them, `quarantined` being how many were chosen of each."""
    if not lake.exists:
        return []
    with lake.read() as connection:
        if not table_exists(connection, "meta", "control"):
            return []  # no ingest since quarantine has had a state: the next one gives it that
        rows = connection.execute(
            f"""
            WITH chosen AS (SELECT delivery_id, count(*) AS n FROM lake.meta.quarantine WHERE {choice.condition} GROUP BY ALL)
            SELECT dataset, file_name, content_sha256, size_bytes, delivery_id, n
            FROM lake.meta.delivery JOIN chosen USING (delivery_id) WHERE status = 'loaded' ORDER BY loaded_at
            """
        ).fetchall()
    return [
        Delivery(dataset, name, sha256, size, "replayed", delivery_id, quarantined=chosen)
        for dataset, name, sha256, size, delivery_id, chosen in rows
    ]


def _landed(company: Company, delivery: Delivery) -> LandedFile:
    sha256 = delivery.content_sha256 or ""
    landed = LandedFile(
        delivery.dataset,
        delivery.file_name,
        original(company.landing, sha256),
        sha256,
        delivery.size_bytes or 0,
    )
    if landed.is_purged:
        raise FileRefused(
            f"{landed.name}: its original is gone, because its retention has ended, so its {delivery.quarantined} rows in"
            " quarantine cannot be read again: deliver them again, or accept them as refused."
        )
    return landed


class _Replay:
    """The transaction of one delivery. What is open is looked up in it, so that no two replays take the same row."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: Contract,
        choice: Choice,
        delivery: Delivery,
        report: ReplayReport,
        run_id: str,
    ) -> None:
        self.connection, self.contract, self.choice = connection, contract, choice
        self.delivery, self.report, self.run_id = delivery, report, run_id

    def run(self, parsed: Parsed, files: Files) -> None:
        delivery_id = quoted_text(self.delivery.delivery_id)
        self.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE chosen AS SELECT quarantine_id, sheet, line FROM lake.meta.quarantine
            WHERE {self.choice.condition} AND delivery_id = {delivery_id}
            """
        )
        chosen = writing.count(self.connection, "FROM chosen")
        if parsed.refused is not None:
            self._note_reasons(files([parsed.refused]))
        passed = self._load(files(parsed.parts)) if parsed.parts else 0
        self.report.still_open += chosen - passed
        ledger.touch_guard(self.connection)

    def _note_reasons(self, refused: str) -> None:
        """Give rows that are refused again the reasons of today, and their text as it is to be shown today."""
        self.connection.execute(
            f"""
            UPDATE lake.meta.quarantine AS row
            SET rules = again.rules, columns = again.columns, messages = again.messages, raw_text = again.raw_text
            FROM {refused} AS again JOIN chosen ON again.line = chosen.line AND again.sheet IS NOT DISTINCT FROM chosen.sheet
            WHERE row.quarantine_id = chosen.quarantine_id
            """
        )

    def _load(self, good: str) -> int:
        """Load the chosen rows that are good now, and settle them; return how many."""
        same_row = "good._line = chosen.line AND good._sheet IS NOT DISTINCT FROM chosen.sheet"
        raw.ensure_table(self.connection, self.contract)
        incoming = f"(SELECT good.* FROM {good} AS good SEMI JOIN chosen ON {same_row}{self._has_place()})"
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE passing AS SELECT {raw.names(raw.schema(self.contract))} FROM {incoming}"
        )
        passed = writing.count(self.connection, "FROM passing")
        if not passed:
            return 0
        counts = writing.write(self.connection, _adding(self.contract), "passing")
        self.connection.execute(
            """
            UPDATE lake.meta.quarantine SET status = 'replayed', settled_at = now()::TIMESTAMP, settled_run_id = ?
            WHERE quarantine_id IN (SELECT quarantine_id FROM chosen SEMI JOIN passing AS good ON good._line = chosen.line
                AND good._sheet IS NOT DISTINCT FROM chosen.sheet)
            """,
            [self.run_id],
        )
        entry = replace(
            self.delivery,
            loaded=counts.loaded,
            duplicate=counts.duplicate,
            unchanged=counts.unchanged,
            quarantined=-passed,
        )
        assert entry.is_balanced, entry
        ledger.write_deliveries(self.connection, self.run_id, [entry])
        self.report.loaded += counts.loaded
        self.report.duplicate += counts.duplicate
        self.report.unchanged += counts.unchanged
        return passed

    def _has_place(self) -> str:
        """Return what more has to hold of a row: that nothing newer has replaced the delivery, or its partition."""
        newer = f"_delivery_id <> {quoted_text(self.delivery.delivery_id)}"
        if self.contract.write_mode == "replace":
            place = f"FROM {raw.table(self.contract)} WHERE {newer}"
        elif self.contract.write_mode == "replace_partition":
            same = " AND ".join(
                f"other.{quoted_name(name)} = good.{quoted_name(name)}" for name in self.contract.partition_by
            )
            place = f"FROM {raw.table(self.contract)} AS other WHERE {newer} AND {same}"
        else:
            return ""
        if writing.count(self.connection, f"FROM {raw.table(self.contract)} WHERE {newer}"):
            self.report.problems.append(
                f"{self.delivery.file_name}: a newer delivery has replaced what it brought; its rows stay in quarantine:"
                " accept them as refused."
            )
        return f" WHERE NOT EXISTS ({place})"


def _adding(contract: Contract) -> Contract:
    """Return the contract by which rows are added to what their own delivery left of them."""
    return replace(contract, write_mode="append") if contract.write_mode.startswith("replace") else contract


def accept(lake: Lake, choice: Choice, *, by: str, reason: str, run_id: str) -> int:
    """Close the chosen open rows: `by` says that they were rightly refused; return how many."""
    if not by.strip() or not reason.strip():
        raise InputError(
            "Accepting refused rows needs a person and a reason: add --by NAME and --reason TEXT."
        )
    if not lake.exists:
        return 0
    with lake.write() as connection:
        ledger.create_tables(connection)
        ledger.touch_guard(connection)
        closed = connection.execute(
            f"""
            UPDATE lake.meta.quarantine SET status = 'accepted', settled_at = now()::TIMESTAMP, settled_run_id = ?,
                settled_by = ?, settled_reason = ?
            WHERE {choice.condition}
            """,
            [run_id, by, reason],
        ).fetchone()
    return int(closed[0]) if closed else 0
