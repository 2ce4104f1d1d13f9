"""Pairs that agree in many things, none of which proves it: Splink's Fellegi-Sunter model on several attributes.

How often a comparison comes out so for two records of one thing (m) is given below, as clerks misspell names and warehouses
weigh again. How often it does for two different things (u) is counted in the company's own master: no two of its records are
meant to be one thing, so every pair of them is an example. With few records the counts are eked out by PRIOR_PAIRS imagined pairs.

Only records that share a block are compared: a number in their codes, the beginning or the end of their names with the same
numbers, and what else identifies roughly. A block with more than BLOCK_ROWS targets is passed over, so cost grows with the
number of open records and not with the square of the lists.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from lake.connection import memory_connection
from lake.matching.exact import RANKS

BLOCK_ROWS = 60
SAMPLE_RECORDS = 600
PRIOR_PAIRS = 2000
LEAST_U = 1e-7


@dataclass(frozen=True)
class Level:
    """One outcome of a comparison: `sql` over columns x_l and x_r, `m` and a guess of `u` (probabilities)."""

    label: str
    sql: str
    m: float
    u: float


@dataclass(frozen=True)
class Compared:
    """One attribute; the first level that holds counts. Where either side has no value it says nothing."""

    name: str
    column: str
    levels: tuple[Level, ...]


def _text(
    name: str, m_same: float, u_same: float, *, alike: float | None = None, column: str | None = None
) -> Compared:
    column = column or name
    near = f"jaro_winkler_similarity({column}_l, {column}_r) >= {alike}"
    levels = [Level("the same", f"{column}_l = {column}_r", m_same, u_same)]
    if alike:
        levels.append(Level("alike", near, (1 - m_same) * 0.7, u_same))
    rest_m = 1 - sum(level.m for level in levels)
    return Compared(
        name, column, (*levels, Level("different", "ELSE", rest_m, 1 - sum(level.u for level in levels)))
    )


def _number(name: str, m_same: float) -> Compared:
    def within(share: float) -> str:
        return f"abs({name}_l - {name}_r) <= {share} * greatest(abs({name}_l), abs({name}_r))"

    near = (1 - m_same) * 0.6
    return Compared(
        name,
        name,
        (
            Level("within 1 %", within(0.01), m_same, 0.02),
            Level("within 5 %", within(0.05), near, 0.05),
            Level("different", "ELSE", 1 - m_same - near, 0.93),
        ),
    )


_NUMBERS = "name_numbers_l = name_numbers_r"
_NAME = Compared(
    "name",
    "name_key",
    (
        Level("the same", "name_key_l = name_key_r", 0.75, 0.0005),
        Level(
            "misspelt",
            f"{_NUMBERS} AND (damerau_levenshtein(name_letters_l, name_letters_r) <= greatest(1, length(name_letters_l) // 6)"
            " OR jaro_winkler_similarity(name_letters_l, name_letters_r) >= 0.95)",
            0.19,
            0.0005,
        ),
        Level(
            "alike",
            f"{_NUMBERS} AND jaro_winkler_similarity(name_letters_l, name_letters_r) >= 0.85",
            0.04,
            0.002,
        ),
        Level("different", "ELSE", 0.02, 0.997),
    ),
)
_CODE = _text("code_number", 0.6, 0.0005)

COMPARED: dict[str, tuple[Compared, ...]] = {
    "item": (
        _NAME,
        _CODE,
        _text("category", 0.95, 0.15),
        _number("unit_weight_kg", 0.85),
        _number("list_price", 0.85),
    ),
    "supplier": (
        _NAME,
        _text("street", 0.6, 0.001, alike=0.85),
        _text("postal_code", 0.93, 0.002),
        _text("city", 0.9, 0.02, alike=0.9),
        _text("country", 0.98, 0.2),
    ),
    "location": (
        _NAME,
        _CODE,
        _text("city", 0.9, 0.02, alike=0.9),
        _text("location_type", 0.95, 0.4),
        _text("region", 0.9, 0.3),
    ),
}

_BLOCKS: dict[str, dict[str, str]] = {
    "item": {
        "b_code": "code_number",
        "b_start": "left(name_letters, 6) || '|' || name_numbers",
        "b_end": "right(name_letters, 6) || '|' || name_numbers",
        "b_own": "category || '|' || round(unit_weight_kg, 2)",
    },
    "supplier": {
        "b_start": "left(name_letters, 5) || '|' || name_numbers",
        "b_end": "right(name_letters, 5) || '|' || name_numbers",
        "b_own": "postal_code || '|' || country",
        "b_street": "left(street, 8) || '|' || city",
    },
    "location": {
        "b_code": "code_number",
        "b_start": "left(name_letters, 6) || '|' || name_numbers",
        "b_end": "right(name_letters, 6) || '|' || name_numbers",
        "b_own": "city",
    },
}


def propose_by_probability(
    connection: duckdb.DuckDBPyConnection, kind: str, least: float, *, doubles: bool
) -> None:
    """Add to `proposal` the pairs of `likely` and `target` with a probability of at least `least`.

    `doubles`: both are of one system, and each pair is looked at once.
    """
    columns = ", ".join(_columns(kind))
    left = connection.execute(
        f"SELECT system, code, {columns} FROM likely ORDER BY system, code"
    ).to_arrow_table()
    right = connection.execute(
        f"SELECT system, code, {columns} FROM target WHERE name_key IS NOT NULL ORDER BY system, code"
    ).to_arrow_table()
    if not left.num_rows or not right.num_rows:
        return
    pairs = _score(kind, left, right, least, doubles=doubles)
    connection.register("scored", pairs)
    connection.execute(
        f"""
        INSERT INTO proposal
        SELECT system, code, target_system, target_code, 'probability', {RANKS["probability"]}, probability, NULL, found
        FROM scored WHERE (system, code) <> (target_system, target_code)
        """
    )
    connection.unregister("scored")


def _columns(kind: str) -> list[str]:
    own = [compared.column for compared in COMPARED[kind]]
    return list(dict.fromkeys(["name_key", "name_letters", "name_numbers", "code_number", *own]))


def _score(kind: str, left: pa.Table, right: pa.Table, least: float, *, doubles: bool) -> pa.Table:
    """Return system, code, target_system, target_code, probability, found of the pairs that Splink finds likely."""
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    for noisy in ("splink", "splink.internals"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    memory = memory_connection()
    try:
        memory.register("left_given", left)
        memory.register("right_given", right)
        keys = _BLOCKS[kind]
        drawn = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
        for side, offset in (("left", 0), ("right", left.num_rows)):
            memory.execute(
                f"CREATE TABLE {side}_side AS SELECT row_number() OVER (ORDER BY system, code) + {offset} AS unique_id,"
                f" '{side}' AS source_dataset, *, {drawn} FROM {side}_given"
            )
        for name in keys:  # blocks that hold too much say too little
            memory.execute(
                f"UPDATE left_side SET {name} = NULL WHERE {name} IN"
                f" (SELECT {name} FROM right_side GROUP BY 1 HAVING count(*) > {BLOCK_ROWS})"
            )
        given = _comparisons(kind, _counted(memory, COMPARED[kind]))
        settings = SettingsCreator(
            link_type="link_only",
            comparisons=given,
            blocking_rules_to_generate_predictions=[block_on(name) for name in keys],
            probability_two_random_records_match=1 / max(right.num_rows, 2),
            retain_matching_columns=True,
            retain_intermediate_calculation_columns=True,
            additional_columns_to_retain=["system", "code"],
        )
        api = DuckDBAPI(connection=memory)
        tables = [api.register(f"{side}_side", dataset_display_name=side) for side in ("left", "right")]
        scored = Linker(tables, settings).inference.predict(threshold_match_probability=least)
        once = " WHERE (system_l, code_l) > (system_r, code_r)" if doubles else ""
        return memory.execute(
            f"SELECT system_l AS system, code_l AS code, system_r AS target_system, code_r AS target_code,"
            f" match_probability AS probability, {_found(kind)} AS found FROM {scored.physical_name}{once}"
        ).to_arrow_table()
    finally:
        memory.close()


def _counted(memory: duckdb.DuckDBPyConnection, compared: Sequence[Compared]) -> dict[str, list[float]]:
    """Return u of every level, from pairs of the targets' own records: different things by definition."""
    sides = f"(SELECT * FROM right_side ORDER BY hash(unique_id) LIMIT {SAMPLE_RECORDS})"
    found = {}
    for one in compared:
        cases = " ".join(f"WHEN {level.sql} THEN {index}" for index, level in enumerate(one.levels[:-1]))
        columns = sorted({"name_key", "name_letters", "name_numbers", one.column})
        named = ", ".join(f"a.{c} AS {c}_l, b.{c} AS {c}_r" for c in columns)
        rows = memory.execute(
            f"SELECT CASE {cases} ELSE {len(one.levels) - 1} END AS level, count(*) FROM ("
            f"SELECT {named} FROM {sides} AS a JOIN {sides} AS b ON a.unique_id < b.unique_id"
            f" WHERE a.{one.column} IS NOT NULL AND b.{one.column} IS NOT NULL) GROUP BY 1"
        ).fetchall()
        counts: Mapping[int, int] = dict(rows)
        pairs = sum(counts.values())
        found[one.name] = [
            max((counts.get(index, 0) + level.u * PRIOR_PAIRS) / (pairs + PRIOR_PAIRS), LEAST_U)
            for index, level in enumerate(one.levels)
        ]
    return found


