"""The catalogue of a small lake: lineage by column, pages that hold together, personal data that nobody sees."""

import re
from pathlib import Path
from typing import Any

import pytest

from lake.catalogue.facts import HIDDEN, Catalogue, _of_models, gather
from lake.catalogue.lineage import column_lineage
from lake.catalogue.site import write_site
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import InputError
from tests.lake.loading_kit import company as make_company
from tests.lake.loading_kit import contract, deliver, load

SALES = contract(
    "sales",
    (
        Column("order_id", "Order", "string", key=True, required=True, description="Order, <b>as typed</b>."),
        Column("units", "Units", "integer", unit="units"),
        Column("buyer", "Buyer", "string", pii="contact", pii_action="keep"),
    ),
)
STAGED = 'select order_id, units, buyer as customer_id, _file from "lake"."raw"."sales"'
CORE = """
with lines as (select * from "lake"."staging"."stg_sales"),
per_customer as (
    select customer_id, sum(units) as units, max(length(_file)) as longest, count(*) as lines
    from lines where order_id <> 'x' group by customer_id
)
select per_customer.customer_id as customer, units * 2 as doubled, longest, lines, 'a' as constant from per_customer
"""


def node(schema: str, name: str, sql: str, reads: list[str], columns: list[str]) -> dict[str, Any]:
    return {
        "resource_type": "model", "schema": schema, "name": name, "compiled_code": sql, "depends_on": {"nodes": reads},
        "description": "One row per order. What <script>alert(1)</script> sold.", "original_file_path": f"models/{schema}/{name}.sql",
        "package_name": "stocklake", "config": {"meta": {}},
        "columns": {column: {"description": f"The {column}.", "meta": {"unit": "units"}} for column in columns},
    }  # fmt: skip


MANIFEST: dict[str, Any] = {
    "sources": {
        "s": {"schema": "raw", "name": "sales", "columns": {"order_id": {}, "units": {}, "buyer": {}, "_file": {}}},
        "undescribed": {"schema": "staging", "name": "crosswalk", "columns": {}},
    },
    "nodes": {
        "m1": node("staging", "stg_sales", STAGED, ["s"], ["order_id", "units", "customer_id", "_file"]),
        "m2": node("core", "buyers", CORE, ["m1"], ["customer", "doubled", "longest", "lines", "constant", "gone"]),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    made = make_company(tmp_path_factory.mktemp("catalogue"))
    deliver(made, "sales.csv", "Order,Units,Buyer\na,1,Ann\nb,2,Bob\nc,x,Cy\n")
    load(made, SALES)
    with Lake.of(made).write() as connection:
        connection.execute(f"CREATE VIEW lake.staging.stg_sales AS {STAGED}")
        connection.execute(f"CREATE TABLE lake.core.buyers AS {CORE}")
        connection.execute(
            "CREATE TABLE lake.plan.replenishment AS SELECT 'r' AS release_id, 3 AS order_quantity_units"
        )
    return made


@pytest.fixture(scope="module")
def catalogue(company: Company) -> Catalogue:
    return gather(company, [SALES], MANIFEST)


def test_a_column_knows_what_it_is_computed_from() -> None:
    lineage = column_lineage(MANIFEST)
    assert lineage["staging.stg_sales"]["customer_id"] == [("raw.sales", "buyer")]
    assert lineage["core.buyers"] == {
        "customer": [("staging.stg_sales", "customer_id")],
        "doubled": [("staging.stg_sales", "units")],
        "longest": [("staging.stg_sales", "_file")],
        "lines": [],
        "constant": [],
        "gone": [],
    }


def test_what_was_found_is_remembered_until_the_sql_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "lineage.json"
    first = column_lineage(MANIFEST, memory)
    analysed: list[str] = []
    monkeypatch.setattr("lake.catalogue.lineage._analysed", lambda sql, *_: analysed.append(sql) or {})
    assert column_lineage(MANIFEST, memory) == first and not analysed
    changed = {
        **MANIFEST,
        "nodes": MANIFEST["nodes"] | {"m1": MANIFEST["nodes"]["m1"] | {"compiled_code": "select 1"}},
    }
    column_lineage(changed, memory)
    assert analysed == ["select 1"]
    memory.write_text('{"cut off')
    monkeypatch.undo()
    assert column_lineage(MANIFEST, memory) == first


def test_sql_that_cannot_be_read_has_no_lineage_and_breaks_nothing() -> None:
    broken = {"sources": {}, "nodes": {"m": node("core", "t", "select from where (", [], ["a"])}}
    assert column_lineage(broken) == {"core.t": {}}


def test_every_table_is_there_with_what_is_known_of_it(catalogue: Catalogue) -> None:
    assert list(catalogue.tables)[:3] == ["raw.sales", "staging.stg_sales", "core.buyers"]
    raw, core = catalogue.tables["raw.sales"], catalogue.tables["core.buyers"]
    assert (raw.rows, core.rows) == (2, 2)
    assert [(one.rule, one.rows) for one in raw.quarantine] == [("type", 1)]
    assert raw.deliveries[0]["rows_read"] == 3 and raw.deliveries[0]["loaded"] == 2
    assert core.reads == ["staging.stg_sales"] and raw.read_by == ["staging.stg_sales"]
    assert [column.name for column in core.columns] == ["customer", "doubled", "longest", "lines", "constant"]
    assert catalogue.tables["plan.replenishment"].columns[1].meaning == "Units to order, in whole packs."
    assert "meta.delivery" in catalogue.tables


def test_personal_data_stays_personal_however_far_it_is_carried(catalogue: Catalogue, tmp_path: Path) -> None:
    carried = {
        (table, column.name)
        for table, facts in catalogue.tables.items()
        for column in facts.columns
        if column.pii
    }
    assert carried == {
        ("raw.sales", "buyer"),
        ("staging.stg_sales", "customer_id"),
        ("core.buyers", "customer"),
    }
    assert {row["customer"] for row in catalogue.tables["core.buyers"].sample} == {HIDDEN}
    site = write_site(catalogue, tmp_path / "site").parent
    pages = "".join(path.read_text(encoding="utf-8") for path in site.glob("*.html"))
    assert not re.search(r"\b(Ann|Bob|Cy)\b", pages)


def test_pages_hold_together_and_need_no_network(catalogue: Catalogue, tmp_path: Path) -> None:
    site = write_site(catalogue, tmp_path / "site").parent
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.glob("*.html")}
    assert len(pages) == 1 + len(catalogue.tables)
    for name, text in pages.items():
        for target in re.findall(r'href="([^"]+)"', text):
            page, _, column = target.partition("#")
            assert page in pages, (name, target)
            assert not column or f'id="{column}"' in pages[page], (name, target)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
        assert "<b>as typed" not in text and "<script>alert" not in text
    assert "&lt;b&gt;as typed" in pages["raw.sales.html"]


def test_a_site_replaces_a_site_and_nothing_else(catalogue: Catalogue, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(catalogue, folder)
    (folder / "old.html").write_text("")
    write_site(catalogue, folder)
    assert not (folder / "old.html").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds other things"):
        write_site(catalogue, mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_model_is_owned_by_who_answers_for_its_group() -> None:
    grouped = MANIFEST["nodes"]["m2"] | {"group": "demand"}
    groups = {"group.stocklake.demand": {"name": "demand", "owner": {"name": "demand planning"}}}
    found = _of_models({"nodes": MANIFEST["nodes"] | {"m2": grouped}, "groups": groups})
    assert (found["core.buyers"].owner, found["staging.stg_sales"].owner) == (
        "demand planning",
        "data engineering",
    )
