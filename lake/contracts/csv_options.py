"""What a contract says of a delimited file: delimiter, quotes, escapes, header, comments, footer.

Each option is a field of `Location`. Not here: reading (`lake/sources/files.py`), decimal signs and words for nothing.
"""

from typing import Any

from lake.contracts import values
from lake.contracts.document import Node

MAX_DELIMITER = 8


def _delimiter(node: Node) -> str | None:
    value = node.value
    if isinstance(value, str) and 1 <= len(value) <= MAX_DELIMITER and not set(value) & {"\r", "\n", "\0"}:
        return value
    node.reject(
        f'has to be one to {MAX_DELIMITER} characters without line ends, not {value!r} (a tab is written "\\t" in'
        " double quotes)"
    )
    return None


def _sign(node: Node) -> str | None:
    value = node.value
    if isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n\0":
        return value
    node.reject(f"has to be one ASCII character, not {value!r}")
    return None


def _quote(node: Node) -> str | None:
    return "" if node.value == "none" else _sign(node)


CSV: dict[str, values.Parser] = {
    "delimiter": _delimiter,
    "encoding": values.encoding,
    "quote": _quote,
    "escape": _sign,
    "comment": _sign,
    "final_newline": values.one_of("required", "optional"),
    "header": values.one_of("names", "none"),
    "header_row": values.whole(1),
    "header_rows": values.whole(1),
    "footer_pattern": values.regex,
    "footer_lines": values.whole(1),
}
"""Custom properties of the server, for csv."""


def check_dialect(server: Node, found: dict[str, Any]) -> None:
    """Judge that no sign means two things and no option stands without the one it belongs to."""
    signs = {"delimiter": found.get("delimiter", ","), "quote": found.get("quote", '"')}
    signs |= {name: found[name] for name in ("escape", "comment") if name in found}
    names = [name for name, sign in signs.items() if sign]
    for i, name in enumerate(names):
        for other in names[:i]:
            if signs[name] in signs[other]:
                server.reject(f"{other} and {name} are the same character: correct one")
    if "footer_lines" in found and "footer_pattern" not in found:
        server.reject(
            "footer_lines needs footer_pattern, the regular expression that each of them matches: without it rows of a"
            " file that was cut off would pass for its footer"
        )
    if found.get("header") == "none" and "header_rows" in found:
        server.reject("header_rows stands beside `header: none`: keep one")
