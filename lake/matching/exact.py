"""Pairs that agree exactly: identifiers, then spellings of a code. Each rule adds to the temporary table `proposal`.

A rule proposes, `judging.py` decides. The rules in the order of their trust:

    gtin, tax_id, gln         a valid number of a registry, the same on both sides
    manufacturer_part         manufacturer and its part number
    supplier_part             conformed supplier and its part number for the item
    same_code                 the master has the same code
    normalised_code           the same code but for case, signs and leading zeros, of one code of the master only
"""

import duckdb

from lake.matching import texts

RANKS = {
    "gtin": 1,
    "tax_id": 1,
    "gln": 1,
    "manufacturer_part": 2,
    "supplier_part": 3,
    "same_code": 4,
    "normalised_code": 5,
    "probability": 6,
}
"""Methods by trust, the highest first."""

PROPOSAL = """
CREATE OR REPLACE TEMP TABLE proposal (system VARCHAR, code VARCHAR, target_system VARCHAR, target_code VARCHAR,
    method VARCHAR, rank INTEGER, probability DOUBLE, agree BOOLEAN, found VARCHAR)
"""
"""`agree`: whether the names agree, null where one has none. `found`: what the method compared, as JSON."""


def propose_by_identifier(connection: duckdb.DuckDBPyConnection) -> None:
    """Add pairs of `open` and `target` that share an identifier; a value that several targets have proposes each."""
    connection.execute(
        f"""
        INSERT INTO proposal
        SELECT o.system, o.code, t.system, t.code, i.type, list_extract($ranks, list_position($types, i.type)), NULL,
            {texts.names_agree("o", "t")},
            to_json({{'value': i.value, 'left': {{'dataset': i.dataset, 'file': i.file, 'line': i.line}},
                'right': {{'code': j.code, 'system': j.system, 'dataset': j.dataset, 'file': j.file, 'line': j.line}}}})
        FROM open AS o JOIN open_identifier AS i USING (system, code)
        JOIN target_identifier AS j ON j.type = i.type AND j.value = i.value
        JOIN target AS t ON t.system = j.root_system AND t.code = j.root_code
        WHERE (o.system, o.code) <> (t.system, t.code)
        QUALIFY row_number() OVER (PARTITION BY o.system, o.code, t.system, t.code, i.type ORDER BY i.value, j.system, j.code) = 1
        """,
        {"types": list(RANKS), "ranks": list(RANKS.values())},
    )


def propose_by_code(connection: duckdb.DuckDBPyConnection) -> None:
    """Add pairs of other systems' codes and the targets that are spelled the same, exactly or but for signs."""
    for method, column in (("same_code", "code"), ("normalised_code", "code_key")):
        connection.execute(
            f"""
            INSERT INTO proposal
            SELECT o.system, o.code, t.system, t.code, '{method}', {RANKS[method]}, NULL, {texts.names_agree("o", "t")},
                to_json({{'value': o.{column}}})
            FROM open AS o JOIN target AS t ON t.{column} = o.{column} AND t.system <> o.system
            """
        )
