"""What one changed property of a column, of its file or of its source means to who delivers and to who reads.

Here: `Change`, and the rules for `Column`, `Location`, `SourceSettings`. Not here: the dataset as a whole (`comparing.py`), what
version a change needs (`versioning.py`). A property without a rule of its own is breaking: a new one cannot be forgotten.

breaking: what was delivered by the old contract is refused, passed over or read as something else under the new one, or what
raw and core hold means something else, is gone, or protects a person less. compatible: more is admitted, or more is
told. wording: texts for people.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from lake.contracts.columns import LENGTH_PATTERN, fits
from lake.contracts.model import Column, Location, is_wider
from lake.contracts.source_settings import SourceSettings

Weight = Literal["breaking", "compatible", "wording"]
WEIGHTS: tuple[Weight, ...] = ("breaking", "compatible", "wording")


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a contract."""

    weight: Weight
    place: str
    """What it is about: `column quantity`, `server`, `dataset`, `check NAME`."""
    message: str

    def __str__(self) -> str:
        """Return it as one line for a person."""
        return f"{self.weight:<10} {self.place}: {self.message}"


Rule = Callable[[Any, Any], Iterator[tuple[Weight, str]]]
"""From what holds a property, before and after, to what its change means."""


def compare_fields(before: Any, after: Any, rules: dict[str, Rule], place: str) -> Iterator[Change]:
    """Yield the changes of two dataclasses of one kind, field by field."""
    for name in (field.name for field in fields(before)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if name in rules:
            yield from (Change(weight, place, message) for weight, message in rules[name](before, after))
        else:
            yield Change("breaking", place, f"{_words(name)} was {said(old)} and is {said(new)}")


def said(value: Any) -> str:
    """Return a value as a sentence names it, shortened."""
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, tuple):
        return _short(", ".join(map(str, value)))
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return _short(", ".join(f"{name} {part}" for name, part in parts.items() if part is not None))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _short(text if text.isprintable() and text.strip() == text else repr(text))


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."


def _words(name: str) -> str:
    return f"the {name.replace('_', ' ')}"


def _nothing(before: Any, after: Any) -> Iterator[tuple[Weight, str]]:
    yield from ()


def wording(name: str) -> Rule:
    """Return the rule of a text that is for people only."""

    def rule(before: Any, after: Any) -> Iterator[tuple[Weight, str]]:
        yield "wording", f"{_words(name)} is worded anew"

    return rule


def bound(name: str, *, is_upper: bool) -> Rule:
    """Return the rule of a limit; None is no limit."""
    words = f"{'above' if is_upper else 'below'} it are refused"

    def rule(before: Any, after: Any) -> Iterator[tuple[Weight, str]]:
        old, new = getattr(before, name), getattr(after, name)
        is_looser = new is None or (old is not None and (new > old) == is_upper)
        tell = f"{_words(name)} was {said(old)} and is {said(new)}"
        yield ("compatible", tell) if is_looser else ("breaking", f"{tell}: values {words}")

    return rule


