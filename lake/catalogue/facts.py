"""What the catalogue says of each table: gathered from contracts, dbt's manifest and the lake. Values only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb
import yaml

from lake.catalogue.lineage import ColumnLineage, Source, column_lineage, table_lineage, table_of
from lake.company import Company
from lake.connection import ALIAS, Lake, quoted_name, table_exists
from lake.contracts.model import Column, Contract
from lake.dbt_files import RAW_BOOKKEEPING
from lake.quarantine import RuleCount, list_quarantine
from lake.releases import GateResult, Release, gate_results, list_releases

SAMPLE_ROWS = 6
LAYERS = ("raw", "staging", "core", "marts", "forecasts", "plan", "orders", "meta")
_WRITTEN_LATER = LAYERS[4:]
HIDDEN = "•••"
"""What stands in a sample instead of personal data."""


@dataclass
class ColumnFacts:
    """One column: what it means, and where its values come from and go to."""

    name: str
    type: str
    meaning: str = ""
    unit: str = ""
    pii: str = ""
    """Class of personal data that reaches it, however far back; empty if none does."""
    sources: list[Source] = field(default_factory=list)
    feeds: list[Source] = field(default_factory=list)


@dataclass
class TableFacts:
    """One table."""

    table: str
    """schema.table."""
    meaning: str = ""
    grain: str = ""
    owner: str = ""
    made_by: str = ""
    """Contract with its version, dbt model, or the step that writes it."""
    columns: list[ColumnFacts] = field(default_factory=list)
    rows: int | None = None
    """None where the table does not stand yet."""
    newest: date | datetime | None = None
    newest_column: str = ""
    reads: list[str] = field(default_factory=list)
    read_by: list[str] = field(default_factory=list)
    checks: list[GateResult] = field(default_factory=list)
    quarantine: list[RuleCount] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)
    sql: str = ""

    @property
    def layer(self) -> str:
        """Its schema."""
        return self.table.partition(".")[0]

    @property
    def problems(self) -> int:
        """Checks that did not pass."""
        return sum(check.outcome != "passed" for check in self.checks)


@dataclass(frozen=True)
class FeatureFinding:
    """One row of `meta.feature_check`, which features/monitoring.py writes."""

    kind: str
    feature_view: str
    feature: str
    outcome: str
    value: float
    threshold: float
    detail: str
    moment: datetime


@dataclass(frozen=True)
class Catalogue:
    """Everything that the site shows."""

    company: Company
    release: Release | None
    tables: dict[str, TableFacts]
    """By schema.table, in the order of the way."""
    feature_checks: list[FeatureFinding] = field(default_factory=list)
    """Skew, drift and freshness of features online at the newest release that was checked; what did not pass first."""


def gather(company: Company, contracts: Sequence[Contract], manifest: Mapping[str, Any]) -> Catalogue:
    """Return what is known of every table, as it stands in the newest release (or now, before there is one)."""
    lake = Lake.of(company)
    releases = list_releases(lake)
    release = releases[0] if releases else None
    tables = {f"raw.{contract.dataset}": _of_contract(contract) for contract in contracts}
    tables |= _of_models(manifest)
    with lake.read(release.snapshot_id if release else None) as connection:
        there = _columns_there(connection)
        tables |= {name: _of_written(name) for name in there if name not in tables and name in _written()}
        tables = {name: facts for name, facts in tables.items() if facts.layer not in _WRITTEN_LATER}
        for facts in tables.values():
            _look(connection, facts, there.get(facts.table))
    with lake.read() as connection:  # what a release leads to is written after it
        there = _columns_there(connection)
        for table in there:
            if table.partition(".")[0] in _WRITTEN_LATER:
                tables[table] = _of_written(table)
                _look(connection, tables[table], there[table])
        _deliveries(connection, tables)
        feature_checks = _feature_checks(connection)
    _link(tables, manifest, column_lineage(manifest, company.dbt / "lineage.json"))
    for found in gate_results(lake, release.gate_run_id if release else None):
        if found.table_name in tables:
            tables[found.table_name].checks.append(found)
    for refused in list_quarantine(lake, everything=True):
        if f"raw.{refused.dataset}" in tables:
            tables[f"raw.{refused.dataset}"].quarantine.append(refused)
    order = {layer: at for at, layer in enumerate(LAYERS)}
    return Catalogue(
        company,
        release,
        dict(sorted(tables.items(), key=lambda one: (order[one[1].layer], one[0]))),
        feature_checks,
    )


# What is written about a table -------------------------------------------------------------------------------------


def _of_contract(contract: Contract) -> TableFacts:
    bookkeeping = [ColumnFacts(name, "", meaning) for name, meaning in RAW_BOOKKEEPING.items()]
    return TableFacts(
        f"raw.{contract.dataset}",
        meaning=contract.description,
        grain=f"Key: {', '.join(contract.keys)}." if contract.keys else "",
        owner=contract.owner,
        made_by=f"contract {contract.dataset} {contract.version}, {contract.write_mode.replace('_', ' ')}",
        columns=[_of_column(column) for column in contract.columns] + bookkeeping,
        newest_column=contract.business_date or "_known_at",
    )


def _of_column(column: Column) -> ColumnFacts:
    pii = f"{column.pii} ({column.pii_action})" if column.pii else ""
    return ColumnFacts(column.name, column.duckdb_type, column.description, column.unit or "", pii)


def _of_models(manifest: Mapping[str, Any]) -> dict[str, TableFacts]:
    found = {}
    teams = {group["name"]: str(group["owner"]["name"]) for group in manifest.get("groups", {}).values()}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        grain, _, meaning = " ".join(node["description"].split()).partition(". ")
        found[table_of(node)] = TableFacts(
            table_of(node),
            meaning=meaning or grain,
            grain=f"{grain.rstrip('.')}." if meaning else "",
            owner=teams.get(node.get("group") or "", "data engineering"),
            made_by=f"dbt model {node['original_file_path']}",
            columns=[
                ColumnFacts(name, "", " ".join(said["description"].split()), _unit(said))
                for name, said in node["columns"].items()
            ],
            newest_column=next((name for name in ("known_at", "_known_at") if name in node["columns"]), ""),
            sql=(node.get("compiled_code") or "").strip(),
        )
    return found


def _unit(said: Mapping[str, Any]) -> str:
    return str(((said.get("config") or {}).get("meta") or said.get("meta") or {}).get("unit") or "")


@cache
def _written() -> dict[str, Any]:
    text = files("lake.catalogue").joinpath("tables.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _of_written(table: str) -> TableFacts:
    said = _written().get(table, {})
    columns = {**_written()["common"], **said.get("columns", {})}
    return TableFacts(
        table,
        meaning=said.get("meaning", ""),
        grain=said.get("grain", ""),
        owner="planning" if table.partition(".")[0] != "meta" else "data engineering",
        made_by=f"the step {said['step']}" if "step" in said else "",
        columns=[ColumnFacts(name, "", meaning) for name, meaning in columns.items()],
    )


def _feature_checks(connection: duckdb.DuckDBPyConnection) -> list[FeatureFinding]:
    if not table_exists(connection, "meta", "feature_check"):
        return []
    rows = connection.execute(
        f"SELECT kind, feature_view, feature, outcome, value, threshold, detail, moment FROM {ALIAS}.meta.feature_check"
        f" WHERE snapshot_id = (SELECT max(snapshot_id) FROM {ALIAS}.meta.feature_check)"
        " ORDER BY outcome = 'passed', kind = 'drift', kind = 'freshness', feature_view, value DESC, feature"
    ).fetchall()
    return [FeatureFinding(*row) for row in rows]


# What stands in the lake -------------------------------------------------------------------------------------------


def _columns_there(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        "SELECT table_schema || '.' || table_name, column_name, data_type FROM information_schema.columns"
        f" WHERE table_catalog = '{ALIAS}' ORDER BY ALL"
    ).fetchall()
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for table, column, kind in rows:
        found[table][column] = kind
    return found


def _look(connection: duckdb.DuckDBPyConnection, facts: TableFacts, there: Mapping[str, str] | None) -> None:
    """Add what the table holds: types, rows, the newest day, a few rows. Columns that nobody described are added too."""
    if there is None:
        return
    described = {column.name: column for column in facts.columns}
    facts.columns = [column for column in facts.columns if column.name in there]
    facts.columns += [ColumnFacts(name, kind) for name, kind in there.items() if name not in described]
    for column in facts.columns:
        column.type = there[column.name]
    schema, _, name = facts.table.partition(".")
    table = f"{ALIAS}.{quoted_name(schema)}.{quoted_name(name)}"
    if facts.newest_column in there and facts.layer != "staging":  # a view: raw says it
        row = connection.execute(
            f"SELECT count(*), max({quoted_name(facts.newest_column)}) FROM {table}"
        ).fetchone()
    else:
        row = connection.execute(f"SELECT count(*), NULL FROM {table}").fetchone()
    assert row is not None
    facts.rows, facts.newest = row
    shown = connection.execute(f"SELECT * FROM {table} LIMIT {SAMPLE_ROWS}")
    names = [column[0] for column in shown.description or ()]
    facts.sample = [dict(zip(names, values, strict=True)) for values in shown.fetchall()]


def _deliveries(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, TableFacts]) -> None:
    if not table_exists(connection, "meta", "delivery"):
        return
    rows = connection.execute(
        "SELECT dataset, file_name, status, rows_read, loaded, quarantined, duplicate, unchanged, loaded_at"
        " FROM lake.meta.delivery QUALIFY row_number() OVER (PARTITION BY dataset ORDER BY loaded_at DESC, file_name DESC) <= 5"
        " ORDER BY loaded_at DESC, file_name DESC"
    )
    names = [column[0] for column in rows.description or ()]
    for values in rows.fetchall():
        delivery = dict(zip(names, values, strict=True))
        if facts := tables.get(f"raw.{delivery.pop('dataset')}"):
            facts.deliveries.append(delivery)


# How tables hang together ------------------------------------------------------------------------------------------


def _link(tables: Mapping[str, TableFacts], manifest: Mapping[str, Any], lineage: ColumnLineage) -> None:
    for table, reads in table_lineage(manifest).items():
        tables[table].reads = [name for name in reads if name in tables]
    for table, said in _written().items():
        if table in tables:
            tables[table].reads = [name for name in said.get("reads", ()) if name in tables]
    for table, facts in tables.items():
        for name in facts.reads:
            tables[name].read_by.append(table)
    columns = {(table, column.name): column for table, facts in tables.items() for column in facts.columns}
    for table, by_column in lineage.items():
        for name, sources in by_column.items():
            for source in sources:
                if (table, name) in columns and source in columns:
                    columns[table, name].sources.append(source)
                    columns[source].feeds.append((table, name))
    _spread_pii(columns)
    for facts in tables.values():
        personal = {column.name for column in facts.columns if column.pii}
        for row in facts.sample:
            row.update(dict.fromkeys(personal & row.keys(), HIDDEN))
        if facts.layer == "meta":  # refused rows and findings hold whatever was delivered
            facts.sample = []


def _spread_pii(columns: Mapping[Source, ColumnFacts]) -> None:
    """Personal data stays personal wherever it is carried."""
    waiting = [place for place, column in columns.items() if column.pii]
    while waiting:
        column = columns[waiting.pop()]
        for place in column.feeds:
            if not columns[place].pii:
                columns[place].pii = column.pii
                waiting.append(place)
