"""How a steward sees two codes: side by side, each with its source row, then what was compared, and what accepting does."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from lake.matching.stewarding import Pair
from orchestration.show import table

_SHOWN = 48
_METHODS = {
    "gtin": "the same GTIN",
    "tax_id": "the same tax number",
    "gln": "the same GLN",
    "manufacturer_part": "the same manufacturer's part number",
    "supplier_part": "the same supplier's part number",
    "same_code": "the same code",
    "normalised_code": "the same code but for signs, case or leading zeros",
    "own": "nothing known is like it",
}


def pair_lines(pairs: Sequence[Pair], limit: int, *, are_links: bool) -> Iterator[str]:
    """Yield the lines of pairs that wait, or of links in force."""
    if not pairs:
        yield "No code is linked yet." if are_links else "No code waits for a decision."
        return
    for pair in pairs[:limit]:
        yield from _pair(pair, is_link=are_links)
    if len(pairs) > limit:
        yield f"... and {len(pairs) - limit} more: --limit shows them, --json all."
    if not are_links:
        yield f"{len(pairs)} {'pair waits' if len(pairs) == 1 else 'pairs wait'}. Decide with"
        yield "  stocklake match accept ID --by NAME --reason TEXT"
        yield "  stocklake match reject ID --by NAME --reason TEXT      `match undo` takes either back"


def _pair(pair: Pair, *, is_link: bool) -> Iterator[str]:
    certain = _METHODS.get(pair.method) or f"probability {pair.probability or 0:.4f} by several attributes"
    head = f"{pair.id}  {pair.kind}: {certain}"
    yield head + (f" (linked by {pair.decided_by})" if is_link else f"; waits because: {pair.why}")
    rows = [
        {"": name, "this": left, "and this": right, "outcome": outcome}
        for name, left, right, outcome in _rows(pair)
    ]
    yield from (f"    {line}" for line in table(rows))
    if not is_link:
        yield f"    accept: {pair.effect}"
    yield ""


def _rows(pair: Pair) -> Iterator[tuple[str, str, str, str]]:
    """Yield attribute, both values, and how they came out with the weight of that for or against."""
    code, target = pair.evidence.get("code", {}), pair.evidence.get("target", {})
    found: dict[str, Any] = pair.evidence.get("found") or {}
    yield "code", f"{pair.code} ({pair.system})", f"{pair.target_code} ({pair.target_system})", ""
    compared = {one["attribute"]: one for one in found.get("attributes", [])}
    yield "name", _short(code.get("name")), _short(target.get("name")), _outcome(compared.pop("name", None))
    if "value" in found:
        yield pair.method.replace("_", " "), _short(found["value"]), _short(found["value"]), "the same"
        other = found.get("right") or {}
        if other.get("code") not in (None, pair.target_code):
            yield "", "", f"of {other['code']} ({other['system']}), which is linked to it", ""
    for name, one in compared.items():
        yield name.replace("_", " "), _short(one["left"]), _short(one["right"]), _outcome(one)
    yield "stands in", _place(code), _place(target), ""


def _outcome(one: dict[str, Any] | None) -> str:
    """Return how a comparison came out, with its weight: log2 of how much it speaks for or against."""
    if one is None or one["outcome"] == "no value":
        return one["outcome"] if one else ""
    return f"{one['outcome']} ({one['weight']:+.1f})"


def _place(side: dict[str, Any]) -> str:
    return f"{side['file']}, line {side['line']}" if side.get("file") else ""


def _short(value: Any) -> str:
    return (
        textwrap.shorten(str(value), _SHOWN, placeholder=" ...")
        if value is not None and len(str(value)) < 500
        else str(value or "")[:_SHOWN]
    )
