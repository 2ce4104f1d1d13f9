"""What the systems say of their codes: read from raw by the contracts' mappings, as temporary tables of one connection.

    code        every code that occurs: where first, in how many lines, for how much money; is_listed: its system's own list has it
    record      what its system's list says of it (newest row), names and codes normalised, with file and line
    identifier  its identifiers, normalised and valid: several rows for several identifiers

All three have kind (item, supplier, location), system and code. Nothing is written to the lake here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from lake.connection import quoted_name, quoted_text, table_exists
from lake.contracts.entities import MATCHED, Entity, load_entities
from lake.contracts.model import Contract
from lake.matching import texts

NAMES = {"item": "item_name", "supplier": "supplier_name", "location": "location_name"}
"""The column of a list that says what a code is called."""

ATTRIBUTES: dict[str, dict[str, str]] = {
    "item": {"category": "text", "unit_weight_kg": "number", "list_price": "number"},
    "supplier": {"street": "text", "postal_code": "text", "city": "text", "country": "text"},
    "location": {"location_type": "text", "city": "text", "region": "text"},
}
"""What else of a list is compared, beside names, codes and identifiers."""

IDENTIFIERS: dict[str, dict[str, tuple[str, ...]]] = {
    "item": {
        "gtin": ("gtin",),
        "manufacturer_part": ("manufacturer", "manufacturer_part"),
        "supplier_part": ("supplier_id", "supplier_part_number"),
    },
    "supplier": {"tax_id": ("tax_id",)},
    "location": {"gln": ("gln",)},
}
"""Identifiers by the columns of the list that make them."""

SINGLE = ("gtin", "manufacturer_part", "tax_id", "gln")
"""Identifiers of which a thing has one: two that differ say that two records are two things."""

_TABLES = """
CREATE OR REPLACE TEMP TABLE code (kind VARCHAR, system VARCHAR, code VARCHAR, is_listed BOOLEAN, lines BIGINT, value DOUBLE,
    dataset VARCHAR, file VARCHAR, line BIGINT);
CREATE OR REPLACE TEMP TABLE record (kind VARCHAR, system VARCHAR, code VARCHAR, code_key VARCHAR, code_number VARCHAR,
    name VARCHAR, name_key VARCHAR, name_letters VARCHAR, name_numbers VARCHAR, {attributes},
    dataset VARCHAR, file VARCHAR, line BIGINT, known_on DATE, digest UBIGINT, is_new BOOLEAN);
CREATE OR REPLACE TEMP TABLE identifier (kind VARCHAR, system VARCHAR, code VARCHAR, type VARCHAR, value VARCHAR,
    dataset VARCHAR, file VARCHAR, line BIGINT);
"""


@dataclass(frozen=True)
class Feed:
    """One contract, as what it says of codes is read."""

    contract: Contract
    entity: Entity

    def columns(self, kind: str) -> list[str]:
        """Columns of the entity whose values are codes of `kind`, as far as the contract feeds them."""
        mapped = dict(self.contract.mapping)
        return [
            name
            for name, column in self.entity.columns.items()
            if kind in column.identifies and name in mapped
        ]

    def sql(self, names: Sequence[str]) -> str:
        """The rows that count now: the entity's columns `names`, typed as in staging, then _file, _line, _known_at."""
        raw = {column.name for column in self.contract.columns} | {"_file", "_line"}
        mapping = dict(self.contract.mapping)
        selected = [
            f"CAST({quoted_name(sql) if sql in raw else sql} AS {self.entity.columns[name].type}) AS {name}"
            for name in names
            if (sql := mapping.get(name, "NULL"))
        ]
        where = f" WHERE {self.contract.live_condition}" if self.contract.live_condition else ""
        table = f"lake.raw.{quoted_name(self.contract.dataset)}"
        return f"(SELECT {', '.join([*selected, '_file', '_line', '_known_at'])} FROM {table}{where})"


def feeds(connection: duckdb.DuckDBPyConnection, contracts: Sequence[Contract]) -> list[Feed]:
    """Return the contracts that feed an entity and whose raw table is there."""
    entities = load_entities()
    return [
        Feed(contract, entities[contract.entity])
        for contract in sorted(contracts, key=lambda one: one.dataset)
        if contract.entity and table_exists(connection, "raw", contract.dataset)
    ]


