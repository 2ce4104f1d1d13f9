"""Compares the header of a file with its contract, by name. The same for CSV and spreadsheets."""

from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from lake.contracts.model import Contract
from lake.errors import FileRefused

MAXIMUM_COLUMNS = 10_000
MAXIMUM_TITLE_CHARACTERS = 1_000
_OTHER_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}
_ALIKE = 0.65
"""Item and Item ID are at .8, Order No and order_number at .67; Day and Date at .57, price and units at .2."""


class NewColumns(FileRefused):
    """The header is the contract's but for columns that the contract lets pass: who reads may read again with them."""

    def __init__(self, message: str, titles: tuple[str, ...], renamed: Mapping[str, str]) -> None:
        """Keep the new titles, and of those with a name like a missing column's, which: new title -> column."""
        super().__init__(message)
        self.titles, self.renamed = titles, renamed


def match_header(header: list[str], name: str, where: str, contract: Contract) -> list[str]:
    """Return the contract's column name for every header, in the file's order.

    Names are compared exactly after trimming; order is free. Raises `FileRefused` naming everything that is wrong, and
    `NewColumns` if there is nothing but columns that the contract's `schema_policy` does not reject.
    """
    _check_dimensions(header, name, where)
    found = [title.strip() for title in header]
    by_source = {column.source_name.strip(): column.name for column in contract.columns}
    _check_delimiter(header, by_source, name, where, contract)
    absent = [column for column in contract.columns if column.source_name.strip() not in found]
    required = [column.source_name.strip() for column in absent if column.required or column.key]
    optional = [column for column in absent if not column.required and not column.key]
    unknown = [title for title in found if title not in by_source]
    twice = sorted(title for title, count in Counter(found).items() if count > 1)
    renamed = similar(unknown, [column.source_name.strip() for column in absent])
    rejected = [title for title in unknown if _rejects_new(title, renamed, contract)]
    gone = [c.source_name.strip() for c in optional if contract.policy("missing_columns", c.name) == "reject"]
    problems = []
    if missing := required + gone:
        problems.append(
            f"the {'required ' if required else ''}column{_s(missing)} {_list(missing)} {_are(missing)} missing"
        )
    if unknown:
        problems.append(f"the column{_s(unknown)} {_list(unknown)} {_are(unknown)} not in the contract")
    if twice:
        problems.append(f"the column{_s(twice)} {_list(twice)} {_are(twice)} there twice")
    problems += [f"{old!r} looks renamed to {new!r}" for new, old in renamed.items()]
    sentence = (
        f"{name}, {where} (header): {_joined(problems)}; deliver it with the columns of the contract"
        f" {contract.path.name}, or change the contract."
    )
    if missing or twice or rejected:
        raise FileRefused(sentence)
    if unknown:
        columns = {column.source_name.strip(): column.name for column in absent}
        raise NewColumns(sentence, tuple(unknown), {new: columns[old] for new, old in renamed.items()})
    return [by_source[title] for title in found]


def similar(new: Iterable[str], missing: Iterable[str]) -> dict[str, str]:
    """Return new title -> missing title for pairs of names so alike that one was probably renamed to the other."""
    left = {_plain(title): title for title in missing}
    found = {}
    for title in new:
        plain = _plain(title)
        near = get_close_matches(plain, left, n=1, cutoff=_ALIKE)
        near += [other for other in left if _abbreviates(plain, other) or _abbreviates(other, plain)]
        if near:
            found[title] = left.pop(near[0])
    return found


def _abbreviates(short: str, long: str) -> bool:
    """Whether a name is another with letters left out, as Qty is Quantity."""
    if not 3 <= len(short) < len(long) or short[0] != long[0]:
        return False
    letters = iter(long)
    return all(letter in letters for letter in short)


def _plain(title: str) -> str:
    """Return a title without what renaming often changes: case, spaces and other marks."""
    return "".join(character for character in title.casefold()[:200] if character.isalnum())


def _rejects_new(title: str, renamed: Mapping[str, str], contract: Contract) -> bool:
    return contract.policy("renamed_columns" if title in renamed else "new_columns") == "reject"


def _joined(problems: list[str]) -> str:
    return ", ".join(problems[:-1]) + (" and " if problems[1:] else "") + problems[-1] if problems else ""


def _check_dimensions(header: list[str], name: str, where: str) -> None:
    """Refuse a header that no table has, before it is looked at closely."""
    longest = max((len(title) for title in header), default=0)
    if len(header) > MAXIMUM_COLUMNS or longest > MAXIMUM_TITLE_CHARACTERS:
        what = (
            f"{len(header):,} columns"
            if len(header) > MAXIMUM_COLUMNS
            else f"a name of {longest:,} characters"
        )
        raise FileRefused(
            f"{name}, {where} (header) has {what}, which is no header of a table: deliver it as the contract says."
        )


def _check_delimiter(
    header: list[str], by_source: dict[str, str], name: str, where: str, contract: Contract
) -> None:
    location = contract.location
    if location.format != "csv" or len(header) > 1 or len(by_source) < 2 or header[0].strip() in by_source:
        return
    likely = [
        words
        for delimiter, words in _OTHER_DELIMITERS.items()
        if delimiter != location.delimiter
        and {part.strip().strip(location.quote or None) for part in header[0].split(delimiter)}
        & set(by_source)
        and delimiter in header[0]
    ]
    guess = f" (it looks like {likely[0]})" if likely else ""
    raise FileRefused(
        f"{name}, {where} (header): the delimiter {location.delimiter!r} is not there{guess}; deliver it with that"
        f" delimiter, or correct `delimiter` in the contract {contract.path.name}."
    )


def _list(titles: list[str]) -> str:
    shown = ", ".join(repr(title[:80]) for title in titles[:5])
    return shown + (f" and {len(titles) - 5} more" if len(titles) > 5 else "")


def _s(titles: list[str]) -> str:
    return "s" if len(titles) > 1 else ""


def _are(titles: list[str]) -> str:
    return "are" if len(titles) > 1 else "is"
