"""The program that a build starts: dbt's command line, which looks again before each node whether there is anything to do.

Before dbt starts, `lake.standing` says which nodes may come out differently; but a day more often leaves a model as it was,
and then all that only reads it stands as well. So each node's turn begins with the question whether any table behind it
was touched since the last good build; if none was, the kept result is given in place of compiling and running it (.1 CPU s or more).

dbt has no public place for this: the runners of its `BuildTask` (dbt-core 1.11, a locked version) are replaced by ones that
ask first, and a function by one that costs less. tests/lake/test_standing.py notices if they no longer are what they were.
"""

import json
import os
from pathlib import Path
from typing import Any

from lake.standing import Standing, touched_sql

KEPT_VARIABLE = "STOCKLAKE_LAST_GOOD_BUILD"
"""The file that holds the last good build, of which nodes may be kept; no file: everything that is selected runs."""
SCHEMA_VARIABLE = "STOCKLAKE_CATALOG_SCHEMA"
"""The schema of the lake's catalogue."""
STANDS = "STANDS"
"""What a kept node answers instead of what a database says."""


class _Looking:
    """What has been touched since the last good build, asked of the lake again whenever a model has run."""

    def __init__(self, last: Standing) -> None:
        self.last = last
        self.touched: set[str] | None = None

    def kept(self, node_id: str, adapter: Any) -> dict[str, Any] | None:
        """Return the result of a node that stands."""
        if node_id not in self.last.nodes:
            return None
        if self.touched is None:
            catalogue = f'__ducklake_metadata_lake."{os.environ[SCHEMA_VARIABLE]}"'
            with adapter.connection_named(f"look {node_id}"):
                # Not `execute`: the table that it makes of the answer costs more than the answer.
                _, cursor = adapter.connections.add_query(touched_sql(catalogue, self.last.snapshot_id))
                self.touched = {str(row[0]) for row in cursor.fetchall()}
        return self.last.result_if(node_id, self.touched)


def main() -> None:
    """Run dbt's command line."""
    from dbt.cli.main import cli

    say_only_what_is_read()
    path = os.environ.get(KEPT_VARIABLE)
    if path and Path(path).is_file():
        snapshot_id, nodes = json.loads(Path(path).read_text(encoding="utf-8"))
        look_first(Standing(snapshot_id, nodes))
    cli()


def say_only_what_is_read() -> None:
    """Drop dbt's debug events where no log takes them: three thousand a build are made and written out first."""
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager

    fire = EventManager.fire_event

    def fire_event(
        self: Any,
        e: Any,
        level: Any = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        if (level or e.level_tag()) != EventLevel.DEBUG or any(
            log.level in (EventLevel.DEBUG, EventLevel.TEST) for log in self.loggers
        ):
            fire(self, e, level, node, force_warn_or_error_handling)

    EventManager.fire_event = fire_event  # type: ignore[method-assign]


def look_first(last: Standing) -> None:
    """Have dbt's build ask of each model and test whether it stands."""
    import threading

    from dbt.artifacts.schemas.results import RunStatus, TestStatus
    from dbt.artifacts.schemas.run import RunResult
    from dbt.node_types import NodeType
    from dbt.task.build import BuildTask

    looking = _Looking(last)

    def looks(runner: Any) -> Any:
        class Looks(runner):  # type: ignore[misc]
            def compile_and_execute(self, manifest: Any, ctx: Any) -> Any:
                kept = looking.kept(self.node.unique_id, self.adapter)
                if kept is None:
                    if self.node.resource_type == NodeType.Model:
                        looking.touched = None
                    return super().compile_and_execute(manifest, ctx)
                return RunResult(
                    node=ctx.node,
                    status=TestStatus.Pass if kept["kind"] == "test" else RunStatus.Success,
                    timing=[],
                    thread_id=threading.current_thread().name,
                    execution_time=0,
                    message=kept["message"],
                    adapter_response={"_message": STANDS},
                    failures=kept["failing_rows"],
                    batch_results=None,
                )

        return Looks

    for kind in (NodeType.Model, NodeType.Test):
        BuildTask.RUNNER_MAP[kind] = looks(BuildTask.RUNNER_MAP[kind])


if __name__ == "__main__":
    main()
