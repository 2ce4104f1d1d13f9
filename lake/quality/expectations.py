"""The only module that touches Great Expectations: rules run as its expectations, in SQL, on the lake.

Importing this module is cheap; Great Expectations itself (7 s of CPU) is imported when a `Validator` is made.
Three of its habits are dealt with here and nowhere else:

- It closes its connection before it fetches, unless the dialect counts as one with a persisted connection.
- A raised exception reads as `success=False`: here that is `error`, never `failed`.
- One broken expectation breaks the query that it shares with its neighbours: these are then asked one by one.
"""

import enum
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import duckdb

from lake.errors import StocklakeError
from lake.quality.rules import Rule, identifier

Answer = Literal["passed", "failed", "error"]

_COUNT_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule; `message` is the reason of an error."""

    answer: Answer
    message: str = ""


class Validator:
    """Runs rules on one open connection, whose catalog `lake` is attached."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Import Great Expectations and point it at the connection; raise `StocklakeError` if its canaries sing wrong."""
        self._gx = _great_expectations()
        self._connection = connection
        self._source = self._make_source()
        self._queries = 0
        connection.execute("CREATE SCHEMA memory.failing")
        self._sing()

    def validate(self, table: str, rules: Sequence[Rule]) -> list[Verdict]:
        """Return the verdict on each rule of one table (schema.table), in their order."""
        schema, _, name = table.partition(".")
        # Great Expectations reads a view of this name: it neither has to know of a second catalog nor may write to it.
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS memory.{identifier(schema)}")
        self._connection.execute(
            f"CREATE OR REPLACE VIEW memory.{identifier(schema)}.{identifier(name)} AS"
            f" FROM lake.{identifier(schema)}.{identifier(name)}"
        )
        return self._validate(schema, name, rules)

    def _validate(self, schema: str, name: str, rules: Sequence[Rule]) -> list[Verdict]:
        verdicts: dict[int, Verdict] = {}
        expectations: dict[int, Any] = {}
        for number, rule in enumerate(rules):
            try:
                expectations[number] = self._expectation(rule)
            except Exception as error:
                verdicts[number] = Verdict("error", _first_line(error))
        batch = self._batch(schema, name)
        verdicts |= self._ask(batch, expectations)
        broken = [n for n in expectations if verdicts[n].answer == "error"]
        if len(expectations) > 1:
            for number in broken:
                verdicts |= self._ask(batch, {number: expectations[number]})
        return [verdicts[number] for number in range(len(rules))]

    def _batch(self, schema: str, name: str) -> Any:
        asset_name = f"{schema}.{name}"
        if asset_name in {asset.name for asset in self._source.assets}:
            self._source.delete_asset(asset_name)
        asset = self._source.add_table_asset(asset_name, table_name=name, schema_name=schema)
        return asset.add_batch_definition_whole_table("all rows").get_batch()

    def _ask(self, batch: Any, expectations: dict[int, Any]) -> dict[int, Verdict]:
        """Validate together: expectations on columns of one table share one query."""
        if not expectations:
            return {}
        for number, expectation in expectations.items():
            expectation.meta = {"number": number}
        suite = self._gx.ExpectationSuite("rules", expectations=list(expectations.values()))
        results = batch.validate(suite, result_format=_COUNT_ONLY).results
        verdicts = {result.expectation_config.meta["number"]: _verdict(result) for result in results}
        missing = Verdict("error", "Great Expectations returned no result")
        return {number: verdicts.get(number, missing) for number in expectations}

    def _expectation(self, rule: Rule) -> Any:
        """Return the rule as an expectation: its own kind where that is one pass over the table, SQL otherwise."""
        kinds = self._gx.expectations
        if rule.kind == "not_null":
            return kinds.ExpectColumnValuesToNotBeNull(column=rule.columns[0])
        if rule.kind == "between":
            return kinds.ExpectColumnValuesToBeBetween(
                column=rule.columns[0], min_value=rule.minimum, max_value=rule.maximum
            )
        if rule.kind == "in_set":
            return kinds.ExpectColumnValuesToBeInSet(column=rule.columns[0], value_set=list(rule.allowed))
        if rule.kind == "row_count":
            return kinds.ExpectTableRowCountToBeBetween(min_value=rule.minimum, max_value=rule.maximum)
        # Through a view, no brace or colon of the query can be taken for a parameter.
        self._queries += 1
        view = f"failing.rule_{self._queries}"
        self._connection.execute(f"CREATE VIEW memory.{view} AS {rule.failing_sql}")
        return _no_rows_expectation()(unexpected_rows_query=f"SELECT * FROM {view} /* of {{batch}} */")

    def _make_source(self) -> Any:
        from duckdb_engine import ConnectionWrapper

        import lake.quality.dialect  # noqa: F401  # registers duckdb+lake

        context = self._gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        return context.data_sources.add_sql(
            "lake",
            connection_string="duckdb+lake:///:memory:",
            create_temp_table=False,
            kwargs={"creator": lambda: ConnectionWrapper(self._connection)},
        )

    def _sing(self) -> None:
        """One canary has to pass, one to fail, one to break: otherwise no verdict of this process means anything."""
        connection = self._connection
        connection.execute("CREATE SCHEMA memory.canary")
        connection.execute("CREATE TABLE memory.canary.bird AS SELECT 1 AS alive, NULL::INTEGER AS dead")
        birds = [
            Rule("canary.bird", "has to be filled", "not_null", "", "", columns=("alive",)),
            Rule("canary.bird", "has to be empty", "not_null", "", "", columns=("dead",)),
            Rule("canary.bird", "has to break", "not_null", "", "", columns=("flown",)),
        ]
        answers = [verdict.answer for verdict in self._validate("canary", "bird", birds)]
        if answers != ["passed", "failed", "error"]:
            raise StocklakeError(
                f"The gate cannot be trusted: of three canaries that have to pass, fail and break, Great Expectations "
                f"says {', '.join(answers)}; install the locked versions (`make run` does) and run again."
            )


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
def _no_rows_expectation() -> Any:
    """Return an expectation that a query returns no row, which runs it once; GX's own runs it a second time for a sample."""
    base: Any = _great_expectations().expectations.UnexpectedRowsExpectation

    class ExpectNoFailingRows(base):  # type: ignore[misc]
        metric_dependencies = ("unexpected_rows_query.row_count",)

        def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
            count = metrics["unexpected_rows_query.row_count"]
            return {"success": count == 0, "result": {"observed_value": count}}

    return ExpectNoFailingRows


def _verdict(result: Any) -> Verdict:
    """Tell 'bad data' from 'could not run': GX reports an exception as a failure with exception_info beside it."""
    info = result.exception_info or {}
    raised = [info] if "raised_exception" in info else list(info.values())
    for exception in raised:
        if exception.get("raised_exception"):
            return Verdict("error", _first_line(exception.get("exception_message") or "no reason given"))
    return Verdict("passed" if result.success else "failed")


def _first_line(reason: object) -> str:
    return str(reason).strip().partition("\n")[0][:500]
