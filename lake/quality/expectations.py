"""The only module that touches Great Expectations: rules run as its expectations, in SQL, on the lake.

Importing this module is cheap; Great Expectations itself (7 s of CPU) is imported when a `Validator` is made.
Each rule is one expectation. All of a table's share one query, which counts the offending rows of each: rules on single
rows together in one scan, all others by a query of their own. (Its stock expectations cost two or three aggregates and
14 ms of CPU each, these one aggregate and 2 ms.) Three of its habits are dealt with here and nowhere else:

- It closes its connection before it fetches, unless the dialect counts as one with a persisted connection.
- A raised exception reads as `success=False`: here that is `error`, never `failed`.
- One broken expectation breaks the query that it shares with its neighbours: these are then asked one by one.
"""

import enum
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Literal

import duckdb

from lake.errors import StocklakeError
from lake.quality.rules import Rule

Answer = Literal["passed", "failed", "error"]

FEW_ROWS = 200_000
"""Rows of a table up to which it is copied into memory before its rules are asked."""
WORTH_A_COPY = 3
"""Rules of a table for which a copy pays."""
SMALL_PART = 4
"""How often the days that are compared have to go into those of a table, to be copied."""
Copies = dict[tuple[str, int] | None, str]
"""What is looked at (None: all rows) -> the relation in memory to be read instead of the table."""
_COPY, _WINDOW = "temp.main.asked_copy", "temp.main.asked_window"
_NO_SAMPLES = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class Question:
    """A rule, asked of all rows of its table or only of those in the relation `rows`."""

    rule: Rule
    rows: str = ""
    """'' is all of them."""

    @property
    def failing_sql(self) -> str:
        """The query of offending rows."""
        return self.rule.failing_among(self.rows)


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule: how many rows fail it, or the reason of an error."""

    answer: Answer
    failing_rows: int = 0
    message: str = ""


class Validator:
    """Asks rules over one open connection, whose catalog `lake` is attached."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Import Great Expectations and point it at the connection; raise `StocklakeError` if its canaries sing wrong."""
        self._gx = _great_expectations()
        self._connection = connection
        self._views = 0
        connection.execute("CREATE SCHEMA memory.asked; CREATE TABLE memory.asked.nothing AS SELECT 1 AS x")
        self._batch = self._make_batch()
        self._sing()

    def validate(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return the verdict on each of the questions about one table, in their order."""
        numbered = dict(enumerate(questions))
        with self._copies(questions) as copies:
            verdicts = self._ask(numbered, copies)
            broken = [number for number in numbered if verdicts[number].answer == "error"]
            if len(numbered) > 1:
                for number in broken:
                    verdicts |= self._ask({number: numbered[number]}, copies)
        return [verdicts[number] for number in numbered]

    @contextmanager
    def _copies(self, questions: Sequence[Question]) -> Iterator[Copies]:
        """Yield what stands in memory of the questions' table for as long as they are asked, where that pays.

        That is all of a table of few rows: every scan of the lake first looks for its files in the catalogue (12 ms of
        CPU; .6 of a copy). Of a larger one, the days that it is compared with its own past by: a sixtieth of two years.
        """
        whole = [question.rule for question in questions if not question.rows]
        windows = [rule for rule in whole if rule.window]
        copies: Copies = {}
        try:
            if len(whole) >= WORTH_A_COPY and self._copied(whole[0].full_name):
                copies = {None: _COPY}
            elif len(windows) >= WORTH_A_COPY and self._copied_window(windows[0]):
                copies = {windows[0].window: _WINDOW}
            yield copies
        finally:
            for copy in copies.values():
                with suppress(duckdb.Error):  # a transaction that was broken before
                    self._connection.execute(f"DROP TABLE IF EXISTS {copy}")

    def _copied(self, table: str) -> bool:
        """Copy a table of few rows; where that fails, each rule will say why."""
        try:
            # The catalogue knows how many there are; part of a large table would be copied for nothing.
            count = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            if count is None or count[0] > FEW_ROWS:
                return False
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {_COPY} AS FROM {table}")
        except duckdb.Error:
            return False
        return True

    def _copied_window(self, rule: Rule) -> bool:
        """Copy the days that a rule looks at, if they are a small part of the table; the oldest says how far that goes back."""
        assert rule.window is not None
        day, days = rule.window
        try:
            row = self._connection.execute(
                f"SELECT least(max({day}), (SELECT max(as_of) FROM lake.marts.as_of)), min({day}) FROM {rule.full_name}"
            ).fetchone()
            if row is None or None in row or (row[0] - row[1]).days < SMALL_PART * days:
                return False
            first = row[0] - timedelta(days - 1)
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {_WINDOW} AS FROM {rule.full_name}"
                f" WHERE {day} >= DATE '{first}' OR {day} = DATE '{row[1]}'"
            )
        except duckdb.Error:
            return False
        return True

    def _ask(self, questions: Mapping[int, Question], copies: Copies) -> dict[int, Verdict]:
        """Validate together: one query answers them all."""
        if not questions:
            return {}
        try:
            view = self._view(_answers_sql(questions, copies))
        except duckdb.Error as error:
            return dict.fromkeys(questions, Verdict("error", message=_first_line(error)))
        query = f"SELECT * FROM {view} /* of {{batch}} */"
        expectations = [
            _expectation()(unexpected_rows_query=query, rule=number, description=question.rule.check,
                           meta={"number": number, "check": question.rule.check_id})
            for number, question in questions.items()
        ]  # fmt: skip
        suite = self._gx.ExpectationSuite("rules", expectations=expectations)
        results = self._batch.validate(suite, result_format=_NO_SAMPLES).results
        verdicts = {result.expectation_config.meta["number"]: _verdict(result) for result in results}
        missing = Verdict("error", message="Great Expectations returned no result")
        return {number: verdicts.get(number, missing) for number in questions}

    def _view(self, query: str) -> str:
        """Put a query behind a view: so no brace or colon in it can be taken for a parameter."""
        self._views += 1
        name = f"asked_query_{self._views}"
        self._connection.execute(f"CREATE TEMP VIEW {name} AS {query}")
        return name

    def _make_batch(self) -> Any:
        """Return a batch: the queries name their tables themselves, so any table does."""
        from duckdb_engine import ConnectionWrapper

        import lake.quality.dialect  # noqa: F401  # registers duckdb+lake

        context = self._gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_sql(
            "lake",
            connection_string="duckdb+lake:///:memory:",
            create_temp_table=False,
            kwargs={"creator": lambda: ConnectionWrapper(self._connection)},
        )
        asset = source.add_table_asset("lake", table_name="nothing", schema_name="asked")
        return asset.add_batch_definition_whole_table("all rows").get_batch()

    def _sing(self) -> None:
        """One canary has to pass, one to fail, one to break: otherwise no verdict of this run means anything."""
        self._connection.execute("CREATE TABLE memory.asked.bird AS SELECT 1 AS alive, NULL::INTEGER AS dead")
        said = []
        for song in ("alive IS NULL", "dead IS NULL", "flown IS NULL", "error('fell silent') IS NULL"):
            failing = f"SELECT * FROM memory.asked.bird WHERE {song}"
            bird = Rule("asked.bird", "sings", failing, "", bad_row=song)
            said.append(self.validate([Question(bird, "memory.asked.bird")])[0].answer)
        if said != ["passed", "failed", "error", "error"]:
            raise StocklakeError(
                f"The gate cannot be trusted: of four canaries that have to pass, fail, break and break, Great"
                f" Expectations says {', '.join(said)}; install the locked versions (`make run` does) and run again."
            )


def _answers_sql(questions: Mapping[int, Question], copies: Copies) -> str:
    """Return the query of (rule, failing_rows): conditions on single rows are counted in one scan of their relation."""
    scans: dict[str, list[int]] = {}
    parts = []
    for number, question in questions.items():
        table = copies.get(question.rule.window) or copies.get(None, "")
        relation = question.rows or table
        if question.rule.bad_row:
            scans.setdefault(relation or question.rule.full_name, []).append(number)
        else:
            failing = question.rule.failing_among(question.rows, copy=table)
            parts.append(f"SELECT {number} AS rule, count(*) AS failing_rows FROM ({failing})")
    for relation, numbers in scans.items():
        conditions = ", ".join(f"({questions[n].rule.bad_row}) AS bad_{n}" for n in numbers)
        counts = ", ".join(f"count(*) FILTER (bad_{n}) AS count_{n}" for n in numbers)
        listed = ", ".join(f"count_{n}" for n in numbers)
        parts.append(
            f"SELECT unnest({numbers}) AS rule, unnest([{listed}]) AS failing_rows"
            f" FROM (SELECT {counts} FROM (SELECT {conditions} FROM {relation}))"
        )
    return " UNION ALL ".join(parts)


@cache
def _great_expectations() -> Any:
    """Import Great Expectations once, without telemetry, with DuckDB's connection kept open between queries."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside Great Expectations and its imports
        import great_expectations
        from great_expectations.execution_engine import sqlalchemy_execution_engine as engine
    keep_connection(engine)
    # A broken expectation is logged with its traceback; it comes back as an `error` with its reason anyway.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    return great_expectations


def keep_connection(engine: Any) -> None:
    """Make DuckDB a dialect with a persisted connection.

    A private name of Great Expectations 1.24 (`sqlalchemy_execution_engine._PERSISTED_CONNECTION_DIALECTS`): the version
    is pinned, a test names it, and the canaries notice if it no longer works.
    """
    dialect = enum.Enum("dialect", {"DUCKDB": "duckdb"}, type=str)
    if "duckdb" not in list(engine._PERSISTED_CONNECTION_DIALECTS):
        engine._PERSISTED_CONNECTION_DIALECTS += (dialect["DUCKDB"],)


@cache
def _expectation() -> Any:
    """Return the expectation that a rule holds: no row fails it, as the query shared by the table's rules counts."""
    import sqlalchemy
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from great_expectations.validator.validator import ValidationDependencies

    base: Any = _great_expectations().expectations.UnexpectedRowsExpectation

    class FailingRows(QueryMetricProvider):  # type: ignore[misc]
        """How many rows fail each rule; asked once for all expectations with the same query."""

        metric_name = "unexpected_rows_query.failing_rows"
        value_keys = ("unexpected_rows_query",)

        @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
        def _sqlalchemy(
            cls,  # noqa: N805  # as Great Expectations calls it
            execution_engine: Any,
            metric_domain_kwargs: Any,
            metric_value_kwargs: Any,
            metrics: Any,
            runtime_configuration: Any,
        ) -> dict[int, int]:
            query = sqlalchemy.text(metric_value_kwargs["unexpected_rows_query"])
            return {row[0]: row[1] for row in execution_engine.execute_query(query).fetchall()}

    class ExpectRuleToHold(base):  # type: ignore[misc]
        rule: int
        metric_dependencies = (FailingRows.metric_name,)

        def get_validation_dependencies(self, *_: Any, **__: Any) -> Any:
            """Say what the base class says, which copies the expectation 28 times to find it (5 ms of CPU)."""
            metric = MetricConfiguration(
                FailingRows.metric_name,
                metric_domain_kwargs={"batch_id": self.batch_id},
                metric_value_kwargs={"unexpected_rows_query": self.unexpected_rows_query},
            )
            return ValidationDependencies({FailingRows.metric_name: metric}, dict(_NO_SAMPLES))

        def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
            count = metrics[FailingRows.metric_name][self.rule]
            return {"success": count == 0, "result": {"observed_value": count}}

    return ExpectRuleToHold


def _verdict(result: Any) -> Verdict:
    """Tell 'bad data' from 'could not run': GX reports an exception as a failure with exception_info beside it."""
    info = result.exception_info or {}
    raised = [info] if "raised_exception" in info else list(info.values())
    for exception in raised:
        if exception.get("raised_exception"):
            return Verdict(
                "error", message=_first_line(exception.get("exception_message") or "no reason given")
            )
    count = (result.result or {}).get("observed_value")
    if not isinstance(count, int) or result.success != (count == 0):
        return Verdict("error", message=f"an outcome that contradicts itself: {result.success}, {count} rows")
    return Verdict("passed" if result.success else "failed", count)


def _first_line(reason: object) -> str:
    return str(reason).strip().partition("\n")[0][:500]
