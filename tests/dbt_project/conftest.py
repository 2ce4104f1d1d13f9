"""One build of the tiny company for the whole session: dbt itself costs seconds."""

import os
import pickle
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from lake import transform
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.dbt_report import BuildReport
from tests.dbt_project import tiny


@dataclass(frozen=True)
class Built:
    company: Company
    contracts: tuple[Contract, ...]
    raw: tiny.Tiny
    report: BuildReport
    fingerprint: str
    before: dict[str, pl.DataFrame]
    """core and marts after the first build; the lake holds those of a second one."""

    def query(self, sql: str) -> pl.DataFrame:
        return query(self.company, sql)


def query(company: Company, sql: str) -> pl.DataFrame:
    with Lake.of(company).read() as connection:
        return connection.execute(sql).pl()


def tables(company: Company) -> dict[str, pl.DataFrame]:
    names = query(
        company,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_catalog = 'lake' and table_schema in ('core', 'marts') order by 1",
    )
    return {name: query(company, f"select * from lake.{name} order by all") for (name,) in names.rows()}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """For reading: made by the first worker that asks."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    kept = folder / "built.pickle"
    with FileLock(f"{folder}.lock"):
        if not kept.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            made = pickle.dumps(_build(folder))
            kept.write_bytes(made)
    found: Built = pickle.loads(kept.read_bytes())
    return found


def _build(folder: Path) -> Built:
    """Build twice in a row; no test has to pass twice. goods_receipt has a contract but never arrived."""
    company = tiny.company(folder)
    raw = tiny.generate()
    lake = Lake.of(company)
    for entity, rows in raw.tables.items():
        tiny.write_raw(lake, entity, rows)
    history = {"_valid_to": "TIMESTAMP", "_is_current": "BOOLEAN", "is_gone": "BOOLEAN"}
    tiny.write_raw(lake, "supplier_log", tiny.supplier_log(), "supplier", history)
    kept = replace(tiny.contract("supplier_log", "supplier"), write_mode="history", deletion_column="is_gone")
    tiny.note_controlled(lake, raw)
    contracts = (
        *(tiny.controlled_contract(entity) for entity in raw.tables),
        tiny.contract("goods_receipt"),
        kept,
    )
    fingerprint = transform.inputs_fingerprint(company, contracts)
    report = transform.build(company, contracts, unit_tests=True)
    before = tables(company)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
        again = transform.build(company, contracts, "core marts", unit_tests=True)
    assert len(again.nodes) == len(before)
    return Built(company, contracts, raw, report, fingerprint, before)
