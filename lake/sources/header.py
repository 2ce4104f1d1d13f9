"""Compares the header of a file with its contract, by name. The same for CSV and spreadsheets."""

from lake.contracts.model import Contract
from lake.errors import FileRefused

_OTHER_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}


def match_header(header: list[str], name: str, where: str, contract: Contract) -> list[str]:
    """Return the contract's column name for every header, in the file's order.

    Names are compared exactly after trimming; order is free. Raises `FileRefused` naming the first thing wrong.
    """
    found = [title.strip() for title in header]
    by_source = {column.source_name.strip(): column.name for column in contract.columns}
    _check_delimiter(header, by_source, name, where, contract)
    required = [column.source_name.strip() for column in contract.columns if column.required or column.key]
    missing = [title for title in required if title not in found]
    unknown = [title for title in found if title not in by_source]
    twice = sorted({title for title in found if found.count(title) > 1})
    problems = []
    if missing:
        problems.append(f"the required column{_s(missing)} {_list(missing)} {_are(missing)} missing")
    if unknown:
        problems.append(f"the column{_s(unknown)} {_list(unknown)} {_are(unknown)} not in the contract")
    if twice and not unknown:
        problems.append(f"the column{_s(twice)} {_list(twice)} {_are(twice)} there twice")
    if problems:
        raise FileRefused(
            f"{name}, {where} (header): {' and '.join(problems)}; deliver it with the columns of the contract"
            f" {contract.path.name}, or change the contract."
        )
    return [by_source[title] for title in found]


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
    shown = ", ".join(repr(title) for title in titles[:5])
    return shown + (f" and {len(titles) - 5} more" if len(titles) > 5 else "")


def _s(titles: list[str]) -> str:
    return "s" if len(titles) > 1 else ""


def _are(titles: list[str]) -> str:
    return "are" if len(titles) > 1 else "is"
