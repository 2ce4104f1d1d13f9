"""The picture of where a table comes from and goes to: boxes by layer, left to right, as SVG."""

from collections.abc import Callable, Mapping
from html import escape

from lake.catalogue.facts import LAYERS, TableFacts

_BOX_W, _BOX_H, _GAP_X, _GAP_Y, _HEAD = 176, 24, 56, 8, 22


def related(tables: Mapping[str, TableFacts], table: str) -> list[str]:
    """Return the table, all that it is made from and all that is made from it, however far."""
    found = {table}
    for side in ("reads", "read_by"):
        waiting = [table]
        while waiting:
            for name in getattr(tables[waiting.pop()], side):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
    return [name for name in tables if name in found]


def draw(tables: Mapping[str, TableFacts], table: str, href: Callable[[str], str]) -> str:
    """Return the SVG of a table's lineage; empty where it stands alone."""
    shown = related(tables, table)
    if len(shown) == 1:
        return ""
    columns = _columns(tables, shown)
    places = {
        name: (at * (_BOX_W + _GAP_X), _HEAD + row * (_BOX_H + _GAP_Y))
        for at, (_, names) in enumerate(columns)
        for row, name in enumerate(names)
    }
    width = len(columns) * (_BOX_W + _GAP_X) - _GAP_X + 2
    height = _HEAD + max(len(names) for _, names in columns) * (_BOX_H + _GAP_Y)
    arrows = [
        _arrow(places[source], places[name], table in (source, name))
        for name in shown
        for source in tables[name].reads
        if source in places
    ]
    heads = [
        f'<text class="layer" x="{at * (_BOX_W + _GAP_X)}" y="12">{escape(layer)}</text>'
        for at, (layer, _) in enumerate(columns)
    ]
    boxes = [_box(name, places[name], href(name), name == table) for name in shown]
    parts = "".join([*arrows, *heads, *boxes])
    return f'<svg viewBox="-1 0 {width} {height}" width="{width}" height="{height}" role="img">{parts}</svg>'


def _columns(tables: Mapping[str, TableFacts], shown: list[str]) -> list[tuple[str, list[str]]]:
    """Return (layer, tables) from left to right; within a layer what reads another of it stands further right."""
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            depth[name] = 0  # a circle ends here
            same = [
                one for one in tables[name].reads if one in shown and tables[one].layer == tables[name].layer
            ]
            depth[name] = 1 + max((deep(one) for one in same), default=-1)
        return depth[name]

    found: dict[tuple[int, int], list[str]] = {}
    for name in shown:
        found.setdefault((LAYERS.index(tables[name].layer), deep(name)), []).append(name)
    return [(LAYERS[layer] if at == 0 else "", names) for (layer, at), names in sorted(found.items())]


def _arrow(source: tuple[int, int], target: tuple[int, int], is_near: bool) -> str:
    x1, y1 = source[0] + _BOX_W, source[1] + _BOX_H / 2
    x2, y2 = target[0], target[1] + _BOX_H / 2
    bend = max(24.0, (x2 - x1) / 2)
    kind = "near" if is_near else "far"
    return f'<path class="{kind}" d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _box(name: str, place: tuple[int, int], target: str, is_here: bool) -> str:
    x, y = place
    short = name.partition(".")[2]
    shown = short if len(short) <= 25 else f"{short[:24]}…"
    kind = ' class="here"' if is_here else ""
    return (
        f'<a href="{escape(target)}"><g{kind}><title>{escape(name)}</title>'
        f'<rect x="{x}" y="{y}" width="{_BOX_W}" height="{_BOX_H}" rx="4"/>'
        f'<text x="{x + 8}" y="{y + 16}">{escape(shown)}</text></g></a>'
    )
