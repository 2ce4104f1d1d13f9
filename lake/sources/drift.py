"""Drift: how a file's schema differs from its contract, in words, and what the contract's policy does about it.

Here: what is new, missing, renamed, reordered, swapped or of another type. The header itself is `header.py`; the rules
of single values are `conforming.py`; who reads again with new columns is `checking.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from lake.contracts.model import Column, Contract
from lake.sources.block import Block
from lake.sources.conforming import conform

SAMPLE_ROWS = 500
"""Rows of a file's first block that are held against other columns' rules, where most of a column's values fail."""
TOLD_COLUMNS = 20
"""New columns of one file that are named one by one."""
COMPARED_COLUMNS = 50
"""New columns of one file whose values are held against those of missing ones."""
EVOLVING_COLUMNS = 100
"""New columns that one file may bring into raw; more is no schema that evolves."""
_FITS = 0.9
_MOST = 0.5
_FORM_RULES = {"type", "scale"}
_VALUE_RULES = _FORM_RULES | {"range", "pattern", "allowed"}


@dataclass(frozen=True)
class Drift:
    """One difference between a file and its contract."""

    kind: str
    """new, missing, renamed, reordered, swapped, type; incomplete: it does not hold all keys that it should."""
    column: str | None
    """The contract's column, or the new column's title."""
    message: str
    """What is different and what was done, without the file's name."""
    policy: str = "freeze"
    new: str | None = None
    """Of a renamed column: its title now."""


def new_columns(titles: Iterable[str], taken: Iterable[str]) -> tuple[Column, ...]:
    """Return a text column for each title, under a name that SQL takes unquoted and nobody has."""
    names = {name.lower() for name in taken}
    found = []
    for title in titles:
        plain = re.sub(r"[^a-z0-9]+", "_", title.casefold()).strip("_")[:50] or "column"
        base = plain if plain[0].isalpha() else f"column_{plain}"
        name = next(n for k in range(1, 10_000) if (n := base if k == 1 else f"{base}_{k}") not in names)
        names.add(name)
        found.append(Column(name, title, "string", description="Not in the contract; loaded as text."))
    return tuple(found)


def judge_header(
    contract: Contract, extra: tuple[Column, ...], renamed: Mapping[str, str], block: Block
) -> list[Drift]:
    """Say what is different about the columns of a file, from its header and first block.

    `extra` are the columns that the contract does not have (their values stand in `block.text`), `renamed` maps titles of
    these to the missing columns whose names are similar.
    """
    missing = [] if block.header is None else [c for c in contract.columns if c.name not in block.header]
    renamed = dict(renamed) | _same_shape(contract, missing, extra[:COMPARED_COLUMNS], renamed, block)
    found = [
        _renamed(contract.column(renamed[column.source_name]), column, contract)
        for column in extra
        if column.source_name in renamed
    ]
    new = [column for column in extra if column.source_name not in renamed]
    found += [_new(column, contract) for column in new[:TOLD_COLUMNS]]
    if len(new) > TOLD_COLUMNS:
        found.append(_many_new(len(new) - TOLD_COLUMNS, contract))
    for column in missing:
        if column.name not in renamed.values():
            policy = contract.policy("missing_columns", column.name)
            outcome = f"it is {'its default' if column.default is not None else 'null'} in every row"
            found.append(
                Drift(
                    "missing",
                    column.name,
                    f"the column {column.source_name!r} is missing: {_done(policy, outcome)}",
                    policy,
                )
            )
    return found + _reordered(contract, block)


def _renamed(old: Column, new: Column, contract: Contract) -> Drift:
    policy = contract.policy("renamed_columns")
    done = _done(policy, "the old one is null, the new one passed over")
    message = f"the column {new.source_name[:100]!r} is not in the contract and {old.source_name!r} is missing: renamed? {done}"
    return Drift("renamed", old.name, message, policy, new.source_name)


def _new(column: Column, contract: Contract) -> Drift:
    policy = contract.policy("new_columns")
    title = repr(column.source_name[:100]) if column.source_name else "without a header"
    done = f"loaded as text into {column.name}" if policy == "evolve" else _done(policy, "passed over")
    return Drift("new", column.source_name, f"the column {title} is new: {done}", policy)


def _many_new(more: int, contract: Contract) -> Drift:
    policy = contract.policy("new_columns")
    if policy == "evolve" and more + TOLD_COLUMNS > EVOLVING_COLUMNS:
        message = (
            f"{more:,} more columns are new, and one file may bring {EVOLVING_COLUMNS}: the file is refused"
        )
        return Drift("new", None, message, "reject")
    outcome = "loaded as text" if policy == "evolve" else "passed over"
    return Drift("new", None, f"{more:,} more columns are new: {_done(policy, outcome)}", policy)


def _done(policy: str, otherwise: str) -> str:
    return {"quarantine": "every row is quarantined", "reject": "the file is refused"}.get(policy, otherwise)


