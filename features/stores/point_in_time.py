"""The point-in-time join as SQL: what was known, and true, at each entity row's moment. No Feast here.

An entity row (keys, t) gets, per view, the row with the greatest event time among those with

    event <= t,   created <= t,   event >= t - ttl        (all bounds inclusive; created breaks ties)

That is one ASOF join, not a join by inequality, after two steps over the facts. Each fact counts from
`valid_from = greatest(event, created)`. In the order of valid_from, a fact whose event time is not the greatest so
far is never the answer (it arrived late, about a moment that something newer is already known of) and is dropped;
of several facts with one valid_from only the last stands. Then the newest valid_from <= t is the answer, and a ttl
only blanks it. Where a table promises that its facts become known in the order of their events (`in_order`), there is
nothing to drop. Keys are numbered first, so that facts nobody asks for go and the join sorts numbers, not texts.
`tests/features/stores/oracle.py` says the same in plain Python.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

ENTITY_ROWS = "entity_rows"
"""Name under which the entity rows are registered: a `_row` number, `_at` (naive UTC), and the entity columns."""


@dataclass(frozen=True)
class Key:
    """A column that facts and entity rows are joined on."""

    fact_column: str
    entity_column: str
    sql_type: str


@dataclass(frozen=True)
class Feature:
    """A column of a view: where it stands in the table, and how it leaves."""

    fact_column: str
    output: str
    sql_type: str | None
    """Type it is cast to; None leaves it as it is."""
    ttl: timedelta | None
    """Age (t - event) beyond which it is null; None never expires."""


@dataclass(frozen=True)
class Facts:
    """All that is read of one table by one join; views over the same table and keys share it."""

    table: str
    keys: tuple[Key, ...]
    event: str
    created: str
    """Column of the time at which a row was known; empty: known when true."""
    features: tuple[Feature, ...]
    in_order: bool = False
    """One row per key and event, each known after those about earlier events: promised by the source."""

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """The entity rows' columns that it is joined on, and their types: readings by the same ones share a numbering."""
        return tuple((key.entity_column, key.sql_type) for key in self.keys)

    @property
    def oldest(self) -> timedelta | None:
        """The longest ttl of its features; None if one never expires."""
        ttls = [feature.ttl for feature in self.features]
        known = [ttl for ttl in ttls if ttl is not None]
        return max(known) if len(known) == len(ttls) else None