def read_records(connection: duckdb.DuckDBPyConnection, contracts: Sequence[Contract]) -> None:
    """Fill `code`, `record` and `identifier` from raw. A supplier's part number names the supplier as its system does."""
    attributes = {name: kind for of_kind in ATTRIBUTES.values() for name, kind in of_kind.items()}
    drawn = ", ".join(
        f"{name} {'DOUBLE' if kind == 'number' else 'VARCHAR'}" for name, kind in attributes.items()
    )
    connection.execute(_TABLES.format(attributes=drawn))
    found = feeds(connection, contracts)
    for kind in MATCHED:
        for feed in found:
            if feed.entity.name == kind:
                _read_list(connection, feed, kind)
        connection.execute(_newest_only("record"))
    for feed in found:
        if feed.entity.name in ("item", "supplier_item"):
            _read_identifiers(connection, feed, "item")
        elif feed.entity.name in MATCHED:
            _read_identifiers(connection, feed, feed.entity.name)
    connection.execute(
        "DELETE FROM identifier WHERE value IS NULL;"
        " CREATE OR REPLACE TEMP TABLE identifier AS SELECT * FROM identifier"
        " QUALIFY row_number() OVER (PARTITION BY kind, system, code, type, value ORDER BY dataset, file, line) = 1"
    )
    _read_codes(connection, found)


def _read_list(connection: duckdb.DuckDBPyConnection, feed: Feed, kind: str) -> None:
    """Add the rows of one list: what it says of each code, newest first."""
    name, key = NAMES[kind], f"{kind}_id"
    others = {
        column: texts.filled(column) if how == "text" else f"{column}::DOUBLE"
        for column, how in ATTRIBUTES[kind].items()
    }
    said = ", ".join([name, *ATTRIBUTES[kind], *sorted({c for cs in IDENTIFIERS[kind].values() for c in cs})])
    connection.execute(
        f"""
        INSERT INTO record BY NAME
        WITH named AS (
            SELECT *, {texts.filled(key)} AS code, {texts.name_key(name)} AS name_key, hash({said}) AS digest
            FROM {feed.sql(list(feed.entity.columns))} WHERE {texts.filled(key)} IS NOT NULL
        )
        SELECT {quoted_text(kind)} AS kind, {quoted_text(feed.contract.system)} AS system, code,
            {texts.code_key("code")} AS code_key, {texts.code_number("code")} AS code_number,
            {texts.filled(name)} AS name, name_key, {texts.name_letters("name_key")} AS name_letters,
            {texts.name_numbers("name_key")} AS name_numbers,
            {", ".join(f"{sql} AS {column}" for column, sql in others.items())},
            {quoted_text(feed.contract.dataset)} AS dataset, _file AS file, _line AS line, _known_at::DATE AS known_on, digest, true AS is_new
        FROM named
        QUALIFY row_number() OVER (PARTITION BY code ORDER BY _known_at DESC NULLS LAST, _file DESC, _line DESC) = 1
        """
    )


def _newest_only(table: str) -> str:
    """Of a code that two lists of a system have, what was known last stands."""
    return (
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM {table} QUALIFY row_number() OVER"
        " (PARTITION BY kind, system, code ORDER BY known_on DESC NULLS LAST, dataset, file, line) = 1"
    )


def _read_identifiers(connection: duckdb.DuckDBPyConnection, feed: Feed, kind: str) -> None:
    """Add the identifiers that one dataset gives; of a list, those of each code's newest row."""
    mapped, key, dataset = dict(feed.contract.mapping), f"{kind}_id", quoted_text(feed.contract.dataset)
    stands = (
        f" SEMI JOIN record AS r ON r.kind = {quoted_text(kind)} AND r.dataset = {dataset} AND r.code = said.code"
        " AND r.file = said._file AND r.line = said._line"
        if feed.entity.name == kind
        else ""
    )
    for type_, columns in IDENTIFIERS[kind].items():
        if not all(column in mapped for column in (key, *columns)):
            continue
        rows = feed.sql([key, *columns, *(["country"] if type_ == "tax_id" else [])])
        connection.execute(
            f"""
            INSERT INTO identifier
            WITH said AS (SELECT *, {texts.filled(key)} AS code FROM {rows})
            SELECT {quoted_text(kind)}, {quoted_text(feed.contract.system)}, code, {quoted_text(type_)},
                {_identifier(type_)}, {dataset}, _file, _line
            FROM said{stands} WHERE code IS NOT NULL
            """
        )


