"""Features say what was known: against an oracle, and against the same company with another world after a moment."""

import math
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.repository import open_store
from lake.company import Company
from lake.connection import Lake
from tests.dbt_project import tiny
from tests.features import known_oracle
from tests.features.known_world import CUT, build, otherwise, world

pytestmark = pytest.mark.filterwarnings("ignore:.* is an experimental feature")


def query(company: Company, sql: str) -> pl.DataFrame:
    with Lake.of(company).read() as connection:
        return connection.execute(sql).pl()


def marts() -> str:
    from features.definitions import SOURCES

    return " ".join(f"+{source.table.split('.')[1]}" for source in SOURCES)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return build(tmp_path_factory.mktemp("as_it_went"), world(), marts())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return build(tmp_path_factory.mktemp("otherwise"), otherwise(world()), marts())


def test_every_row_is_what_its_closing_knew(company: Company) -> None:
    found = query(
        company, "select * replace (unit_price::double as unit_price) from lake.marts.item_location_feature"
    )
    by_key = {(row["item_id"], row["location_id"], row["day"]): row for row in found.to_dicts()}
    tables = world()
    wanted = {
        (item, store, day): row
        for item in tiny.ITEMS
        for store in tiny.STORES
        for day, row in known_oracle.features(tables, item, store).items()
    }
    assert by_key.keys() == wanted.keys()
    wrong = [
        (key, name, by_key[key][name], value)
        for key, row in wanted.items()
        for name, value in row.items()
        if not _equal(by_key[key][name], value)
    ]
    assert not wrong, (sorted({name for _, name, *_ in wrong}), wrong[:5])


def test_the_world_has_what_makes_this_hard(company: Company) -> None:
    """Without late, corrected and returned lines the test above would say little."""
    counts = query(
        company,
        "select count(*) filter (where known_at > sold_on + interval 30 hour) as late,"
        " (select count(*) from lake.core.superseded_sales_order_line) as corrected,"
        " count(*) filter (where line_class = 'return') as returned from lake.core.fct_sales_order_line",
    )
    assert min(counts.row(0)) > 20


def test_nothing_published_after_a_row_changes_any_feature(company: Company, other: Company) -> None:
    """Every feature that the registry holds, of every key and of moments up to the cut, before and after."""
    before, after = _training_rows(company), _training_rows(other)
    assert len(before) > 200
    unknown = [name for name in before.columns if before[name].null_count() == len(before)]
    assert not unknown, f"never known in this test's world, so nothing is proved of them: {unknown}"
    assert_frame_equal(before, after, check_exact=True)


def test_what_is_published_later_does_change_later_rows(company: Company, other: Company) -> None:
    """The test before can fail: the two worlds differ after the cut, in every mart."""
    from features.definitions import SOURCES

    for source in SOURCES:
        if source.name == "location_calendar_day":
            continue
        sql = f"select * from lake.{source.table} where known_at > timestamp '{CUT}' order by all"
        assert not query(company, sql).equals(query(other, sql)), source.name


def _training_rows(company: Company) -> pl.DataFrame:
    from features.definitions import ON_DEMAND_VIEWS, VIEWS

    moments = [CUT - timedelta(days=back, hours=hour) for back in range(0, 60, 4) for hour in (0, 7)]
    keys = [
        {"item_id": item, "location_id": place, "supplier_id": "V"}
        for item in [*tiny.ITEMS, "unknown"]
        for place in [*tiny.STORES, "DC"]
    ]
    rows = pl.DataFrame([key | {"event_timestamp": at} for key in keys for at in moments])
    views = [*VIEWS, *ON_DEMAND_VIEWS]
    wanted = [f"{view.name}:{field.name}" for view in views for field in view.features]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKLAKE_COMPANIES", str(company.folder.parent))
        store = open_store(company, Lake.of(company).snapshot())
        job = store.get_historical_features(
            entity_df=rows.to_arrow(), features=wanted, full_feature_names=True
        )
        return pl.DataFrame(job.to_arrow())


def _equal(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float | int) and not isinstance(expected, bool) and actual is not None:
        return math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9)
    return bool(actual == expected)
