"""A rule: one statement about a table that the gate can test, count and explain. Values only, nothing runs here.

Every rule carries the query that returns its offending rows, so that each of them can be counted and shown.
Which rules a table has stands in `suites.py` and `suites.yaml`; how they run, in `expectations.py`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lake.contracts.model import Severity

_TABLE_NAME = re.compile(r'(?:\blake|"lake")\s*\.\s*"?(raw|core|marts|meta)"?\s*\.\s*"?(\w+)"?')


@dataclass(frozen=True)
class Rule:
    """One check of one table. `{table}` in `failing` stands for the table's qualified name."""

    table: str
    """schema.table, without the lake's alias."""
    check: str
    """What has to hold, as a planner would say it."""
    failing: str
    """Query that returns the offending rows; a text column `finding`, if it has one, says what is wrong."""
    finding: str
    """What the offending rows are, after '3 rows ...'."""
    severity: Severity = "stop"
    columns: tuple[str, ...] = ()
    bad_row: str = ""
    """Condition that tells a bad row from the row alone (and from tables it names). All such rules of a table share one
    scan, and of rows that were good before only new ones are asked. '' where `failing` is more than a filter."""
    unique_key: tuple[str, ...] = ()
    """Columns that no two rows may agree in."""
    parent: str = ""
    """'schema.table.column' in which values have to stand."""
    window: tuple[str, int] | None = None
    """(SQL of a day, days): the rule looks at the rows of the newest days up to as_of, and else only at the oldest day."""
    row_names: tuple[str, ...] = ()
    """Columns that name a row of the table; a sample shows them beside the column that is wrong."""

    @property
    def check_id(self) -> str:
        """Eight hex digits by which people name the check: of table, columns and what has to hold."""
        return _digest(self.table, *self.columns, self.check)[:8]

    @cached_property
    def version(self) -> str:
        """Changes when anything about the rule does."""
        return _digest(repr(self))[:16]

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every table of the lake that the answer depends on."""
        return frozenset({self.table, *(".".join(found) for found in _TABLE_NAME.findall(self.failing))})

    @property
    def full_name(self) -> str:
        """The table as SQL names it."""
        schema, _, name = self.table.partition(".")
        return f"lake.{identifier(schema)}.{identifier(name)}"

    @property
    def failing_sql(self) -> str:
        """The query of offending rows with the table's full name in place."""
        return self.failing_among("")

    def failing_among(self, rows: str, copy: str = "") -> str:
        """Return the query of offending rows, among all rows or ('' is all) those that the relation `rows` brought.

        `copy` is a relation with all rows of the table, to be read in its stead.
        """
        if not rows:
            return self.failing.replace("{table}", copy or self.full_name)
        if self.unique_key:
            names = ", ".join(identifier(column) for column in self.unique_key)
            return (
                f"SELECT there.* FROM {self.full_name} AS there SEMI JOIN {rows} USING ({names})"
                f" QUALIFY count(*) OVER (PARTITION BY {names}) > 1"
            )
        return self.failing.replace("{table}", rows)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def rows_where(
    table: str, predicate: str, check: str, finding: str, *, columns: Sequence[str] = (), parent: str = ""
) -> Rule:
    """No row may satisfy `predicate`, which describes a bad row."""
    failing = f"SELECT * FROM {{table}} WHERE {predicate}"
    return Rule(table, check, failing, finding, columns=tuple(columns), bad_row=predicate, parent=parent)


def known_by(table: str, days: int) -> Rule:
    """No row became known later than `days` after as_of."""
    predicate = f"known_at > (SELECT max(as_of) FROM lake.marts.as_of) + INTERVAL {days} DAY"
    check, finding = f"is known by {days} days after as_of", f"known more than {days} days after as_of"
    return rows_where(table, predicate, check, finding, columns=("known_at",))


def not_null(table: str, column: str) -> Rule:
    """The column is filled in every row."""
    return rows_where(
        table, f"{identifier(column)} IS NULL", "is filled", "without a value", columns=(column,)
    )


def between(table: str, column: str, minimum: float | None, maximum: float | None) -> Rule:
    """Values that are there lie in [minimum, maximum]; an end that is None is open."""
    name = identifier(column)
    below, above = f"below {_number(minimum)}", f"above {_number(maximum)}"
    if minimum is not None and maximum is not None:
        check, finding = f"is {_number(minimum)} to {_number(maximum)}", f"{below} or {above}"
        predicate = f"{name} < {minimum!r} OR {name} > {maximum!r}"
    elif minimum is not None:
        check, finding, predicate = f"is at least {_number(minimum)}", below, f"{name} < {minimum!r}"
    else:
        check, finding, predicate = f"is at most {_number(maximum)}", above, f"{name} > {maximum!r}"
    return rows_where(table, predicate, check, finding, columns=(column,))


