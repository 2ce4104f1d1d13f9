"""OpenLineage events, to a file or a server: which job ran, what it read and made. Off unless it is configured.

Here: what is told (`Table`, `Job`), as OpenLineage's own classes write it, and sending it. Not here: when a job begins and ends
(`orchestration/telling.py`). No event fails or slows a run: events wait in memory for a thread of their own; a server that does
not answer is left alone after `PATIENCE` tries, and the process waits `LAST_WAIT_S` at its end at most, once.
"""

import atexit
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from lake.catalogue.lineage import Source
from lake.company import LineageSettings

State = Literal["START", "COMPLETE", "FAIL", "ABORT"]

PATIENCE = 2
"""Events that a server may fail to take, one after the other, until no more are sent by this process."""
TIMEOUT_S = 2.0
LAST_WAIT_S = 2.0
WAITING_EVENTS = 10_000
"""More are dropped: they would only fill the memory while nobody takes them."""

PRODUCER = "stocklake"
_PRODUCER_URI = "urn:stocklake"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assertion:
    """One check of a table, as the gate found it."""

    name: str
    success: bool
    column: str | None = None
    severity: Literal["error", "warn"] = "error"


@dataclass(frozen=True)
class Table:
    """A dataset of an event: a table of the lake, or (with a namespace) where data came from."""

    name: str
    namespace: str | None = None
    columns: tuple[tuple[str, str, str], ...] = ()
    """(name, type, description) of each; '' is not known."""
    description: str = ""
    owner: str = ""
    rows: int | None = None
    sources: Mapping[str, Sequence[Source]] = field(default_factory=dict)
    """Column -> the columns that it is made of."""
    assertions: tuple[Assertion, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Job:
    """What runs."""

    name: str
    kind: str
    """INGEST, MODEL, GATE, PLAN ...: OpenLineage's jobType."""
    inputs: tuple[Table, ...] = ()
    outputs: tuple[Table, ...] = ()


class Teller:
    """Says what happens to jobs; without settings it says nothing, and imports nothing."""

    def __init__(self, settings: LineageSettings, company: str) -> None:
        """Read the settings and OpenLineage's own environment variables, which come first."""
        self._settings = from_environment(settings)
        self.namespace = self._settings.namespace or company
        self._sender = _Sender(self._transport) if self.is_on else None

    @property
    def is_on(self) -> bool:
        """Whether anything is told."""
        return bool(self._settings.url or self._settings.file)

    def tell(
        self, state: State, job: Job, run_id: str, *, parent: tuple[str, str] | None = None, error: str = ""
    ) -> None:
        """Say that a run of a job began or ended; returns at once. `parent` is the run and the job that it is part of."""
        if self._sender is not None:
            at = datetime.now(UTC).isoformat()
            self._sender.put(lambda: _event(self.namespace, state, job, run_id, at, parent, error))

    def flush(self, seconds: float = LAST_WAIT_S) -> None:
        """Wait until all is sent, or for so long."""
        if self._sender is not None:
            self._sender.flush(seconds)

    def _transport(self) -> Callable[[Any], Any]:
        """Return what sends one event; OpenLineage's client costs .5 CPU s to import, and only who tells pays it."""
        # Its own client would read the environment again, and send where it says.
        if self._settings.url:
            from openlineage.client.transport.http import HttpConfig, HttpTransport

            key = self._settings.api_key.reveal() if self._settings.api_key else None
            options = {
                "url": self._settings.url,
                "endpoint": self._settings.endpoint,
                "timeout": TIMEOUT_S,
                "retry": {"total": 0},
            }
            auth = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
            return HttpTransport(HttpConfig.from_dict(options | auth)).emit
        from openlineage.client.transport.file import FileConfig, FileTransport

        return FileTransport(FileConfig(log_file_path=str(self._settings.file), append=True)).emit


def from_environment(settings: LineageSettings) -> LineageSettings:
    """Return the settings with what the variables of OpenLineage's client say in place."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return LineageSettings.model_validate({})
    said: dict[str, Any] = {}
    names = {
        "url": "OPENLINEAGE_URL", "endpoint": "OPENLINEAGE_ENDPOINT", "namespace": "OPENLINEAGE_NAMESPACE",
        "file": "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH",
    }  # fmt: skip
    said |= {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
    if os.environ.get("OPENLINEAGE_API_KEY"):
        said["api_key"] = "${env:OPENLINEAGE_API_KEY}"
    kept = {name: getattr(settings, name) for name in type(settings).model_fields}
    if "file" in said and "url" not in said:
        kept["url"] = None  # a file that the environment names is what a person wants now
    try:
        return LineageSettings.model_validate(kept | said)
    except ValueError as error:  # no run fails for it
        log.warning(
            "OpenLineage's environment variables cannot be used (%s): no lineage events are sent.", error
        )
        return LineageSettings.model_validate({})


class _Sender:
    """A thread that makes and sends events in their order."""

    def __init__(self, connect: Callable[[], Callable[[Any], Any]]) -> None:
        self._connect = connect
        self._waiting: queue.Queue[Callable[[], Any]] = queue.Queue(WAITING_EVENTS)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failed = 0
        self.dropped = 0

    def put(self, make: Callable[[], Any]) -> None:
        if self._failed >= PATIENCE:
            self.dropped += 1
            return
        try:
            self._waiting.put_nowait(make)
        except queue.Full:
            self.dropped += 1
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lineage events", daemon=True)
                self._thread.start()
                atexit.register(self.flush, LAST_WAIT_S)

    def flush(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and self._failed < PATIENCE and time.monotonic() < until:
            time.sleep(0.01)

    def _run(self) -> None:
        send: Callable[[Any], Any] | None = None
        while True:
            make = self._waiting.get()
            try:
                if self._failed < PATIENCE:
                    send = send or self._connect()
                    send(make())
                    self._failed = 0
                else:
                    self.dropped += 1
            except Exception as error:  # whatever it is, the run goes on
                self._failed += 1
                log.warning(
                    "A lineage event could not be sent (%s)%s", type(error).__name__,
                    "; no more are sent by this process." if self._failed >= PATIENCE else ".",
                )  # fmt: skip
            finally:
                self._waiting.task_done()


def run_id_of(run: str, job: str, attempt: int) -> str:
    """Return the id of a run of a job within a run of the whole way: the same for its beginning and its end."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run}/{job}/{attempt}"))


