"""The benchmark of crashes at the suite's size: kills, a full disk, loaders at once, a reader all through, on both catalogues."""

import pytest

from benchmarks.crashes import FULL_AT_BYTES, attack
from tests.postgres import PostgresServer


@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_whatever_dies_every_row_is_there_once(
    catalog: str, tmp_path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASH_CATALOG_PASSWORD", postgres.password)
    url = postgres.new_database().replace(postgres.password, "${env:CRASH_CATALOG_PASSWORD}")
    lake = {"catalog": url} if catalog == "postgres" else {}
    few = FULL_AT_BYTES[1::2]
    trial = attack(
        tmp_path, catalog, lake, kills=3, loaders=3, files=2, full_at_bytes=few, judges_waits=False
    )
    assert trial.violations == []
    assert trial.kills == 3
    assert trial.looks > 3
