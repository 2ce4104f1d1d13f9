"""The point-in-time join as SQL: what was known, and true, at each entity row's moment. No Feast here.

An entity row (keys, t) gets, per view, the row with the greatest event time among those with

    event <= t,   created <= t,   event >= t - ttl        (all bounds inclusive; created breaks ties)

That is one ASOF join, not a join by inequality, after two steps over the facts. Each fact counts from
`valid_from = greatest(event, created)`. In the order of valid_from, a fact whose event time is not the greatest so
far is never the answer (it arrived late, about a moment that something newer is already known of) and is dropped;
of several facts with one valid_from only the last stands. Then the newest valid_from <= t is the answer, and a ttl
only blanks it. `tests/features/stores/oracle.py` says the same in plain Python.
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
    ctes, joins, columns = [], [], []
    for number, fact in enumerate(facts):
        ctes += [_visible(number, fact, first, last), _as_known(number, fact)]
        on = " AND ".join(
            f"entity.{quote(key.entity_column)} = f{number}.k{n}" for n, key in enumerate(fact.keys)
        )
        joins.append(
            f"ASOF LEFT JOIN as_known_{number} AS f{number} ON {on} AND entity._at >= f{number}.valid_from"
        )
        columns += [_column(number, n, feature) for n, feature in enumerate(fact.features)]
    return (
        f"WITH entity AS ({_entity(facts)}),\n"
        + ",\n".join(ctes)
        + f"\nSELECT {', '.join(columns)}\nFROM entity\n"
        + "\n".join(joins)
        + "\nORDER BY entity._row"
    )


def _entity(facts: list[Facts]) -> str:
    keys = {key.entity_column: key.sql_type for fact in facts for key in fact.keys}
    casts = (f"TRY_CAST({quote(name)} AS {sql_type}) AS {quote(name)}" for name, sql_type in keys.items())
    return f"SELECT _row, _at, {', '.join(casts)} FROM {ENTITY_ROWS}"


def _visible(number: int, fact: Facts, first: datetime, last: datetime) -> str:
    event = f"CAST({quote(fact.event)} AS TIMESTAMP)"
    created = f"CAST({quote(fact.created)} AS TIMESTAMP)" if fact.created else event
    columns = [f"CAST({quote(key.fact_column)} AS {key.sql_type}) AS k{n}" for n, key in enumerate(fact.keys)]
    columns += [f"{event} AS event", f"{created} AS created", f"greatest({event}, {created}) AS valid_from"]
    columns += [f"{quote(feature.fact_column)} AS v{n}" for n, feature in enumerate(fact.features)]
    bounds = [f"{event} <= TIMESTAMP '{last}'", f"{created} <= TIMESTAMP '{last}'"]
    if fact.oldest is not None:
        bounds.append(f"{event} >= TIMESTAMP '{first}' - {_interval(fact.oldest)}")
    return f"visible_{number} AS (SELECT {', '.join(columns)} FROM {fact.table} WHERE {' AND '.join(bounds)})"


def _as_known(number: int, fact: Facts) -> str:
    keys = ", ".join(f"k{n}" for n in range(len(fact.keys)))
    return (
        f"as_known_{number} AS (SELECT * FROM visible_{number}"
        f" WINDOW so_far AS (PARTITION BY {keys} ORDER BY valid_from, event, created)"
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