def _same_shape(
    contract: Contract,
    missing: list[Column],
    extra: tuple[Column, ...],
    renamed: Mapping[str, str],
    block: Block,
) -> dict[str, str]:
    """Return new title -> missing column where only the values of one new column keep the rules of a missing one."""
    found: dict[str, str] = {}
    for column in missing:
        if column.name in renamed.values() or not _is_telling(column):
            continue
        fitting = [
            new.source_name
            for new in extra
            if new.source_name not in renamed
            and new.source_name not in found
            and fit(block.text[new.name].head(SAMPLE_ROWS), column, contract) >= _FITS
        ]
        if len(fitting) == 1:
            found[fitting[0]] = column.name
    return found


def _is_telling(column: Column) -> bool:
    """Whether a column has rules that few other columns' values would keep."""
    return column.type in ("date", "timestamp", "boolean") or bool(column.pattern or column.allowed)


def _reordered(contract: Contract, block: Block) -> list[Drift]:
    if block.header is None:
        return []
    there = [column.name for column in contract.columns if column.name in block.header]
    found = [name for name in block.header if name in set(there)]
    if found == there:
        return []
    moved = [
        contract.column(name).source_name for name, other in zip(found, there, strict=True) if name != other
    ]
    shown = ", ".join(repr(title) for title in moved[:6]) + (" and more" if moved[6:] else "")
    return [Drift("reordered", None, f"the columns {shown} stand in another order: read by their names")]


def judge_values(contract: Contract, first: Block) -> list[Drift]:
    """Say which columns of a file hold something else than they should, from its first rows: swapped, or of another type."""
    block = _sample(first)
    refused = conform(block, contract, {}).refused
    failures: Counter[str] = Counter()
    of_form: Counter[str] = Counter()
    for rules, columns in zip(refused["rules"], refused["columns"], strict=True):
        wrong = {
            (column, rule)
            for column, rule in zip(columns, rules, strict=True)
            if column and rule in _VALUE_RULES
        }
        failures.update({column for column, _ in wrong})
        of_form.update({column for column, rule in wrong if rule in _FORM_RULES})
    failing = [
        column
        for column in contract.columns
        if failures[column.name] > _MOST * max(block.text[column.name].count(), 1)
        and failures[column.name] > 1
    ]
    found: list[Drift] = []
    told: set[str] = set()
    for column in failing:
        if column.name in told:
            continue
        other = _swapped_with(column, contract, block, {one.name for one in failing} - told)
        if other is not None:
            told |= {column.name, other.name}
            found.append(_swapped(column, other, contract))
        elif of_form[column.name] > _MOST * failures[column.name]:
            found.append(_changed_type(column, failures[column.name], block, contract))
    return found


def _sample(block: Block) -> Block:
    return Block(
        block.text.head(SAMPLE_ROWS),
        block.lines.head(SAMPLE_ROWS),
        lambda rows: [""] * len(rows),
        header=block.header,
    )


def _swapped(column: Column, other: Column, contract: Contract) -> Drift:
    policy = contract.policy("swapped_columns")
    message = (
        f"swapped? most values of {column.source_name!r} do not keep its rules but those of {other.source_name!r},"
        f" and the other way round: {_done(policy, 'each row is judged as it stands')}"
    )
    return Drift("swapped", column.name, message, policy)


def _changed_type(column: Column, failures: int, block: Block, contract: Contract) -> Drift:
    policy = contract.policy("changed_types", column.name)
    message = (
        f"the column {column.source_name!r} is no {column.type} any more in {failures} of its first"
        f" {block.text.height} rows: {_done(policy, 'these rows are quarantined')}"
    )
    return Drift("type", column.name, message, policy)


def _swapped_with(column: Column, contract: Contract, block: Block, failing: set[str]) -> Column | None:
    """Return the column whose rules the values of `column` keep while its values keep those of `column`."""
    own = block.text[column.name].head(SAMPLE_ROWS)
    others = [one for one in contract.columns if one.name != column.name]
    for other in sorted(others, key=lambda one: one.name not in failing):
        if (
            block.text[other.name].head(SAMPLE_ROWS).count()
            and fit(block.text[other.name].head(SAMPLE_ROWS), column, contract) >= _FITS
            and fit(own, other, contract) >= _FITS
        ):
            return other
    return None


def fit(values: pl.Series, column: Column, contract: Contract) -> float:
    """Return the share of values that are there and keep the rules of a column, references apart; 0 if none is there."""
    there = values.drop_nulls().cast(pl.String, strict=False).alias(column.name)
    if not len(there):
        return 0.0
    alone = replace(contract, columns=(replace(column, references=None),), deletion_column=None)
    lines = pl.int_range(len(there), eager=True).alias("_line")
    block = Block(there.to_frame(), lines, lambda rows: [""] * len(rows))
    return conform(block, alone, {}).good.height / len(there)
