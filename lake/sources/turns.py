"""One fetch of a dataset at a time on this home: the position is read once the place is free."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lake import ledger
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.port import Position

WAIT_S = 600


@contextmanager
def fetching(company: Company, contract: Contract) -> Iterator[tuple[Path, Position | None]]:
    """Lend an empty folder of the dataset's own and its committed position, to one fetch at a time.

    What a killed fetch left in the folder is deleted. Raises `SourceFailed` when another fetch takes longer than ten minutes.
    """
    folder = company.arriving / contract.dataset
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=WAIT_S)
    except Timeout:
        raise SourceFailed(
            f"{contract.dataset} is being fetched by another process since more than {WAIT_S} s: wait for it, or stop"
            " it, and run again."
        ) from None
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder, ledger.position(Lake.of(company), contract.dataset)
    finally:
        lock.release()


def note_position(company: Company, contract: Contract, position: Position) -> None:
    """Commit a position that no rows lead to: nothing of the dataset has changed up to there."""
    with Lake.of(company).write() as connection:
        ledger.create_tables(connection)
        ledger.write_positions(connection, {contract.dataset: (position, "")})
