"""What is built by slices equals what is built whole, whatever was delivered in between (macros/slices.sql).

The first test is one short sequence; `python -m benchmarks.slices` is the same for as long as one likes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dbt_project.slices import SLICED, World, check_sequence, dbt_in_process


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with dbt_in_process(monkeypatch):
        yield


def test_any_sequence_of_deliveries_gives_what_a_whole_build_gives(tmp_path: Path) -> None:
    world = World(tmp_path, seed=3, with_codes=True)
    said = check_sequence(world, steps=3)  # raises with the rows that differ
    assert len(said) == 3 and all(said)
    assert world.compared >= set(SLICED)