def _identifier(type_: str) -> str:
    """Return the normalised identifier; null where it is missing or cannot be one."""
    match type_:
        case "gtin":
            return texts.gtin("gtin")
        case "gln":
            return texts.gtin("gln")
        case "tax_id":
            return texts.tax_id("tax_id", "country")
        case "manufacturer_part":
            part = texts.letters_and_digits(texts.filled("manufacturer_part"))
            return f"{texts.letters_and_digits(texts.filled('manufacturer'))} || '|' || if(length({part}) >= 3, {part}, NULL)"
    part = texts.letters_and_digits(texts.filled("supplier_part_number"))
    return f"{texts.filled('supplier_id')} || '|' || if(length({part}) >= 3, {part}, NULL)"


def _read_codes(connection: duckdb.DuckDBPyConnection, found: Sequence[Feed]) -> None:
    """Fill `code`: those of the lists, and those of all lines, with their money."""
    connection.execute(
        "INSERT INTO code SELECT kind, system, code, true, 0, 0, dataset, file, line FROM record;"
        " CREATE OR REPLACE TEMP TABLE unit_value AS SELECT system, code, list_price FROM record WHERE kind = 'item';"
    )
    for feed in found:
        for kind in MATCHED:
            for column in feed.columns(kind):
                if column != f"{feed.entity.name}_id":  # a list itself is no line
                    connection.execute(_lines_of(feed, kind, column))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE code AS
        SELECT kind, system, code, bool_or(is_listed) AS is_listed, sum(lines)::BIGINT AS lines, sum(value) AS value,
            unnest(arg_min({'dataset': dataset, 'file': file, 'line': line}, (NOT is_listed, dataset, file, line)))
        FROM code GROUP BY kind, system, code
        """
    )


def _lines_of(feed: Feed, kind: str, column: str) -> str:
    """Return the query that adds how often each code stands in the lines of a dataset, and for how much money."""
    value, entity = feed.entity.value, feed.entity
    needed = [column, *(name for name in entity.columns if name != column and value and name in value)]
    price = "NULL"
    if value and "unit_value" in value:
        item = "item_id" if "item_id" in entity.columns else column
        needed = list(dict.fromkeys([*needed, item]))
        typical = "(SELECT median(list_price) FROM unit_value)"
        listed = f"(SELECT any_value(list_price) FROM unit_value WHERE system = {quoted_text(feed.contract.system)} AND code = lines.{item})"
        price = f"coalesce({listed}, {typical})"
    may_be = entity.columns[column].identifies
    others = [other for other in may_be if other != kind]
    there = f"EXISTS (FROM record AS r WHERE r.kind IN ({', '.join(map(quoted_text, others or ['']))}) AND r.code = {texts.filled(column)})"
    own = f"EXISTS (FROM record AS r WHERE r.kind = {quoted_text(kind)} AND r.code = {texts.filled(column)})"
    # What may be a supplier or a location is the one that has it in a list; what no list has counts as the first.
    condition = "" if not others else f" AND NOT {there}" if kind == may_be[0] else f" AND {own}"
    return f"""
        INSERT INTO code
        WITH lines AS (SELECT * FROM {feed.sql(needed)}), valued AS (SELECT *, {price} AS unit_value FROM lines)
        SELECT {quoted_text(kind)}, {quoted_text(feed.contract.system)}, {texts.filled(column)}, false, count(*),
            coalesce(sum({value or "0"}), 0), {quoted_text(feed.contract.dataset)}, min_by(_file, (_file, _line)), min_by(_line, (_file, _line))
        FROM valued WHERE {texts.filled(column)} IS NOT NULL{condition} GROUP BY {texts.filled(column)}
    """