def _type(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    old, new = before.duckdb_type, after.duckdb_type
    if is_wider(old, new):
        yield "compatible", f"the type {old} is widened to {new}"
    else:
        yield "breaking", f"the type was {old} and is {new}, which does not hold every value"


def _precision(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if before.type == after.type == "number":
        yield from _type(before, after)


def _scale(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if before.precision == after.precision:  # else `_precision` has told
        yield from _precision(before, after)


def _is_whole(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if before.type != "number":
        return
    if after.is_whole:
        yield "breaking", "only whole numbers are taken now"
    elif after.type == "number":
        yield "compatible", "numbers need not be whole any more"


def _required(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if after.required:
        yield "breaking", "it was optional and is required: rows without a value are refused"
    else:
        yield "compatible", "it was required and is optional"


def _default(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    tell = f"an empty field counted as {said(before.default)} and counts as {said(after.default)}"
    is_admitted = before.default is None and before.required
    yield (
        ("compatible", f"an empty field was refused and counts as {after.default}")
        if is_admitted
        else ("breaking", tell)
    )


def _nulls(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if gone := sorted(set(before.nulls) - set(after.nulls)):
        yield "breaking", f"{said(tuple(gone))} no longer says that there is no value"
    for text in sorted(set(after.nulls) - set(before.nulls)):
        was_data = fits(before, text) and (before.allowed is None or text in before.allowed)
        yield (
            ("breaking", f"{text!r} was a value and says that there is none")
            if was_data
            else ("compatible", f"{text!r} says that there is no value")
        )


def _pattern(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    old, new = LENGTH_PATTERN.fullmatch(before.pattern or ""), LENGTH_PATTERN.fullmatch(after.pattern or "")
    if after.pattern is None:
        yield "compatible", f"texts need not match {said(before.pattern)} any more"
    elif old and new:
        is_looser = int(new[1]) <= int(old[1]) and (
            not new[2] or (bool(old[2]) and int(new[2]) >= int(old[2]))
        )
        tell = f"its length was {old[1]} to {old[2] or 'any'} and is {new[1]} to {new[2] or 'any'} characters"
        yield ("compatible", tell) if is_looser else ("breaking", f"{tell}: others are refused")
    else:
        yield "breaking", f"the pattern was {said(before.pattern)} and is {said(after.pattern)}"


def _allowed(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if before.allowed is None:
        yield "breaking", f"any value was allowed, now only {said(after.allowed)}"
    elif after.allowed is None:
        yield "compatible", "any value is allowed"
    else:
        if gone := sorted(set(before.allowed) - set(after.allowed)):
            yield "breaking", f"{said(tuple(gone))} is not allowed any more"
        if added := sorted(set(after.allowed) - set(before.allowed)):
            yield "compatible", f"{said(tuple(added))} is allowed as well"


def _references(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if after.references is None:
        yield "compatible", f"its values need not be among {before.references} any more"
    elif before.references is None:
        yield "breaking", f"its values have to be among {after.references} now"
    else:
        yield "breaking", f"its values had to be among {before.references}, now {after.references}"


def _unit(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    yield "breaking", f"the unit was {said(before.unit)} and is {said(after.unit)}"


def _pii(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    if before.pii is None:
        yield "compatible", f"it is named personal data: {after.pii}"
    elif after.pii is None:
        yield "breaking", f"it was personal data ({before.pii}) and is not any more"
    else:
        yield "breaking", f"its class of personal data was {before.pii} and is {after.pii}"


def _pii_action(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    yield "breaking", f"personal data was treated as {before.pii_action} and is as {after.pii_action}"


def _header(before: Column, after: Column) -> Iterator[tuple[Weight, str]]:
    yield "breaking", f"it was read from {before.source_name!r} and is from {after.source_name!r}"


COLUMN_RULES: dict[str, Rule] = {
    "name": _nothing,  # a rename is told by the dataset
    "source_name": _header,
    "type": _type,
    "description": wording("description"),
    "precision": _precision,
    "scale": _scale,
    "is_whole": _is_whole,
    "required": _required,
    "key": _nothing,  # told by the dataset
    "minimum": bound("minimum", is_upper=False),
    "maximum": bound("maximum", is_upper=True),
    "pattern": _pattern,
    "allowed": _allowed,
    "references": _references,
    "unit": _unit,
    "pii": _pii,
    "pii_action": _pii_action,
    "default": _default,
    "nulls": _nulls,
    "schema_policy": _nothing,  # told by the dataset
}
"""What is not here (format, start, width) is breaking whatever its change."""


def _looser(name: str, loose: str) -> Rule:
    def rule(before: Any, after: Any) -> Iterator[tuple[Weight, str]]:
        old, new = getattr(before, name), getattr(after, name)
        yield "compatible" if new == loose else "breaking", f"{_words(name)} was {old} and is {new}"

    return rule


def _encoding(before: Location, after: Location) -> Iterator[tuple[Weight, str]]:
    if codecs.lookup(before.encoding).name != codecs.lookup(after.encoding).name:
        yield "breaking", f"the encoding was {before.encoding} and is {after.encoding}"


LOCATION_RULES: dict[str, Rule] = {
    "encoding": _encoding,
    "final_newline": _looser("final_newline", "optional"),
    "other_fields": _looser("other_fields", "ignore"),
    "short_lines": _looser("short_lines", "pad"),
    "maximum_members": bound("maximum_members", is_upper=True),
    "maximum_unpacked_mb": bound("maximum_unpacked_mb", is_upper=True),
    "maximum_ratio": bound("maximum_ratio", is_upper=True),
}
"""What is not here says how bytes become rows: breaking whatever its change."""

OPERATIONAL = {
    "poll_minutes", "url", "endpoint_url", "storage_options", "rows_per_file", "statement_timeout_seconds",
    "connect_timeout_seconds", "slot", "publication", "create", "maximum_lag_mb", "servers", "domain", "user", "password",
    "token", "nkey_seed", "credentials_file", "tls_ca_file", "tls_certificate_file", "tls_key_file", "batch_rows",
    "batch_seconds", "auth", "limits", "ca_file", "secrets", "remember_days", "spool_mb", "free_mb",
}  # fmt: skip
"""Settings of a source that say where it stands, who asks and how fast, not what comes."""


def source_changes(before: SourceSettings | None, after: SourceSettings | None) -> Iterator[Change]:
    """Yield how a dataset is fetched otherwise. Values are not shown: they may hold what is nobody's business."""
    if before == after:
        return
    old, new = before.kind if before else "files here", after.kind if after else "files here"
    if before is None or after is None or old != new:
        yield Change("breaking", "source", f"it was fetched from {old} and is from {new}")
        return
    for name in type(before).model_fields:
        if getattr(before, name) != getattr(after, name):
            weight: Weight = "compatible" if name in OPERATIONAL else "breaking"
            yield Change(weight, "source", f"its setting {name} is another")
