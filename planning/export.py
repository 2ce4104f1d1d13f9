"""Open orders for people and their programs: rows, JSON, a workbook. Written atomically, the same bytes every time.

Belongs here: form. Not here: what is ordered (`proposals.py`) and why (`explain.py`).
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from lake.company import Company
from lake.connection import Lake, table_exists

_ORDERS = """
SELECT order_id, supplier_id, location_id, need_date, status, line_count, units, goods_cost, freight_cost, total_cost,
       currency, as_of, release_id, is_assumed, superseded_by
FROM lake.orders.proposal ORDER BY need_date, order_id
"""
_LINES = """
SELECT order_id, line_number, item_id, supplier_id, location_id, order_quantity_units, line.need_date, unit_price,
       line.goods_cost, line.freight_cost, line.goods_cost + line.freight_cost AS total_cost, currency, reason,
       proposal_key, status
FROM lake.orders.proposal_line AS line JOIN lake.orders.proposal AS proposal USING (order_id)
ORDER BY order_id, line_number
"""

_FORMATS = {
    "DATE": "yyyy-mm-dd",
    "UNITS": "#,##0",
    "MONEY": "#,##0.00",
    "PRICE": "#,##0.0000",
}
_KIND = {
    "units": "UNITS",
    "order_quantity_units": "UNITS",
    "unit_price": "PRICE",
    "goods_cost": "MONEY",
    "freight_cost": "MONEY",
    "total_cost": "MONEY",
    "need_date": "DATE",
    "as_of": "DATE",
}
_WIDTH = {
    "reason": 100,
    "item_id": 16,
    "order_id": 22,
    "proposal_key": 19,
    "release_id": 24,
    "superseded_by": 24,
}
_LONGEST_CELL = 32_767
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""The wide ones are formulas to programs set to an East Asian language; blanks and marks nobody sees may stand before."""


def order_rows(lake: Lake, status: str | None = "open") -> pl.DataFrame:
    """Return orders with `status` (None: all), one row per order, most urgent first; empty when none was proposed."""
    return _rows(lake, _ORDERS, status)


def line_rows(lake: Lake, status: str | None = "open") -> pl.DataFrame:
    """Return the lines of orders with `status` (None: all), one row per line."""
    return _rows(lake, _LINES, status)


def export(lake: Lake, company: Company) -> tuple[Path, Path]:
    """Write the open orders to `purchase_orders.json` and `.xlsx` in the company's exports; return both.

    Each file is replaced in one step: a reader finds the old one or the new one, whole.
    """
    orders, lines = order_rows(lake), line_rows(lake)
    folder = company.exports
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_workbook = folder / "purchase_orders.json", folder / "purchase_orders.xlsx"
    _replace(as_json, lambda path: _write_json(path, orders, lines))
    _replace(as_workbook, lambda path: _write_workbook(path, orders, lines))
    return as_json, as_workbook


def orders_as_json(orders: pl.DataFrame, lines: pl.DataFrame) -> list[dict[str, Any]]:
    """Return orders with their lines inside, ready for `json.dumps`: dates as ISO text, money as numbers."""
    inside = lines.select(pl.exclude("supplier_id", "location_id", "currency", "status"))
    of_order: dict[str, list[dict[str, Any]]] = {}
    for line in inside.iter_rows(named=True):
        of_order.setdefault(line.pop("order_id"), []).append(_plain(line))
    return [
        _plain(order) | {"lines": of_order.get(order["order_id"], [])}
        for order in orders.drop("superseded_by").iter_rows(named=True)
    ]


def neutral_text(text: str) -> str:
    """Return `text` so that no spreadsheet program takes it for a formula, also not after saving it as CSV.

    >>> neutral_text("=1+1"), neutral_text(" @SUM(A1)"), neutral_text("bolt M8 - zinc")
    ("'=1+1", "' @SUM(A1)", 'bolt M8 - zinc')
    """
    visible = next((one for one in text if one.isprintable() and not one.isspace()), "")
    is_formula_like = visible in _FORMULA_STARTS or text[:1] in _FORMULA_STARTS
    return ("'" + text if is_formula_like else text)[:_LONGEST_CELL]


def _rows(lake: Lake, query: str, status: str | None) -> pl.DataFrame:
    with lake.read() as connection:
        if not table_exists(connection, "orders", "proposal"):
            return pl.DataFrame(schema=dict.fromkeys(_columns(query), pl.String))
        frame = connection.execute(query).pl()
    return frame if status is None else frame.filter(pl.col("status") == status)


def _columns(query: str) -> list[str]:
    """Names of the columns that a query of this module selects."""
    selected = query.split("SELECT", 1)[1].split("FROM", 1)[0]
    return [part.split(" AS ")[-1].split(".")[-1].strip() for part in selected.split(",")]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, date)
        else float(value)
        if isinstance(value, Decimal)
        else value
        for name, value in row.items()
    }


def _write_json(path: Path, orders: pl.DataFrame, lines: pl.DataFrame) -> None:
    text = json.dumps(orders_as_json(orders, lines), ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _write_workbook(path: Path, orders: pl.DataFrame, lines: pl.DataFrame) -> None:
    as_of = orders["as_of"].max() if orders.height else None
    workbook = xlsxwriter.Workbook(
        str(path), {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    if isinstance(as_of, date):
        workbook.set_properties({"created": datetime.combine(as_of, time())})
    try:
        _sheet(workbook, "Orders", orders.drop("status", "superseded_by"))
        _sheet(workbook, "Lines", lines.drop("status"))
    finally:
        workbook.close()


def _sheet(workbook: xlsxwriter.Workbook, name: str, frame: pl.DataFrame) -> None:
    sheet = workbook.add_worksheet(name)
    header = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    formats = {kind: workbook.add_format({"num_format": code}) for kind, code in _FORMATS.items()}
    for column, title in enumerate(frame.columns):
        style = formats.get(_KIND.get(title, ""))
        sheet.set_column(column, column, _WIDTH.get(title, 13), style)
        sheet.write_string(0, column, title.replace("_", " "), header)
        for row, value in enumerate(frame[title], start=1):
            _cell(sheet, row, column, value, style)
    sheet.freeze_panes(1, 1)
    if frame.height:
        sheet.autofilter(0, 0, frame.height, frame.width - 1)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)


def _cell(sheet: Any, row: int, column: int, value: Any, style: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        if value:  # is_assumed, the one column of yes and no
            sheet.write_string(row, column, "ASSUMED")
    elif isinstance(value, date):
        sheet.write_datetime(row, column, datetime.combine(value, time()), style)
    elif isinstance(value, (int, float, Decimal)):
        sheet.write_number(row, column, float(value), style)
    else:
        sheet.write_string(row, column, neutral_text(str(value)))


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    with _temporary(path) as unfinished:
        write(unfinished)
        unfinished.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`, gone afterwards unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    unfinished.chmod(0o644)
    try:
        yield unfinished
    finally:
        unfinished.unlink(missing_ok=True)
