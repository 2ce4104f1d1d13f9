"""What of the last good build still stands: which models nothing has touched since, so that dbt leaves them and their tests out.

At the end of a build of everything in which nothing failed, one row of `lake.meta.build_standing` says: at this snapshot, by
this code, every model stood as it would be made, and every test had passed. From then on DuckLake says which tables were
touched. A model stands if neither it nor anything that it reads, through any number of models, was; a test, if all that it
asks stands and it passed. Nothing less than the next such build moves the snapshot on, so what was killed, failed or half
built in between is asked again. The row is in the lake itself: a lake that is restored says what stood in it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from lake.connection import ROW_CHANGES, Lake, literal, metadata, quoted_text, table_exists

_TABLE = (
    "CREATE TABLE IF NOT EXISTS lake.meta.build_standing (code VARCHAR, snapshot_id BIGINT, nodes VARCHAR)"
)

# Whatever happened to it counts: rows, columns, made, made anew, dropped. Merged files are no change.
_TOUCHED = f"""
WITH object AS (
    SELECT table_id AS id, schema_id, table_name AS name, begin_snapshot, end_snapshot, false AS is_view
    FROM {{metadata}}.ducklake_table
    UNION ALL
    SELECT view_id, schema_id, view_name, begin_snapshot, end_snapshot, true FROM {{metadata}}.ducklake_view
), change AS (
    SELECT DISTINCT try_cast(unnest(regexp_extract_all({ROW_CHANGES}, ':(\\d+)', 1)) AS BIGINT) AS id
    FROM {{metadata}}.ducklake_snapshot_changes AS c WHERE c.snapshot_id > $since
)
SELECT DISTINCT schema_name || '.' || name
FROM object JOIN {{metadata}}.ducklake_schema USING (schema_id)
WHERE object.begin_snapshot > $since OR object.end_snapshot > $since OR id IN (FROM change)
"""
_THERE = """
SELECT schema_name || '.' || name
FROM (
    SELECT schema_id, table_name AS name, end_snapshot FROM {metadata}.ducklake_table
    UNION ALL SELECT schema_id, view_name, end_snapshot FROM {metadata}.ducklake_view
) AS object JOIN {metadata}.ducklake_schema AS s USING (schema_id)
WHERE object.end_snapshot IS NULL AND s.end_snapshot IS NULL
"""
_GOOD = {"model": "success", "test": "pass"}


@dataclass(frozen=True)
class Standing:
    """One good build, as the lake kept it."""

    snapshot_id: int
    nodes: Mapping[str, Mapping[str, Any]]
    """dbt's unique id -> `result` (what the build said of it), `table` ('' for tests), `reads` (tables), `behind` (other nodes)."""
    fallen: frozenset[str] = frozenset()
    """Those that stand no more, or may not."""

    def result_if(self, node_id: str, touched: set[str]) -> dict[str, Any] | None:
        """Return a node's result if it still holds, where all behind it have run or stand; None if it is to be run."""
        node = self.nodes[node_id]
        read = {node["table"], *node["reads"], *(self.nodes[one]["table"] for one in node["behind"])}
        result: dict[str, Any] = node["result"]
        return result if _is_good(node) and touched.isdisjoint(read) else None

    def standing(self, touched: set[str], there: set[str]) -> set[str]:
        """Return the nodes that stand, given the tables that were touched since and those that are there."""
        found: dict[str, bool] = {}

        def stands(node_id: str) -> bool:
            if node_id not in found:
                node = self.nodes.get(node_id)
                found[node_id] = (
                    node is not None
                    and _is_good(node)
                    and (not node["table"] or node["table"] in there)
                    and touched.isdisjoint({node["table"], *node["reads"]})
                    and all(stands(behind) for behind in node["behind"])
                )
            return found[node_id]

        return {node_id for node_id in self.nodes if stands(node_id)}


def _is_good(node: Mapping[str, Any]) -> bool:
    return bool(node["result"]["status"] == _GOOD.get(node["result"]["kind"]))


def what_stands(lake: Lake, code: str) -> Standing | None:
    """Return the last good build, and which of its nodes still stand; None where nobody can know: no such build by this
    code, or snapshots since have expired.
    """
    with lake.read() as connection:
        kept = _kept(connection, code)
        if kept is None or not _all_known(connection, kept.snapshot_id):
            return None
        touched = _names(connection, touched_sql(metadata(connection), kept.snapshot_id))
        there = _names(connection, _THERE.replace("{metadata}", metadata(connection)))
    return replace(kept, fallen=frozenset(kept.nodes.keys() - kept.standing(touched, there)))


def touched_sql(catalogue: str, since: int) -> str:
    """Return the query of the names (schema.table) of what was touched after a snapshot; `catalogue` stands before its tables."""
    return _TOUCHED.replace("{metadata}", catalogue).replace("$since", str(int(since)))


def note_good_build(
    lake: Lake,
    code: str,
    snapshot_id: int,
    manifest: Mapping[str, Any],
    results: Iterable[Mapping[str, Any]],
    last: Standing | None,
) -> None:
    """Note a build of everything in which nothing failed: the results of what it ran, and those of the last one that stand."""
    nodes = {} if last is None else {one: node for one, node in last.nodes.items() if one not in last.fallen}
    sources = {
        one["unique_id"]: f"{one['schema']}.{one['identifier']}" for one in manifest["sources"].values()
    }
    for result in results:
        node = manifest["nodes"].get(result["unique_id"])
        if node is None:  # a unit test
            continue
        if last is not None and result["is_standing"]:
            nodes[result["unique_id"]] = last.nodes[result["unique_id"]]
            continue
        behind = node["depends_on"]["nodes"]
        is_model = node["resource_type"] == "model"
        nodes[result["unique_id"]] = {
            "result": result,
            "table": f"{node['schema']}.{node['alias']}" if is_model else "",
            "reads": sorted(
                {sources[one] for one in behind if one in sources}
                | set(node["config"]["meta"].get("reads", ()))
            ),
            "behind": [one for one in behind if one not in sources],
        }
    with lake.write() as connection:
        connection.execute(_TABLE)
        connection.execute("DELETE FROM lake.meta.build_standing")
        connection.execute(
            f"INSERT INTO lake.meta.build_standing VALUES ({quoted_text(code)}, {literal(snapshot_id)}, {quoted_text(json.dumps(nodes))})"
        )


def _kept(connection: duckdb.DuckDBPyConnection, code: str) -> Standing | None:
    if not table_exists(connection, "meta", "build_standing"):
        return None
    row = connection.execute("SELECT code, snapshot_id, nodes FROM lake.meta.build_standing").fetchone()
    return Standing(int(row[1]), json.loads(row[2])) if row and row[0] == code else None


def _all_known(connection: duckdb.DuckDBPyConnection, since: int) -> bool:
    row = connection.execute(
        f"SELECT count(*), max(snapshot_id) FROM {metadata(connection)}.ducklake_snapshot WHERE snapshot_id >= {int(since)}"
    ).fetchone()
    return row is not None and row[1] is not None and row[0] == row[1] - since + 1


def _names(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    return {str(row[0]) for row in connection.execute(query).fetchall()}