def _comparisons(kind: str, u: Mapping[str, Sequence[float]]) -> list[Any]:
    """Return Splink's comparisons, with m as given and u as counted."""
    return [
        {
            "output_column_name": one.name,
            "comparison_levels": [
                {
                    "sql_condition": f"{one.column}_l IS NULL OR {one.column}_r IS NULL",
                    "label_for_charts": "no value",
                    "is_null_level": True,
                },
                *(
                    {
                        "sql_condition": level.sql,
                        "label_for_charts": level.label,
                        "m_probability": level.m,
                        "u_probability": u[one.name][index],
                    }
                    for index, level in enumerate(one.levels)
                ),
            ],
        }
        for one in COMPARED[kind]
    ]


def _found(kind: str) -> str:
    """Return SQL of the evidence: of each attribute what it was on both sides, how it came out, and its weight (log2 m/u)."""
    parts = []
    for one in COMPARED[kind]:
        highest = len(one.levels) - 1
        outcome = " ".join(
            f"WHEN {highest - index} THEN '{level.label}'" for index, level in enumerate(one.levels)
        )
        parts.append(
            f"{{'attribute': {json.dumps(one.name).replace(chr(34), chr(39))}, 'left': {one.column}_l::VARCHAR, 'right': {one.column}_r::VARCHAR,"
            f" 'outcome': CASE gamma_{one.name} {outcome} ELSE 'no value' END, 'weight': round(mw_{one.name}, 2)}}"
        )
    return f"to_json({{'attributes': [{', '.join(parts)}]}})"
