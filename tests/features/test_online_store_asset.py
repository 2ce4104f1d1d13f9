"""The asset that writes features online tells as checks whether they can be trusted, and the catalogue shows it."""

from pathlib import Path

import dagster as dg

from features.repository import open_store
from lake.catalogue.facts import gather
from lake.catalogue.site import write_site
from lake.company import Company
from lake.connection import Lake
from lake.releases import _TABLES, Release
from orchestration.defs.features.assets import online_store
from orchestration.house import House
from tests.orchestration.kit import resource_over


def test_skew_is_an_error_that_blocks_nothing_and_stands_in_the_catalogue(
    company: Company, release: Release, tmp_path: Path
) -> None:
    lake = Lake.of(company)
    with lake.write() as connection:
        connection.execute(_TABLES)
        connection.execute(
            "INSERT INTO lake.meta.release VALUES (?, ?, 'g', ?, ?, [])",
            [release.release_id, release.snapshot_id, release.released_at, release.as_of],
        )

    def run() -> dict[str, dg.AssetCheckEvaluation]:
        result = dg.materialize([online_store], resources={"house": resource_over(House(company, (), lake))})
        assert result.success
        return {check.check_name: check for check in result.get_asset_check_evaluations()}

    first = run()
    assert {name: check.passed for name, check in first.items()} == {
        "skew": True,
        "drift": True,
        "freshness": True,
    }
    view = open_store(company).get_feature_view("inventory")
    store = open_store(company).provider.online_store
    store.update(open_store(company).config, [view], [], [], [], True)
    store.update(open_store(company).config, [], [view], [], [], True)
    second = run()
    assert {name: check.passed for name, check in second.items()} == {
        "skew": False,
        "drift": True,
        "freshness": False,
    }
    assert second["skew"].severity == dg.AssetCheckSeverity.ERROR
    assert second["freshness"].severity == dg.AssetCheckSeverity.WARN
    assert "inventory" in str(second["skew"].description)
    catalogue = gather(company, [], {"nodes": {}, "sources": {}})
    page = write_site(catalogue, tmp_path / "site")
    shown = (tmp_path / "site" / "features.html").read_text()
    assert "nothing is online" in shown
    assert shown.index("inventory") < shown.index("demand_history")
    assert 'href="features.html"' in page.read_text()
