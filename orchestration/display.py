"""How progress looks in a terminal: one line per stage with steps, rows, rate and what it is at.

Nothing is drawn when standard error is not a terminal: logs and pipes stay clean.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from lake import progress


class _RowsColumn(ProgressColumn):
    """Rows so far, and rows per second."""

    def render(self, task: Task) -> Text:
        rows = int(task.fields.get("rows", 0))
        if not rows:
            return Text("")
        rate = rows / task.elapsed if task.elapsed else 0
        return Text(f"{rows:,} rows, {rate:,.0f}/s", style="cyan")


class _Lines:
    """Listener that keeps one line of a rich display per stage."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._tasks: dict[int, TaskID] = {}

    def started(self, stage: progress.Stage) -> None:
        self._tasks[id(stage)] = self._display.add_task(
            stage.name, total=stage.total, rows=0, note=stage.note
        )

    def advanced(self, stage: progress.Stage) -> None:
        task = self._tasks[id(stage)]
        self._display.update(task, completed=stage.done, total=stage.total, rows=stage.rows, note=stage.note)

    def ended(self, stage: progress.Stage) -> None:
        task = self._tasks.pop(id(stage))
        self._display.update(task, total=stage.done or 1, completed=stage.done or 1, note="")
        self._display.stop_task(task)


@contextmanager
def progress_display() -> Iterator[None]:
    """Show the progress of everything inside, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _RowsColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as display, progress.listening(_Lines(display)):
        yield
