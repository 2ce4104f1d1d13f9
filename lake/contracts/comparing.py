"""Two versions of a contract, compared: every difference in words, and whether it breaks who delivers or who reads.

Here: the dataset as a whole (columns that come, go and are renamed; keys, mapping, loading, checks). Not here: single properties
of a column or a file (`changes.py`), which version a change needs (`versioning.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lake.contracts.changes import (
    COLUMN_RULES,
    LOCATION_RULES,
    WEIGHTS,
    Change,
    Rule,
    Weight,
    bound,
    compare_fields,
    said,
    source_changes,
    wording,
)
from lake.contracts.loading_options import COLUMN_POLICIES, POLICIES
from lake.contracts.model import Check, Column, Contract

_STRICTNESS = {"evolve": 0, "freeze": 1, "quarantine": 2, "reject": 3}


def compare(before: Contract, after: Contract) -> list[Change]:
    """Return every difference that has a meaning, the weightiest first, in the order of the contract."""
    renamed = _renamed(before, after)
    found = [
        *compare_fields(before, after, _CONTRACT_RULES, "dataset"),
        *_columns(before, after, renamed),
        *_keys(before, after, renamed),
        *_entity(before, after, renamed),
        *_system(before, after),
        *compare_fields(before.location, after.location, LOCATION_RULES, "server"),
        *source_changes(before.source, after.source),
        *_policies(before, after, renamed),
        *_control(before, after),
        *compare_fields(before.limits, after.limits, _LIMIT_RULES, "limits"),
        *_checks(before, after),
    ]
    return sorted(found, key=lambda change: WEIGHTS.index(change.weight))


def _nothing(before: Contract, after: Contract) -> Iterator[tuple[Weight, str]]:
    """Say nothing here: it is told by a function of its own."""
    yield from ()


def _optional(before: Contract, after: Contract) -> Iterator[tuple[Weight, str]]:
    if after.optional:
        yield "compatible", "that no file arrives is no error any more"
    else:
        yield "breaking", "that no file arrives is an error now"


def _status(before: Contract, after: Contract) -> Iterator[tuple[Weight, str]]:
    yield "compatible", f"the status was {before.status} and is {after.status}"


def _retention(before: Contract, after: Contract) -> Iterator[tuple[Weight, str]]:
    old, new = before.retention_days, after.retention_days
    tell = f"originals were kept for {_days(old)} and are for {_days(new)}"
    is_longer = new is None or (old is not None and new > old)
    is_personal = any(column.pii for column in (*before.columns, *after.columns))
    yield "breaking" if is_longer and is_personal else "compatible", tell


def _days(days: int | None) -> str:
    return "ever" if days is None else f"{days} days"


_CONTRACT_RULES: dict[str, Rule] = {
    "path": _nothing,
    "version": _nothing,
    "status": _status,
    "title": wording("title"),
    "description": wording("description"),
    "owner": wording("owner"),
    "optional": _optional,
    "retention_days": _retention,
} | dict.fromkeys(
    (
        "columns", "location", "source", "entity", "mapping", "domain", "code_system", "schema_policy",
        "control_totals", "limits", "checks",
    ), _nothing,
)  # fmt: skip
_LIMIT_RULES: dict[str, Rule] = {
    name: bound(name, is_upper=True) for name in ("memory_mb", "seconds", "output_mb")
}


def _renamed(before: Contract, after: Contract) -> dict[str, str]:
    """Return old -> new name of columns that are the same but for their name, told by header, or else by all they are."""
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    gone = [column for name, column in old.items() if name not in new]
    come = [column for name, column in new.items() if name not in old]
    found: dict[str, str] = {}
    for column in gone:
        same = [other for other in come if other.source_name == column.source_name]
        same = same or [other for other in come if _anonymous(other) == _anonymous(column)]
        if len(same) == 1 and same[0].name not in found.values():
            found[column.name] = same[0].name
    return found


def _anonymous(column: Column) -> Column:
    return replace(column, name="", source_name="")


def _columns(before: Contract, after: Contract, renamed: Mapping[str, str]) -> Iterator[Change]:
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    by_place = _by_place(after)
    for name, column in old.items():
        place = f"column {name}"
        if name in renamed:
            yield Change("breaking", place, f"it is renamed to {renamed[name]}")
        elif name not in new:
            yield Change("breaking", place, "it is dropped")
            continue
        other = new[renamed.get(name, name)]
        for change in compare_fields(column, other, COLUMN_RULES, place):
            yield (
                _of_unmapped(change, before, name)
                if change.message.startswith("the unit was none")
                else change
            )
    for name, column in new.items():
        if name in old or name in renamed.values():
            continue
        if by_place:
            yield Change("breaking", f"column {name}", f"it is added where {by_place}: others move")
        elif column.required or column.key:
            yield Change(
                "breaking", f"column {name}", "it is added and required: files without it are refused"
            )
        else:
            yield Change("compatible", f"column {name}", "it is added")
    stay = [renamed.get(name, name) for name in old if renamed.get(name, name) in new]
    if stay != [name for name in new if name in stay]:
        if by_place:
            yield Change("breaking", "dataset", f"its columns are in another order, and {by_place}")
        else:
            yield Change("wording", "dataset", "its columns are in another order")


def _of_unmapped(change: Change, contract: Contract, name: str) -> Change:
    """A unit that was never told breaks nothing of a column that feeds no entity: nobody took it for another."""
    is_mapped = any(source == name for _, source in contract.mapping)
    return change if is_mapped else replace(change, weight="compatible")


def _by_place(contract: Contract) -> str:
    location = contract.location
    if location.format == "fixed_width":
        return "" if location.widths is None else "columns are told by their place"
    return "the file has no header" if location.header == "none" else ""


def _keys(before: Contract, after: Contract, renamed: Mapping[str, str]) -> Iterator[Change]:
    old, new = {renamed.get(name, name) for name in before.keys}, set(after.keys)
    if old != new:
        yield Change("breaking", "dataset", f"its key was {said(before.keys)} and is {said(after.keys)}")


def _entity(before: Contract, after: Contract, renamed: Mapping[str, str]) -> Iterator[Change]:
    if before.entity != after.entity:
        weight: Weight = "breaking" if before.entity else "compatible"
        yield Change(
            weight, "dataset", f"it fed {before.entity or 'no entity'} and feeds {after.entity or 'none'}"
        )
        return
    old = {target: renamed.get(source, source) for target, source in before.mapping}
    new = dict(after.mapping)
    for target in sorted(set(old) | set(new)):
        if target not in new:
            yield Change("breaking", "dataset", f"{after.entity}.{target} is not fed any more")
        elif target not in old:
            yield Change("compatible", "dataset", f"{after.entity}.{target} is fed by {new[target]}")
        elif old[target] != new[target]:
            yield Change(
                "breaking", "dataset",
                f"{after.entity}.{target} was fed by {dict(before.mapping)[target]} and is by {new[target]}",
            )  # fmt: skip


def _system(before: Contract, after: Contract) -> Iterator[Change]:
    if before.system != after.system:
        yield Change(
            "breaking", "dataset", f"its codes were those of {before.system} and are those of {after.system}"
        )
    elif before.domain != after.domain:
        yield Change("compatible", "dataset", f"its domain was {before.domain} and is {after.domain}")


def _policies(before: Contract, after: Contract, renamed: Mapping[str, str]) -> Iterator[Change]:
    for kind in POLICIES:
        yield from _policy("dataset", kind, before.policy(kind), after.policy(kind))
    for column in before.columns:
        name = renamed.get(column.name, column.name)
        other = next((other for other in after.columns if other.name == name), None)
        if other is None or dict(column.schema_policy) == dict(other.schema_policy):
            continue
        for kind in COLUMN_POLICIES:
            yield from _policy(
                f"column {column.name}", kind, before.policy(kind, column.name), after.policy(kind, name)
            )


def _policy(place: str, kind: str, old: str, new: str) -> Iterator[Change]:
    if old == new:
        return
    # What was loaded by itself (new columns) is passed over now, or files that loaded are refused.
    is_stricter = _STRICTNESS[new] > max(_STRICTNESS[old], _STRICTNESS["freeze"])
    is_lost = kind == "new_columns" and old == "evolve"
    weight: Weight = "breaking" if is_stricter or is_lost else "compatible"
    yield Change(weight, place, f"on {kind.replace('_', ' ')} it said {old} and says {new}")


def _control(before: Contract, after: Contract) -> Iterator[Change]:
    old, new = before.control_totals, after.control_totals
    if old == new:
        return
    trailers = tuple(one.trailer if one else None for one in (old, new))
    if trailers[0] != trailers[1]:
        told = "another" if all(trailers) else "expected now" if trailers[1] else "data now"
        yield Change("breaking", "control totals", f"the trailer record is {told}")
        return
    is_stop = new is not None and new.severity == "stop"
    if new is None:
        yield Change(
            "compatible", "control totals", "what the source says of a file is not compared any more"
        )
    elif old is None or (old.companion != new.companion):
        yield Change(
            "breaking" if is_stop else "compatible",
            "control totals",
            "what a control file has to say is another",
        )
    else:
        yield Change(
            "breaking" if is_stop else "compatible", "control totals",
            f"a file that does not tie was {_done(old.severity)} and is {_done(new.severity)}",
        )  # fmt: skip


def _done(severity: str) -> str:
    return "refused" if severity == "stop" else "told of"


def _checks(before: Contract, after: Contract) -> Iterator[Change]:
    old, new = ({check.name: check for check in one.checks} for one in (before, after))
    for name in sorted(set(old) | set(new)):
        place = f"check {name}"
        if name not in new:
            yield Change("compatible", place, "it is not asked any more")
        elif name not in old:
            stops = new[name].severity == "stop"
            told = "it is asked now" + (", and data that fails it stops" if stops else "")
            yield Change("breaking" if stops else "compatible", place, told)
        elif old[name] != new[name]:
            yield from _check(place, old[name], new[name])


def _check(place: str, old: Check, new: Check) -> Iterator[Change]:
    if replace(old, description="") == replace(new, description=""):
        yield Change("wording", place, "its description is worded anew")
        return
    if old.severity != new.severity:
        stops = new.severity == "stop"
        yield Change(
            "breaking" if stops else "compatible", place, f"it was a {old.severity} and is a {new.severity}"
        )
    rules: dict[str, Rule] = {
        "name": _nothing, "severity": _nothing, "description": _nothing,
        "minimum": bound("minimum", is_upper=False),
        "maximum": bound("maximum", is_upper=True),
    }  # fmt: skip
    for change in compare_fields(old, new, rules, place):
        yield change if new.severity == "stop" else replace(change, weight="compatible")
