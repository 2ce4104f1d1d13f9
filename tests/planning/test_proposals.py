"""Proposals: the same need is proposed once, whatever runs how often; what changes is visible."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.connection import Lake
from lake.errors import InputError
from lake.releases import Release
from planning.proposals import ProposalReport, propose
from tests.models.replenishment.cases import AS_OF
from tests.planning.conftest import small_plan


def rows(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    with lake.read() as connection:
        return connection.execute(query).fetchall()


def all_rows(lake: Lake) -> list[list[tuple[Any, ...]]]:
    return [
        rows(lake, f"SELECT * FROM lake.orders.{table} ORDER BY ALL")
        for table in ("proposal", "proposal_line")
    ]


def test_orders_are_grouped_and_add_up(lake: Lake, release_of: Callable[..., Release]) -> None:
    report = propose(lake, release_of(), small_plan(), "EUR")
    assert report.proposed == 2
    assert all(order_id.startswith("PO-20260630-") for order_id in report.new_orders)
    for head in rows(
        lake,
        "SELECT order_id, line_count, units, goods_cost, freight_cost, total_cost FROM lake.orders.proposal",
    ):
        lines = rows(
            lake,
            "SELECT count(*), sum(order_quantity_units), sum(goods_cost), sum(freight_cost), sum(goods_cost + freight_cost)"
            f" FROM lake.orders.proposal_line WHERE order_id = '{head[0]}'",
        )
        assert lines == [head[1:]]


def test_the_same_release_twice_adds_nothing(lake: Lake, release_of: Callable[..., Release]) -> None:
    release = release_of()
    first = propose(lake, release, small_plan(), "EUR")
    before = all_rows(lake)
    second = propose(lake, release, small_plan(), "EUR")
    assert second == ProposalReport(unchanged_orders=tuple(sorted(first.new_orders)))
    assert all_rows(lake) == before


def test_a_new_plan_supersedes_what_changed_only(lake: Lake, release_of: Callable[..., Release]) -> None:
    first = propose(lake, release_of(), small_plan(), "EUR")
    before = dict(rows(lake, "SELECT supplier_id, order_id FROM lake.orders.proposal"))
    second = propose(lake, release_of("R2"), small_plan(on_hand_a=40), "EUR")
    assert second.superseded_orders == (before["S1"],)
    assert second.unchanged_orders == (before["S2"],)
    assert set(first.new_orders) == set(before.values())
    assert rows(
        lake,
        "SELECT order_id, status, superseded_by FROM lake.orders.proposal ORDER BY release_id, supplier_id",
    ) == [
        (before["S1"], "superseded", second.new_orders[0]),
        (before["S2"], "open", None),
        (second.new_orders[0], "open", None),
    ]


def test_a_need_that_is_gone_is_superseded_by_the_release(
    lake: Lake, release_of: Callable[..., Release]
) -> None:
    propose(lake, release_of(), small_plan(), "EUR")
    report = propose(lake, release_of("R2"), small_plan(on_hand_a=5_000, on_hand_b=5_000), "EUR")
    assert report.proposed == 0 and len(report.superseded_orders) == 2
    assert rows(lake, "SELECT DISTINCT status, superseded_by FROM lake.orders.proposal") == [
        ("superseded", "R2")
    ]


def test_content_that_comes_back_is_a_new_order(lake: Lake, release_of: Callable[..., Release]) -> None:
    release = release_of()
    first = propose(lake, release, small_plan(), "EUR")
    propose(lake, release, small_plan(on_hand_a=40), "EUR")
    third = propose(lake, release, small_plan(), "EUR")
    assert third.proposed == 1 and third.new_orders[0] not in first.new_orders
    ids = [row[0] for row in rows(lake, "SELECT order_id FROM lake.orders.proposal")]
    assert len(ids) == len(set(ids)) == 4


def test_a_run_that_was_overtaken_changes_nothing(lake: Lake, release_of: Callable[..., Release]) -> None:
    old = release_of("R1")
    new = release_of("R2", AS_OF + timedelta(days=1))
    propose(lake, new, small_plan(), "EUR")
    before = all_rows(lake)
    assert propose(lake, old, small_plan(on_hand_a=40), "EUR") == ProposalReport(is_stale=True)
    assert all_rows(lake) == before


def test_an_order_stays_within_the_maximum_value(lake: Lake, release_of: Callable[..., Release]) -> None:
    two_of_one_supplier = small_plan().with_columns(pl.lit("S1").alias("supplier_id"))
    total = sum(two_of_one_supplier["total_cost"].to_list(), Decimal(0))
    whole = propose(lake, release_of(), two_of_one_supplier, "EUR")
    assert whole.proposed == 1
    parts = propose(
        lake, release_of("R2"), two_of_one_supplier, "EUR", maximum_order_value=float(total) - 0.01
    )
    assert parts.proposed == 2 and parts.superseded_orders == whole.new_orders


def test_a_need_answered_twice_is_refused(lake: Lake, release_of: Callable[..., Release]) -> None:
    doubled = pl.concat([small_plan(), small_plan()])
    with pytest.raises(InputError, match="item_id A, location_id DC is ordered more than once"):
        propose(lake, release_of(), doubled, "EUR")


def test_two_at_once_propose_once(lake: Lake, release_of: Callable[..., Release], tmp_path: Path) -> None:
    release_of()
    small_plan().write_parquet(tmp_path / "plan.parquet")
    program = (
        "import sys; from pathlib import Path; import polars as pl; from lake.connection import Lake; from lake.catalogs import SqliteCatalog\n"
        "from lake.releases import list_releases; from planning.proposals import propose\n"
        "folder = Path(sys.argv[1]); home = folder / 'lake'\n"
        "lake = Lake(SqliteCatalog(home / 'catalog.sqlite', home / 'writer.lock'), home / 'data', home / 'spill')\n"
        "propose(lake, list_releases(lake)[0], pl.read_parquet(folder / 'plan.parquet'), 'EUR')\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(2)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    assert rows(lake, "SELECT status, count(*) FROM lake.orders.proposal GROUP BY ALL") == [("open", 2)]
    assert rows(lake, "SELECT count(*), count(DISTINCT proposal_key) FROM lake.orders.proposal_line") == [
        (2, 2)
    ]
