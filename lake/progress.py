"""What long work says while it runs. Work reports; whoever started it decides how it looks.

    with progress.stage("raw", total=files) as stage:
        stage.advance(1, rows=n, note="sales_2026-03.csv")

Without a listener (tests, Dagster's daemon) reports go nowhere and cost nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


class Listener(Protocol):
    """Shows progress: the CLI has one on rich; it is called from the thread that works."""

    def started(self, stage: "Stage") -> None:
        """Called when a stage starts."""

    def advanced(self, stage: "Stage") -> None:
        """Called after every step."""

    def ended(self, stage: "Stage") -> None:
        """Called when it ends, also by an exception."""


@dataclass
class Stage:
    """One room at work: `done` of `total` steps (None if unknown), `rows` so far, and the newest note."""

    name: str
    total: int | None = None
    done: int = 0
    rows: int = 0
    note: str = ""
    listener: "Listener | None" = field(default=None, repr=False)

    def advance(self, steps: int = 1, *, rows: int = 0, note: str = "") -> None:
        """Report `steps` more steps and `rows` more rows."""
        self.done += steps
        self.rows += rows
        self.note = note or self.note
        if self.listener:
            self.listener.advanced(self)


_listener: ContextVar[Listener | None] = ContextVar("stocklake_progress", default=None)


@contextmanager
def stage(name: str, total: int | None = None) -> Iterator[Stage]:
    """Report a stage from start to end to the listener, if there is one."""
    listener = _listener.get()
    current = Stage(name, total, listener=listener)
    if listener:
        listener.started(current)
    try:
        yield current
    finally:
        if listener:
            listener.ended(current)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports of everything inside to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