def _event(
    namespace: str, state: State, job: Job, run_id: str, at: str, parent: tuple[str, str] | None, error: str
) -> Any:
    from openlineage.client import event_v2, facet_v2

    event_v2.set_producer(_PRODUCER_URI)
    facets: dict[str, Any] = {}
    if parent is not None:
        whole, name = parent
        facets["parent"] = facet_v2.parent_run.ParentRunFacet(
            run=facet_v2.parent_run.Run(runId=whole),
            job=facet_v2.parent_run.Job(namespace=namespace, name=name),
        )
    if error:
        facets["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            message=error[:2000], programmingLanguage="PYTHON"
        )
    kind = facet_v2.job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration=PRODUCER.upper(), jobType=job.kind
    )
    return event_v2.RunEvent(
        eventType=event_v2.RunState[state],
        eventTime=at,
        run=event_v2.Run(runId=run_id, facets=facets),
        job=event_v2.Job(namespace=namespace, name=job.name, facets={"jobType": kind}),
        inputs=[_dataset(namespace, table, is_input=True) for table in job.inputs],
        outputs=[_dataset(namespace, table, is_input=False) for table in job.outputs],
        producer=_PRODUCER_URI,
    )


def _dataset(namespace: str, table: Table, *, is_input: bool) -> Any:
    from openlineage.client import event_v2, facet_v2

    facets: dict[str, Any] = {}
    if table.columns:
        fields = [
            facet_v2.schema_dataset.SchemaDatasetFacetFields(
                name=name, type=kind or None, description=text or None
            )
            for name, kind, text in table.columns
        ]
        facets["schema"] = facet_v2.schema_dataset.SchemaDatasetFacet(fields=fields)
    if table.description:
        facets["documentation"] = facet_v2.documentation_dataset.DocumentationDatasetFacet(
            description=table.description
        )
    if table.owner:
        owner = facet_v2.ownership_dataset.Owner(name=table.owner, type="team")
        facets["ownership"] = facet_v2.ownership_dataset.OwnershipDatasetFacet(owners=[owner])
    if table.version:
        facets["version"] = facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(table.version)
    if sources := {name: found for name, found in table.sources.items() if found}:
        lineage = facet_v2.column_lineage_dataset
        made_of = {
            name: lineage.Fields(
                inputFields=[lineage.InputField(namespace, source, column) for source, column in found]
            )
            for name, found in sources.items()
        }
        facets["columnLineage"] = lineage.ColumnLineageDatasetFacet(fields=made_of)
    here = table.namespace or namespace
    if is_input:
        return event_v2.InputDataset(here, table.name, facets=facets, inputFacets=_asserted(table))
    counted: dict[str, Any] = {}
    if table.rows is not None:
        counted["outputStatistics"] = (
            facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=table.rows)
        )
    return event_v2.OutputDataset(here, table.name, facets=facets, outputFacets=counted)


def _asserted(table: Table) -> dict[str, Any]:
    from openlineage.client import facet_v2

    if not table.assertions:
        return {}
    module = facet_v2.data_quality_assertions_dataset
    found = [
        module.Assertion(assertion=one.name, success=one.success, column=one.column, severity=one.severity)
        for one in table.assertions
    ]
    return {"dataQualityAssertions": module.DataQualityAssertionsDatasetFacet(assertions=found)}
