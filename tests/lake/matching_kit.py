"""Codes of a small company, written straight into raw: lists of three systems and lines that use their codes."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.matching.step import MatchReport, match
from tests.dbt_project import tiny

LISTS = {
    "item": ("item", "erp"),
    "article": ("item", "logistics"),
    "planner_item": ("item", "spreadsheets"),
    "supplier": ("supplier", "erp"),
    "shipper": ("supplier", "logistics"),
    "supplier_item": ("supplier_item", "erp"),
    "purchase_order_line": ("purchase_order_line", "erp"),
    "stock_count": ("stock_count", "spreadsheets"),
}
"""Dataset -> entity, system."""

CONTRACTS: tuple[Contract, ...] = tuple(
    replace(tiny.contract(dataset, entity), code_system=system) for dataset, (entity, system) in LISTS.items()
)


class Codes:
    """A company whose raw tables a test writes, and what matching makes of them."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.company: Company = tiny.company(home, matching=settings)
        self.lake = Lake.of(self.company)
        self.lake.ensure()
        self.runs = 0

    def write(self, dataset: str, *rows: dict[str, Any], known: str | None = None) -> None:
        """Replace a dataset; `known`: the day on which its rows became known."""
        at = datetime.fromisoformat(known) if known else None
        tiny.write_raw(self.lake, dataset, [{"_known_at": at} | row for row in rows], LISTS[dataset][0])

    def match(self) -> MatchReport:
        self.runs += 1
        return match(self.company, CONTRACTS, run_id=f"run-{self.runs}")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.lake.read() as connection:
            return connection.execute(query).fetchall()

    def crosswalk(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT * FROM lake.staging.crosswalk ORDER BY ALL")

    def means(self, code: str, system: str, kind: str = "item") -> Any:
        """The conformed id of a code now."""
        found = self.ask(
            "SELECT conformed_id FROM lake.staging.crosswalk WHERE valid_to IS NULL"
            f" AND kind = '{kind}' AND system = '{system}' AND code = '{code}'"
        )
        assert len(found) == 1, found
        return found[0][0]


def item(code: str, name: str | None, **more: Any) -> dict[str, Any]:
    return {"item_id": code, "item_name": name} | more


def supplier(code: str, name: str, **more: Any) -> dict[str, Any]:
    return {"supplier_id": code, "supplier_name": name} | more
