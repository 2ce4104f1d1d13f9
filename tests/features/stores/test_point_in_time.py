"""The SQL of the point-in-time join against the oracle, on plain DuckDB tables (no lake, no Feast)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from features.stores.point_in_time import ENTITY_ROWS, Facts, Feature, Key, historical_sql, latest_sql
from tests.features.stores.oracle import candidates

DUCKDB = duckdb.connect(config={"threads": 1})
DUCKDB.execute("SET asof_loop_join_threshold = 0")
START = datetime(2026, 1, 1)
ODD = [None, datetime(1, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(9999, 12, 31)]
ORDINARY = [START + timedelta(hours=hour) for hour in range(16)]
TIMES = st.sampled_from([*ORDINARY, *ODD])
KEYS = st.sampled_from(["a", "a", "b", "", None])
FACT_SCHEMA = {
    "k": pl.String,
    "j": pl.Int64,
    "event": pl.Datetime("us"),
    "created": pl.Datetime("us"),
    "v": pl.Int64,
}
ENTITY_SCHEMA = {"_row": pl.Int64, "_at": pl.Datetime("us"), "k": pl.String, "j": pl.Int64}

facts_of = st.lists(
    st.fixed_dictionaries({"k": KEYS, "j": st.sampled_from([1, 2, None]), "event": TIMES, "created": TIMES}),
    max_size=25,
)
entities_of = st.lists(
    st.fixed_dictionaries(
        {"_at": TIMES, "k": st.sampled_from(["a", "b", "", "unknown", None]), "j": st.sampled_from([1, 2])}
    ),
    max_size=12,
)
ttls = st.one_of(st.none(), st.integers(1, 20).map(lambda hours: timedelta(hours=hours)))


def tables(facts: list[dict[str, Any]], entities: list[dict[str, Any]]) -> duckdb.DuckDBPyConnection:
    DUCKDB.register(
        "facts", pl.DataFrame([fact | {"v": n} for n, fact in enumerate(facts)], FACT_SCHEMA).to_arrow()
    )
    rows = [entity | {"_row": n} for n, entity in enumerate(entities)]
    DUCKDB.register(ENTITY_ROWS, pl.DataFrame(rows, ENTITY_SCHEMA).to_arrow())
    return DUCKDB


def reading(keys: str, created: str, *features: Feature) -> Facts:
    types = {"k": "VARCHAR", "j": "BIGINT"}
    return Facts("facts", tuple(Key(key, key, types[key]) for key in keys), "event", created, features)


def moments(entities: list[dict[str, Any]]) -> tuple[datetime, datetime]:
    known = [entity["_at"] for entity in entities if entity["_at"] is not None]
    return min(known, default=datetime.max), max(known, default=datetime.min)


@settings(max_examples=200, deadline=None)
@given(facts_of, entities_of, ttls, ttls, st.sampled_from(["k", "j", "kj"]), st.sampled_from(["created", ""]))
def test_the_join_is_what_the_oracle_says(
    facts: list[dict[str, Any]],
    entities: list[dict[str, Any]],
    ttl: timedelta | None,
    other_ttl: timedelta | None,
    keys: str,
    created: str,
) -> None:
    facts_read = reading(
        keys, created, Feature("v", "short", "BIGINT", ttl), Feature("v", "long", None, other_ttl)
    )
    connection = tables(facts, entities)
    answers = connection.execute(historical_sql([facts_read], *moments(entities))).fetchall()
    assert len(answers) == len(entities)
    numbered = [fact | {"v": n} for n, fact in enumerate(facts)]
    for entity, answer in zip(entities, answers, strict=True):
        for value, age in zip(answer, (ttl, other_ttl), strict=True):
            wanted = candidates(
                numbered,
                {key: entity[key] for key in keys},
                entity["_at"],
                age,
                event="event",
                created=created or None,
            )
            assert value in [fact["v"] for fact in wanted] or (value is None and not wanted)


@settings(max_examples=50, deadline=None)
@given(facts_of, entities_of, ttls)
def test_two_readings_in_one_query_are_two_queries(
    facts: list[dict[str, Any]], entities: list[dict[str, Any]], ttl: timedelta | None
) -> None:
    one = reading("k", "created", Feature("event", "one", None, ttl))
    two = reading("kj", "", Feature("event", "two", None, None))
    connection = tables(facts, entities)
    both = connection.execute(historical_sql([one, two], *moments(entities))).fetchall()
    first = connection.execute(historical_sql([one], *moments(entities))).fetchall()
    second = connection.execute(historical_sql([two], *moments(entities))).fetchall()
    assert both == [(*left, *right) for left, right in zip(first, second, strict=True)]


@settings(max_examples=100, deadline=None)
@given(facts_of, st.sampled_from([*ORDINARY, *ODD[1:]]), st.sampled_from([*ORDINARY, *ODD[1:]]))
def test_the_newest_rows_are_what_the_oracle_knows_at_the_end(
    facts: list[dict[str, Any]], start: datetime, end: datetime
) -> None:
    pull = reading("kj", "created", Feature("v", "v", None, None))
    connection = tables(facts, [])
    found = connection.execute(latest_sql(pull, start, end, newest_only=True)).pl().to_dicts()
    every = connection.execute(latest_sql(pull, start, end, newest_only=False)).pl().to_dicts()
    numbered = [fact | {"v": n} for n, fact in enumerate(facts)]
    seen = [
        fact
        for fact in numbered
        if fact["event"] and fact["created"] and start <= fact["event"] <= end and fact["created"] <= end
    ]
    assert sorted(row["v"] for row in every) == [fact["v"] for fact in seen]
    groups = {(fact["k"], fact["j"]) for fact in seen}
    assert {(row["k"], row["j"]) for row in found} == groups
    assert len(found) == len(groups)
    for row in found:
        same = [fact for fact in seen if (fact["k"], fact["j"]) == (row["k"], row["j"])]
        newest = max((fact["event"], fact["created"]) for fact in same)
        assert (row["event"], row["created"]) == newest
        assert row["v"] in [fact["v"] for fact in same if (fact["event"], fact["created"]) == newest]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), max_size=12), st.lists(st.integers(0, 4), max_size=12), entities_of, ttls)
def test_facts_known_in_order_need_no_second_look(
    gaps: list[int], delays: list[int], entities: list[dict[str, Any]], ttl: timedelta | None
) -> None:
    """One fact per event, each known after those before it: the promise of LakeSource(known_in_order=True)."""
    facts: list[dict[str, Any]] = []
    event = known = START
    for gap, delay in zip(gaps, delays, strict=False):
        event += timedelta(hours=gap)
        known = max(known + timedelta(minutes=1), event + timedelta(hours=delay))
        facts.append({"k": "a", "j": 1, "event": event, "created": known})
    plain = reading("kj", "created", Feature("v", "v", "BIGINT", ttl))
    connection = tables(facts, entities)
    promised = replace(plain, in_order=True)
    both = [
        connection.execute(historical_sql([facts_read], *moments(entities))).fetchall()
        for facts_read in (plain, promised)
    ]
    assert both[0] == both[1]


def test_what_arrives_late_about_an_older_moment_does_not_hide_the_newer() -> None:
    hours = [START + timedelta(hours=hour) for hour in range(10)]
    late = [
        {"k": "a", "j": 1, "event": hours[5], "created": hours[5]},
        {"k": "a", "j": 1, "event": hours[3], "created": hours[7]},
    ]
    entities = [{"_at": hour, "k": "a", "j": 1} for hour in hours]
    sql = historical_sql([reading("k", "created", Feature("v", "v", None, None))], *moments(entities))
    assert [row[0] for row in tables(late, entities).execute(sql).fetchall()] == [None] * 5 + [0] * 5


def test_the_oracle_can_say_no() -> None:
    """Guards the tests above: a join that forgets `created` does not pass for the oracle."""
    fact = {"k": "a", "event": START, "created": START + timedelta(hours=5), "v": 1}
    early = candidates([fact], {"k": "a"}, START + timedelta(hours=4), None, event="event", created="created")
    late = candidates([fact], {"k": "a"}, START + timedelta(hours=5), None, event="event", created="created")
    assert (early, late) == ([], [fact])
