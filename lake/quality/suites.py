"""Which rules each table has: those of raw follow from the contracts, all others stand in `suites.yaml`.

Nothing is opened or run here; `gate.py` runs what `all_rules` returns.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from lake.company import HistorySettings
from lake.contracts.model import Check, Column, Contract
from lake.quality import rules
from lake.quality.history import Habit, history_rules
from lake.quality.rules import Rule, identifier, literal

_WORDS = {
    "grain", "nullable", "rows", "not_null", "at_least", "between", "in_set", "references", "known_days", "fresh_days",
    "never", "no_findings", "warn", "history",
}  # fmt: skip
_MONEY = re.compile(r"[A-Z]{3}(/.*)?")
_GARBLED = r"\x{FFFD}|[\x{C2}\x{C3}][\x{80}-\x{BF}]|\x{E2}\x{20AC}"
"""UTF-8 that was read as Latin-1 or Windows-1252 somewhere on its way, or signs that a decoder gave up on."""


def all_rules(contracts: Sequence[Contract], settings: HistorySettings | None = None) -> list[Rule]:
    """Return every rule of the gate: raw as the contracts say, core, marts and the ledger as suites.yaml says.

    With `settings`, also those that compare a table with its own past.
    """
    found = [rule for contract in contracts for rule in contract_rules(contract)] + list(model_rules())
    if settings is not None:
        habits = [*(habit for contract in contracts if (habit := habit_of(contract))), *_model_habits()]
        for habit in habits:
            severity = settings.tables.get(habit.table, settings.severity)
            if severity != "off":
                found += history_rules(replace(habit, severity=severity), settings)
    return found


def habit_of(contract: Contract) -> Habit | None:
    """Return what of a dataset is compared with its past; None where no column says which day a row is about."""
    if contract.business_date is None or contract.live_condition:
        return None
    day = identifier(contract.business_date)
    if contract.column(contract.business_date).type == "timestamp":
        day = f"CAST({day} AS DATE)"
    plain = [c for c in contract.columns if not c.key and not c.is_hidden]
    numbers = [c for c in plain if c.type in ("integer", "number")]
    values = [(c.name, identifier(c.name), 10.0**-c.scale) for c in numbers]
    if contract.known_at.column or contract.known_at.filename_pattern:
        values.append(("_known_at", f"date_diff('day', {day}, _known_at)", 1.0))
    named = tuple(c.name for c in contract.columns if c.references)
    item = tuple(source for target, source in contract.mapping if target == "item_id" and source in named)
    mixes = [
        c for c in contract.columns if not c.is_hidden and (c.allowed or c.references or c.type == "boolean")
    ]
    texts = [c for c in plain if c.type == "string" and not (c.pattern or c.pii or c in mixes)]
    return Habit(
        table=f"raw.{contract.dataset}",
        day=day,
        numbers=tuple(values),
        money=tuple(c.name for c in numbers if c.unit and _MONEY.fullmatch(c.unit)),
        mixes=tuple(c.name for c in mixes if (c.name,) != item)
        + tuple(c.name for c in texts if "currency" in c.name),
        moments=tuple(c.name for c in plain if c.type == "timestamp"),
        optional=tuple(c.name for c in plain if not c.required),
        series=item or named,
        repeats=(*named, *(c.name for c in numbers)) if numbers else (),
        row_names=contract.keys,
    )


def _model_habits() -> Iterator[Habit]:
    for table, block in _suites().items():
        if "history" in block:
            words = dict(block["history"])
            numbers = {
                **dict.fromkeys(words.pop("numbers", ()), 1.0),
                **dict.fromkeys(words.get("money", ()), 0.01),
            }
            lists: dict[str, Any] = {name: tuple(value) for name, value in words.items() if name != "day"}
            yield Habit(
                table=table,
                day=identifier(words["day"]),
                numbers=tuple((name, identifier(name), step) for name, step in numbers.items()),
                row_names=tuple(block.get("grain", ())),
                **lists,
            )


def contract_rules(contract: Contract) -> list[Rule]:
    """Return the rules of `raw.<dataset>`: its columns, its key, its checks, and its agreement with the ledger."""
    table = f"raw.{contract.dataset}"
    found = [rule for column in contract.columns for rule in _column_rules(table, column)]
    asked = {check.columns or contract.keys for check in contract.checks if check.kind == "unique"}
    if contract.keys and contract.keys not in asked:
        found.append(_key_rule(table, contract))
    if not contract.optional:
        found.append(rules.row_count(table, 1, None))
    found.extend(
        replace(_check_rule(table, contract, check), severity=check.severity) for check in contract.checks
    )
    found += _plausible(table, contract)
    if contract.live_condition:
        found = [_of_live_rows(rule, contract.live_condition) for rule in found]
    found.append(_ledger_rule(table, contract))
    return [replace(rule, row_names=contract.keys) for rule in found]


def _plausible(table: str, contract: Contract) -> Iterator[Rule]:
    texts = [
        c.name
        for c in contract.columns
        if c.type == "string" and not (c.key or c.pattern or c.allowed or c.references or c.is_hidden)
    ]
    if texts:
        garbled = " OR ".join(f"regexp_matches({identifier(name)}, {literal(_GARBLED)})" for name in texts)
        yield replace(
            rules.rows_where(table, garbled, "is readable text", "with garbled letters", columns=texts),
            severity="warn",
        )
    if contract.business_date and (contract.known_at.column or contract.known_at.filename_pattern):
        day = identifier(contract.business_date)
        later = f"CAST({day} AS DATE) > CAST(_known_at AS DATE) + 1"
        rule = rules.rows_where(
            table, later, "is not dated after it was known", "dated later than they were known",
            columns=(contract.business_date,),
        )  # fmt: skip
        yield replace(rule, severity="warn")


def _of_live_rows(rule: Rule, condition: str) -> Rule:
    """Return a rule that looks past deleted rows and versions that ended; its query alone decides then."""
    live = f"(SELECT * FROM {{table}} WHERE {condition})"
    bad_row = f"({condition}) AND ({rule.bad_row})" if rule.bad_row else ""
    return replace(rule, failing=rule.failing.replace("{table}", live), bad_row=bad_row, unique_key=())


@cache
def model_rules() -> tuple[Rule, ...]:
    """Return the rules of suites.yaml, but for those of history."""
    return tuple(
        replace(rule, row_names=tuple(block.get("grain", ())))
        for table, block in _suites().items()
        for rule in _block(table, block)
    )


@cache
def _suites() -> dict[str, dict[str, Any]]:
    text = files("lake.quality").joinpath("suites.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.load(
        text, Loader=yaml.CSafeLoader
    )  # the C one: a tenth of .4 CPU s
    return found


def _column_rules(table: str, column: Column) -> Iterator[Rule]:
    if column.required or column.key:
        yield rules.not_null(table, column.name)
    if column.is_hidden:
        return  # what stands in raw is no value of the column
    if column.minimum is not None or column.maximum is not None:
        yield rules.between(table, column.name, column.minimum, column.maximum)
    if column.allowed:
        yield rules.in_set(table, column.name, column.allowed)
    if column.pattern:
        yield rules.matches(table, column.name, column.pattern)
    if column.references:
        # The reader quarantined unknown values at loading; later the other dataset may have been replaced.
        yield replace(rules.references(table, column.name, f"raw.{column.references}"), severity="warn")


def _key_rule(table: str, contract: Contract) -> Rule:
    """A key is unique; where every version is kept, one delivery must not hold two newest versions of it."""
    if contract.write_mode != "append":
        return rules.unique(table, contract.keys)
    columns = (*contract.keys, "_known_at", "_delivery_id")
    return replace(rules.unique(table, columns, "has one newest version in a delivery"), severity="warn")


def _check_rule(table: str, contract: Contract, check: Check) -> Rule:
    columns = check.columns or ((contract.business_date,) if contract.business_date else ())
    if check.kind == "row_count_between":
        rule = rules.row_count(table, check.minimum, check.maximum)
    elif check.kind == "unique":
        rule = rules.unique(table, check.columns or contract.keys)
    elif check.kind == "sql_no_rows":
        rule = Rule(
            table,
            check.name,
            check.query or "",
            f"against the check {check.name!r}",
            columns=check.columns,
        )
    elif check.kind == "ties_with":
        rule = rules.no_findings(table, _tie_query(contract, check), check.name)
    elif not columns:
        raise ValueError(
            f"check {check.name!r} of {contract.dataset} names no column and there is no business_date"
        )
    elif check.kind == "no_missing_days":
        rule = rules.no_missing_days(table, columns[0])
    else:
        rule = rules.fresh(table, columns[0], check.maximum or 0)
    return replace(rule, check=check.name)


def _tie_query(contract: Contract, check: Check) -> str:
    """Return the query of periods whose rows in raw are not what the source says that it sent.

    Of each period the newest statement counts; a period without one is a finding if there are later ones. Rows in
    quarantine are not in raw, so they are told here.
    """
    days = [contract.column(here).type == "timestamp" for here, _ in check.on]
    here = [
        f"CAST({identifier(name)} AS DATE)" if is_moment else identifier(name)
        for (name, _), is_moment in zip(check.on, days, strict=True)
    ]
    there = [
        f"CAST({identifier(name)} AS DATE)" if is_moment else identifier(name)
        for (_, name), is_moment in zip(check.on, days, strict=True)
    ]
    keys = [f"key_{n}" for n in range(len(here))]
    figures = [
        (
            "count(*)" if figure.column is None else f"{figure.kind}({identifier(figure.column)})",
            identifier(title),
        )
        for title, figure in check.figures
    ]
    names = ", ".join(keys)
    found = ", ".join(
        [f"{sql} AS {key}" for sql, key in zip(here, keys, strict=True)]
        + [f"{sql} AS found_{n}" for n, (sql, _) in enumerate(figures)]
    )
    said = ", ".join(
        [f"{sql} AS {key}" for sql, key in zip(there, keys, strict=True)]
        + [f"{title} AS said_{n}" for n, (_, title) in enumerate(figures)]
    )
    zero = ["0" if figure.kind in ("rows", "sum") else "NULL" for _, figure in check.figures]
    apart = " OR ".join(
        f"said_{n} IS DISTINCT FROM coalesce(found_{n}, {none})" for n, none in enumerate(zero)
    )
    told = " || '; ' || ".join(
        f"format('{{}} is {{}}, the source says {{}}', {literal(str(figure))}, coalesce(found_{n}, {none})::VARCHAR,"
        f" coalesce(said_{n}::VARCHAR, 'nothing'))"
        for n, ((_, figure), none) in enumerate(zip(check.figures, zero, strict=True))
    )
    period = " || ', ' || ".join(f"coalesce({key}::VARCHAR, 'none')" for key in keys)
    other = f"lake.raw.{identifier(check.dataset or '')}"
    return (
        f"WITH found AS (SELECT {found} FROM {{table}} GROUP BY ALL),"
        f" said AS (SELECT {said} FROM {other}"
        f" QUALIFY row_number() OVER (PARTITION BY {', '.join(there)} ORDER BY _known_at DESC NULLS LAST, _file DESC, _line DESC) = 1)"
        f" SELECT {period} || ': ' || {told} AS finding"
        f" FROM found FULL JOIN (SELECT *, true AS is_said FROM said) AS said USING ({names})"
        f" WHERE CASE WHEN is_said THEN {apart} ELSE key_0 < (SELECT max(key_0) FROM said) END ORDER BY 1"
    )


def _ledger_rule(table: str, contract: Contract) -> Rule:
    """Every row came from a delivery in the ledger; what was appended is all there."""
    agrees = "held = loaded" if contract.write_mode == "append" else "held <= loaded"
    query = (
        "WITH there AS (SELECT _delivery_id AS delivery_id, count(*) AS held FROM {table} GROUP BY ALL),"
        " ledger AS (SELECT delivery_id, file_name, sum(loaded) AS loaded FROM lake.meta.delivery"
        f" WHERE dataset = {literal(contract.dataset)} AND status IN ('loaded', 'replayed') GROUP BY ALL)"
        " SELECT format('{}: the ledger says {} rows loaded, the table holds {}', coalesce(file_name, delivery_id),"
        " coalesce(loaded, 0), coalesce(held, 0)) AS finding"
        " FROM (SELECT delivery_id, file_name, coalesce(loaded, 0) AS loaded, coalesce(held, 0) AS held"
        f" FROM there FULL JOIN ledger USING (delivery_id)) WHERE NOT ({agrees}) ORDER BY 1"
    )
    return rules.no_findings(table, query, "agrees with the ledger")


def _block(table: str, block: dict[str, Any]) -> Iterator[Rule]:
    """Rules of one table's entry; an unknown word is an error of the file, not a rule that is left out."""
    if unknown := set(block) - _WORDS:
        raise ValueError(f"suites.yaml, {table}: unknown {', '.join(sorted(unknown))}")
    if "rows" in block:
        yield rules.row_count(table, *block["rows"])
    grain = block.get("grain", [])
    for column in [
        *(name for name in grain if name not in block.get("nullable", [])),
        *block.get("not_null", []),
    ]:
        yield rules.not_null(table, column)
    if grain:
        rule = rules.unique(table, grain)
        # Joining new rows to old ones would pass over nulls: with one among the columns all rows are compared.
        yield replace(rule, unique_key=()) if block.get("nullable") else rule
    yield from _ranges(table, block)
    for column, target in block.get("references", {}).items():
        to, where = (target["to"], target["where"]) if isinstance(target, dict) else (target, None)
        yield rules.references(table, column, to, where)
    for column, days in block.get("fresh_days", {}).items():
        yield rules.fresh(table, column, days)
    if "known_days" in block:
        yield rules.known_by(table, block["known_days"])
    for never in block.get("never", []):
        yield rules.rows_where(table, never["where"], never["check"], never["finding"])
    for question in block.get("no_findings", []):
        yield rules.no_findings(table, question["query"], question["check"])
    yield from _as_warnings(_block(table, block["warn"]) if "warn" in block else ())


def _ranges(table: str, block: dict[str, Any]) -> Iterator[Rule]:
    for column, minimum in block.get("at_least", {}).items():
        yield rules.between(table, column, minimum, None)
    for column, (minimum, maximum) in block.get("between", {}).items():
        yield rules.between(table, column, minimum, maximum)
    for column, allowed in block.get("in_set", {}).items():
        yield rules.in_set(table, column, allowed)


def _as_warnings(found: Iterable[Rule]) -> Iterator[Rule]:
    return (replace(rule, severity="warn") for rule in found)