def in_set(table: str, column: str, allowed: Sequence[str]) -> Rule:
    """Values that are there are among `allowed`."""
    name, values = identifier(column), ", ".join(literal(value) for value in allowed)
    predicate = f"{name} IS NOT NULL AND CAST({name} AS VARCHAR) NOT IN ({values})"
    listed = ", ".join(allowed)
    return rows_where(table, predicate, f"is one of {listed}", f"not one of {listed}", columns=(column,))


def matches(table: str, column: str, pattern: str) -> Rule:
    """The whole text of values that are there matches the regular expression."""
    predicate = f"NOT regexp_full_match(CAST({identifier(column)} AS VARCHAR), {literal(pattern)})"
    return rows_where(table, predicate, f"matches {pattern}", f"not matching {pattern}", columns=(column,))


def unique(table: str, columns: Sequence[str], check: str = "is unique") -> Rule:
    """No two rows agree in all of `columns` (null equals null)."""
    names = ", ".join(identifier(column) for column in columns)
    # Grouping 64-bit hashes costs half of grouping texts; rows of a hash met twice are then compared for real.
    failing = (
        f"SELECT * FROM {{table}} WHERE hash({names}) IN"
        f" (SELECT hash({names}) FROM {{table}} GROUP BY ALL HAVING count(*) > 1)"
        f" QUALIFY count(*) OVER (PARTITION BY {names}) > 1"
    )
    finding = "repeating " + " + ".join(columns)
    return Rule(table, check, failing, finding, columns=tuple(columns), unique_key=tuple(columns))


def references(table: str, column: str, target: str, where: str | None = None) -> Rule:
    """Values that are there stand in `target` ('schema.table.column')."""
    schema, other, key = target.split(".")
    other_table = f"lake.{identifier(schema)}.{identifier(other)}"
    predicate = (
        f"{identifier(column)} IS NOT NULL AND {identifier(column)} NOT IN"
        f" (SELECT {identifier(key)} FROM {other_table} WHERE {identifier(key)} IS NOT NULL)"
        + (f" AND ({where})" if where else "")
    )
    return rows_where(
        table, predicate, f"stands in {target}", f"not in {target}", columns=(column,), parent=target
    )


def row_count(table: str, minimum: float | None, maximum: float | None) -> Rule:
    """The table holds `minimum` to `maximum` rows; an end that is None is open."""
    low, high = int(minimum or 0), None if maximum is None else int(maximum)
    wanted = f"at least {low:,}" if high is None else f"{low:,} to {high:,}"
    bad = f"count(*) < {low}" + ("" if high is None else f" OR count(*) > {high}")
    failing = (
        f"SELECT format('{{:,}} rows, {wanted} expected', count(*)) AS finding FROM {{table}} HAVING {bad}"
    )
    return Rule(table, f"holds {wanted} rows", failing, "too few or too many")


def no_findings(table: str, query: str, check: str, *, columns: Sequence[str] = ()) -> Rule:
    """The query returns no row; each row it returns has a text `finding`."""
    return Rule(table, check, query, "found", columns=tuple(columns))


def no_missing_days(table: str, column: str) -> Rule:
    """Every day from the first to the last of `column` has a row; missing days are named."""
    day = f"CAST({identifier(column)} AS DATE)"
    query = (
        f"WITH present AS (SELECT DISTINCT {day} AS day FROM {{table}}),"
        " span AS (SELECT CAST(unnest(generate_series(min(day), max(day), INTERVAL 1 DAY)) AS DATE) AS day FROM present)"
        " SELECT format('{} is missing', day) AS finding, day FROM span ANTI JOIN present USING (day) ORDER BY day"
    )
    return no_findings(table, query, "has rows for every day", columns=(column,))


def fresh(table: str, column: str, days: float) -> Rule:
    """The newest value of `column` is at most `days` before as_of; an empty table has nothing to be fresh."""
    query = (
        f"SELECT format('the newest {{}} is {{}}, {{}} days before {{}}; at most {days:g} are allowed', {literal(column)},"
        " newest, date_diff('day', newest, as_of), as_of) AS finding"
        f" FROM (SELECT CAST(max({identifier(column)}) AS DATE) AS newest FROM {{table}}),"
        " (SELECT max(as_of) AS as_of FROM lake.marts.as_of)"
        f" WHERE date_diff('day', newest, as_of) > {days!r}"
    )
    return no_findings(table, query, f"is at most {days:g} days behind as_of", columns=(column,))


def _number(value: float | None) -> str:
    return "any" if value is None else f"{value:,.10g}"
