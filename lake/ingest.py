"""Everything that has arrived for a company, into raw: datasets in the order of their references, bad files passed by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from lake import inbox, ledger, progress
from lake.answering import answer_interchanges
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import ContractError, FileRefused, InputError, SourceFailed, StillArriving
from lake.fetching import fetch
from lake.landing import LandedFile, land_each
from lake.ledger import Delivery
from lake.loading import Loader, count_rules
from lake.period import Period
from lake.sources.files import find_files, location_glob
from lake.sources.privacy import key_of


@dataclass
class IngestReport:
    """What one ingest did: every file with its counts, and what a person has to correct."""

    run_id: str
    files: list[Delivery] = field(default_factory=list)
    """Loaded, skipped and refused files, in the order in which they were met."""
    errors: list[InputError | SourceFailed] = field(default_factory=list)
    """What is not a file: a dataset that has to be there and never arrived, or waits for another; a source that failed."""

    unmatched: list[str] = field(default_factory=list)
    """Files in the inbox that no contract reads: no error, but perhaps a contract or a better name is missing."""
    left: list[str] = field(default_factory=list)
    """Files that are still being written, left for the next time."""

    @property
    def refused(self) -> list[Delivery]:
        """Files that were refused whole; `reason` is the sentence that says why."""
        return [one for one in self.files if one.status == "refused"]

    @property
    def problems(self) -> list[str]:
        """Every sentence that a person has to act on: refused files first."""
        return [one.reason or "" for one in self.refused] + [str(error) for error in self.errors]

    @property
    def drift(self) -> list[str]:
        """How the columns of files that loaded differ from their contracts; what is wrong is among the problems."""
        return [f"{one.dataset}, {one.file_name}: {said.message}" for one in self.files for said in one.drift]

    @property
    def control(self) -> dict[str, int]:
        """Control totals that were held against what was found, and those that do not tie."""
        figures = [said for one in self.files for said in one.control]
        return {"figures": len(figures), "figures_not_tied": sum(not said.ties for said in figures)}

    @property
    def is_clean(self) -> bool:
        """Whether staging and onward may go on."""
        return not self.problems

    @property
    def rules(self) -> dict[str, int]:
        """Quarantined rows per rule, most first."""
        return count_rules(self.files)

    @property
    def totals(self) -> dict[str, int]:
        """rows_read, loaded, quarantined, duplicate, unchanged, files_loaded, files_refused, files_skipped."""
        counts = {name: sum(getattr(one, name) for one in self.files) for name in ledger.COUNTS}
        status = [one.status for one in self.files]
        return counts | {
            "files_loaded": status.count("loaded"),
            "files_refused": status.count("refused"),
            "files_skipped": status.count("duplicate_delivery"),
        }


def ingest(
    company: Company,
    contracts: Sequence[Contract],
    *,
    run_id: str,
    datasets: Sequence[str] | None = None,
    period: Period | None = None,
) -> IngestReport:
    """Land and load all that has arrived for `datasets` (default: all), and return what happened.

    With a `period` only what is of its days: files by the date in their names, sources that can be asked for it again.

    Files that cannot be used are in the report, not raised; the others load. `ContractError` is raised before
    anything is written: references in a circle, a path with an unknown variable. All else that a contract can have wrong
    was refused when it was read (`lake/contracts`).
    """
    ordered = reference_order(contracts)
    chosen = [contract for contract in ordered if datasets is None or contract.dataset in datasets]
    pii_key = key_of(company, chosen)
    lake = Lake.of(company)
    work = _Ingest(company, IngestReport(run_id), _held(lake, contracts), period=period)
    files = sum(len(find_files(company, contract)) for contract in chosen if contract.source is None)
    with progress.stage("raw", total=files) as stage, Loader(lake, run_id, pii_key=pii_key) as loader:
        loader.on_rows = lambda rows: stage.advance(0, rows=rows)
        for contract in chosen:
            for delivery in work.load(contract, loader):
                work.report.files.append(delivery)
                stage.advance(note=delivery.file_name)
            work.settle(contract)
    work.answer()
    work.report.unmatched = inbox.unmatched(company, contracts)
    work.report.left += inbox.unfinished(company)
    return work.report


def reference_order(contracts: Sequence[Contract]) -> list[Contract]:
    """Return contracts so that each comes after those it refers to; otherwise the order given is kept."""
    by_name = {contract.dataset: contract for contract in contracts}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for contract in contracts:
        sorter.add(contract.dataset, *sorted(referred(contract)))
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ContractError(
            f"The contracts refer to each other in a circle ({circle}): remove one of these relationships."
        ) from error


def referred(contract: Contract) -> set[str]:
    """Return the other datasets that a contract refers to."""
    named = {column.references.partition(".")[0] for column in contract.columns if column.references}
    return named - {contract.dataset}


def _held(lake: Lake, contracts: Sequence[Contract]) -> dict[str, ledger.Held]:
    with lake.read() as connection:
        noted = ledger.noted(connection)
    return {contract.dataset: ledger.held(noted.get(contract.dataset, ())) for contract in contracts}


@dataclass
class _Ingest:
    """One ingest: what the lake held when it began decides which files need no look."""

    company: Company
    report: IngestReport
    held: dict[str, ledger.Held]
    to_answer: list[tuple[Contract, LandedFile]] = field(default_factory=list)
    """Files of X12: each interchange in them is acknowledged once."""
    absent: set[str] = field(default_factory=set)
    """Optional datasets without any file: what refers to them is not checked and does not wait."""
    period: Period | None = None

    def load(self, contract: Contract, loader: Loader) -> Iterator[Delivery]:
        """Land and load one dataset, file by file."""
        if contract.source is not None:
            yield from self._fetch(contract, loader)
            return
        arrived = list(
            land_each(self.company, contract, self.held[contract.dataset].by_name, period=self.period)
        )
        if not arrived and self.period is None and not self._holds_rows(contract.dataset):
            self._tell_absence(contract)
        missing = sorted(name for name in referred(contract) - self.absent if not self._holds_rows(name))
        waiting = 0
        for name, outcome in arrived:
            if contract.location.format == "x12" and isinstance(outcome, LandedFile):
                self.to_answer.append((contract, outcome))
            if isinstance(outcome, FileRefused):
                yield loader.refuse(contract, Delivery(contract.dataset, name, None, None), str(outcome))
            elif isinstance(outcome, StillArriving):
                self.report.left.append(name)
            elif self._lies_there_still(contract.dataset, outcome):
                yield Delivery(
                    contract.dataset, name, outcome.sha256, outcome.size_bytes, "duplicate_delivery"
                )
            elif missing:
                waiting += 1
            else:
                yield self._load_file(contract, loader, outcome)
        if waiting:
            self._tell_waiting(f"{waiting} file(s)", contract, missing)

    def _load_file(self, contract: Contract, loader: Loader, landed: LandedFile) -> Delivery:
        if landed.is_purged:
            try:
                landed = landed.kept_again(self.company.landing)
            except FileRefused as refusal:
                return loader.refuse(
                    contract, Delivery(contract.dataset, landed.name, None, None), str(refusal)
                )
        return loader.load(contract, landed)

    def _fetch(self, contract: Contract, loader: Loader) -> Iterator[Delivery]:
        """Bring what a source has since the position committed last; one that fails harms no other dataset."""
        missing = sorted(name for name in referred(contract) - self.absent if not self._holds_rows(name))
        if missing:
            self._tell_waiting("What is fetched", contract, missing)
            return
        try:
            yield from fetch(self.company, contract, loader, self.period)
        except (InputError, SourceFailed) as error:
            self.report.errors.append(error)

    def answer(self) -> None:
        """Answer the EDI interchanges that were met, now that their rows are committed."""
        for contract, landed in self.to_answer:
            try:
                answer_interchanges(self.company, contract, landed)
            except InputError as error:
                self.report.errors.append(error)

    def settle(self, contract: Contract) -> None:
        """Note whether the dataset holds rows now."""
        # What another process loaded since this ingest began comes as a duplicate delivery: its rows stand too.
        loaded = [
            one
            for one in self.report.files
            if one.dataset == contract.dataset and (one.loaded or one.status == "duplicate_delivery")
        ]
        if loaded:
            self.held[contract.dataset] = replace(
                self.held[contract.dataset], newest=loaded[-1].content_sha256
            )

    def _holds_rows(self, dataset: str) -> bool:
        return self.held[dataset].newest is not None

    def _lies_there_still(self, dataset: str, landed: LandedFile) -> bool:
        """Whether a file is the one that was loaded under this name; then no transaction has to be opened for it."""
        return self.held[dataset].by_name.get(landed.name) == landed.sha256

    def _tell_waiting(self, what: str, contract: Contract, missing: list[str]) -> None:
        self.report.errors.append(
            InputError(
                f"{what} of {contract.dataset} wait, because {', '.join(missing)}, which they refer to,"
                " holds no rows yet: deliver that first (or correct it), and run again."
            )
        )

    def _tell_absence(self, contract: Contract) -> None:
        if contract.optional:
            self.absent.add(contract.dataset)
            return
        self.report.errors.append(
            InputError(
                f"No file of {contract.dataset} has ever arrived: put it at"
                f" {location_glob(self.company, contract)}, or mark the contract {contract.path.name} as optional."
            )
        )
