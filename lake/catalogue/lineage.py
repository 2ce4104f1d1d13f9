"""Which column comes from which: read from the SQL that dbt ran, by sqlglot's own analysis.

A column's sources are the columns that its value is computed from, one table back. What only decides whether a row is
there (joins, filters) is no source of a column. Nothing is run here.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lake.connection import ALIAS

Source = tuple[str, str]
"""(schema.table, column)."""
ColumnLineage = dict[str, dict[str, list[Source]]]
"""schema.table -> column -> its sources, sorted."""


def table_of(node: Mapping[str, Any]) -> str:
    """Return schema.table of a node of dbt's manifest."""
    return f"{node['schema']}.{node['name']}"


def table_lineage(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the tables that each model reads, as schema.table, sorted."""
    nodes = {**manifest["nodes"], **manifest["sources"]}
    return {
        table_of(node): sorted(
            table_of(nodes[parent]) for parent in node["depends_on"]["nodes"] if parent in nodes
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }


def column_lineage(manifest: Mapping[str, Any], remembered: Path | None = None) -> ColumnLineage:
    """Return where each column of each model comes from; about .1 CPU s a model.

    `remembered` is a file that keeps what was found, so that a model is read again only where its SQL or the columns
    of what it reads changed. A model whose SQL cannot be analysed has no sources: it is left out, never guessed.
    """
    columns = _columns(manifest)
    known = _read(remembered)
    found: dict[str, Any] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model" or not node.get("compiled_code"):
            continue
        table = table_of(node)
        digest = _digest(node, columns)
        entry = known.get(table)
        if not isinstance(entry, dict) or entry.get("digest") != digest:
            entry = {"digest": digest, "columns": _analysed(node["compiled_code"], columns[table], columns)}
        found[table] = entry
    if remembered is not None and found != known:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(found), encoding="utf-8")
    return {
        table: {
            name: [(place, column) for place, column in sources] for name, sources in entry["columns"].items()
        }
        for table, entry in found.items()
    }


def _columns(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    return {table_of(node): list(node["columns"]) for node in [*models, *manifest["sources"].values()]}


def _digest(node: Mapping[str, Any], columns: Mapping[str, list[str]]) -> str:
    read = [table for table in columns if table.rpartition(".")[2] in node["compiled_code"]]
    parts = [node["compiled_code"], *(f"{table}:{','.join(columns[table])}" for table in sorted(read))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _analysed(sql: str, wanted: list[str], columns: Mapping[str, list[str]]) -> dict[str, list[Source]]:
    import sqlglot  # .4 CPU s, and only where something changed
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope
    from sqlglot.schema import MappingSchema

    known: dict[str, Any] = {ALIAS: {}}
    for table, names in columns.items():
        if not names:  # nobody described it
            continue
        place, _, name = table.partition(".")
        known[ALIAS].setdefault(place, {})[name] = dict.fromkeys(names, "varchar")
    schema = MappingSchema(known, dialect="duckdb")
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
        whole = qualify(tree, schema=schema, dialect="duckdb", validate_qualify_columns=False, identify=False)
        scope = build_scope(whole)
        return {name: _sources(name, whole, schema, scope) for name in wanted}
    except (SqlglotError, KeyError, ValueError):
        return {}


def _sources(name: str, tree: Any, schema: Any, scope: Any) -> list[Source]:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    try:
        # Nothing is copied: a copy of the statement for each of its columns was four fifths of the cost.
        root = lineage(
            name, tree, schema=schema, scope=scope, dialect="duckdb", trim_selects=False, copy=False
        )
    except (SqlglotError, ValueError):  # a column that is documented and not there
        return []
    leaves = (node for node in root.walk() if not node.downstream and isinstance(node.expression, exp.Table))
    return sorted(
        {
            (f"{leaf.expression.db}.{leaf.expression.name}", leaf.name.rpartition(".")[2].strip('"'))
            for leaf in leaves
        }
    )


def _read(path: Path | None) -> dict[str, Any]:
    if path is None or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # cut off by a crash: it is only a memory
        return {}
    return found if isinstance(found, dict) else {}
