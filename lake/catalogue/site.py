"""The catalogue as a static site: a page for each table, that opens from a folder without a server or a network."""

import shutil
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lake.catalogue.drawing import draw
from lake.catalogue.facts import LAYERS, Catalogue, TableFacts
from lake.errors import InputError

_MARK = "stocklake-catalogue.txt"
_WORDS = {
    "raw": "as delivered, every version, with file and line",
    "staging": "one table per entity, whatever system it came from",
    "core": "one answer to each question",
    "marts": "what decisions read",
    "forecasts": "what will be demanded",
    "plan": "what to order and why",
    "orders": "proposed purchase orders",
    "meta": "the lake's own books",
}


def write_site(catalogue: Catalogue, folder: Path) -> Path:
    """Write the site into `folder`, replacing the site that stood there, and return its first page.

    Raises `InputError` where the folder holds anything else: it would be lost.
    """
    if folder.exists() and not (folder / _MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} holds other things than a catalogue, and writing one would replace them: name an empty or a new"
            " folder with --out."
        )
    pages = _environment(catalogue)
    half_made = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    grouped = {
        layer: [facts for facts in catalogue.tables.values() if facts.layer == layer] for layer in LAYERS
    }
    checks = catalogue.feature_checks
    index = pages.get_template("index.html").render(layers=grouped, words=_WORDS, feature_checks=checks)
    if checks:
        text = pages.get_template("features.html").render(checks=checks)
        (half_made / "features.html").write_text(text, encoding="utf-8")
    (half_made / "index.html").write_text(index, encoding="utf-8")
    template = pages.get_template("table.html")
    for facts in catalogue.tables.values():
        text = template.render(facts=facts, drawing=draw(catalogue.tables, facts.table, href))
        (half_made / href(facts.table)).write_text(text, encoding="utf-8")
    (half_made / _MARK).write_text("Written by stocklake docs, and replaced by it.\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    half_made.rename(folder)
    return folder / "index.html"


def href(table: str) -> str:
    """Return the page of a table."""
    return f"{table}.html"


def freshness(facts: TableFacts, as_of: date | None) -> str:
    """Return how new the newest row is, against the release's as_of."""
    if facts.newest is None:
        return ""
    day = facts.newest.date() if isinstance(facts.newest, datetime) else facts.newest
    if as_of is None or day >= as_of:
        return f"{day}"
    behind = (as_of - day).days
    return f"{day}, {behind:,} day{'s' if behind > 1 else ''} behind as_of"


def _environment(catalogue: Catalogue) -> Environment:
    found = Environment(
        loader=PackageLoader("lake.catalogue"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    as_of = catalogue.release.as_of if catalogue.release else None
    found.globals |= {
        "title": catalogue.company.settings.title,
        "currency": catalogue.company.settings.currency,
        "release": catalogue.release,
        "href": href,
        "freshness": lambda facts: freshness(facts, as_of),
    }
    found.filters |= {"number": lambda value: "" if value is None else f"{value:,}", "cell": _cell}
    return found


def _cell(value: Any) -> str:
    """Return a value of a sample, short enough for a table."""
    if value is None:
        return ""
    if isinstance(value, Mapping | list):
        value = str(value)
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