def quote(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def historical_sql(facts: list[Facts], first: datetime, last: datetime) -> str:
    """Return the SQL of features in the order of the entity rows, one output row for each.

    `first` and `last` bound the entity rows' moments (naive UTC): facts that none of them can see are not read.
    """
    groups = list(dict.fromkeys(fact.asked for fact in facts))
    ctes, joins, columns = _entities(groups), [], []
    for number, fact in enumerate(facts):
        group = groups.index(fact.asked)
        ctes.append(_visible(number, group, fact, first, last))
        table = f"visible_{number}"
        if not fact.in_order:
            ctes.append(_as_known(number))
            table = f"as_known_{number}"
        joins.append(
            f"ASOF LEFT JOIN {table} AS f{number}"
            f" ON entity.key_{group} = f{number}.key AND entity._at >= f{number}.valid_from"
        )
        columns += [_column(number, n, feature) for n, feature in enumerate(fact.features)]
    return (
        "WITH "
        + ",\n".join(ctes)
        + f"\nSELECT {', '.join(columns)}\nFROM entity\n"
        + "\n".join(joins)
        + "\nORDER BY entity._row"
    )


def _entities(groups: list[tuple[tuple[str, str], ...]]) -> list[str]:
    """Number the distinct keys of each group of columns; a key with a null in it has no number, and no facts."""
    ctes, joins, keys = [], [], []
    for group, columns in enumerate(groups):
        casts = [f"TRY_CAST({quote(name)} AS {sql_type})" for name, sql_type in columns]
        named = ", ".join(f"{cast} AS k{n}" for n, cast in enumerate(casts))
        known = " AND ".join(f"{cast} IS NOT NULL" for cast in casts)
        ctes.append(
            f"keys_{group} AS MATERIALIZED (SELECT *, row_number() OVER () AS key"
            f" FROM (SELECT DISTINCT {named} FROM {ENTITY_ROWS} WHERE {known}))"
        )
        on = " AND ".join(f"{cast} = keys_{group}.k{n}" for n, cast in enumerate(casts))
        joins.append(f" LEFT JOIN keys_{group} ON {on}")
        keys.append(f"keys_{group}.key AS key_{group}")
    return [
        *ctes,
        f"entity AS (SELECT {', '.join(['_row', '_at', *keys])} FROM {ENTITY_ROWS}{''.join(joins)})",
    ]


def _visible(number: int, group: int, fact: Facts, first: datetime, last: datetime) -> str:
    event = f"CAST(fact.{quote(fact.event)} AS TIMESTAMP)"
    created = f"CAST(fact.{quote(fact.created)} AS TIMESTAMP)" if fact.created else event
    columns = [f"{event} AS event", f"{created} AS created", f"greatest({event}, {created}) AS valid_from"]
    columns += [f"fact.{quote(feature.fact_column)} AS v{n}" for n, feature in enumerate(fact.features)]
    on = " AND ".join(
        f"CAST(fact.{quote(key.fact_column)} AS {key.sql_type}) = keys_{group}.k{n}"
        for n, key in enumerate(fact.keys)
    )
    bounds = [f"{event} <= TIMESTAMP '{last}'", f"{created} <= TIMESTAMP '{last}'"]
    if fact.oldest is not None:
        bounds.append(f"{event} >= TIMESTAMP '{first}' - {_interval(fact.oldest)}")
    return (
        f"visible_{number} AS (SELECT keys_{group}.key, {', '.join(columns)}"
        f" FROM {fact.table} AS fact JOIN keys_{group} ON {on} WHERE {' AND '.join(bounds)})"
    )


def _as_known(number: int) -> str:
    return (
        f"as_known_{number} AS (SELECT * FROM visible_{number}"
        " WINDOW so_far AS (PARTITION BY key ORDER BY valid_from, event, created)"
        " QUALIFY event = max(event) OVER (so_far ROWS UNBOUNDED PRECEDING)"
        " AND lead(valid_from) OVER so_far IS DISTINCT FROM valid_from)"
    )


def _column(number: int, position: int, feature: Feature) -> str:
    value = f"f{number}.v{position}"
    if feature.sql_type:
        value = f"CAST({value} AS {feature.sql_type})"
    # A null moment sees nothing; DuckDB's ASOF join finds it a partner all the same when keys repeat.
    fresh = "entity._at IS NOT NULL"
    if feature.ttl is not None:
        fresh = f"f{number}.event >= entity._at - {_interval(feature.ttl)}"
    value = f"CASE WHEN {fresh} THEN {value} END"
    return f"{value} AS {quote(feature.output)}"


def _interval(ttl: timedelta) -> str:
    return f"to_microseconds({ttl // timedelta(microseconds=1)})"


def latest_sql(fact: Facts, start: datetime | None, end: datetime | None, *, newest_only: bool) -> str:
    """Return the SQL of facts with `start` <= event <= `end` (naive UTC), all or the newest known per key.

    Columns keep their names in the table. What became known after `end` is not there.
    """
    names = [key.fact_column for key in fact.keys] + [feature.fact_column for feature in fact.features]
    columns = [quote(name) for name in dict.fromkeys(names)]
    columns += [
        f"CAST({quote(name)} AS TIMESTAMP) AS {quote(name)}" for name in (fact.event, fact.created) if name
    ]
    event, created = (
        f"CAST({quote(name)} AS TIMESTAMP)" for name in (fact.event, fact.created or fact.event)
    )
    bounds = [f"{event} IS NOT NULL", f"{created} IS NOT NULL"]
    if start is not None:
        bounds.append(f"{event} >= TIMESTAMP '{start}'")
    if end is not None:
        bounds += [f"{event} <= TIMESTAMP '{end}'", f"{created} <= TIMESTAMP '{end}'"]
    sql = f"SELECT {', '.join(columns)} FROM {fact.table} WHERE {' AND '.join(bounds)}"
    if newest_only:
        keys = ", ".join(quote(key.fact_column) for key in fact.keys)
        sql += f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {event} DESC, {created} DESC) = 1"
    return sql
