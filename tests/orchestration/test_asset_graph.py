"""The asset graph as a data engineer sees it: a snapshot, and what every asset must say of itself.

`python -m tests.orchestration.test_asset_graph` writes the snapshot again; the diff of asset_graph.txt is the review.
"""

from pathlib import Path

import dagster as dg
import pytest

from lake.company import load_company
from orchestration.build import build_definitions
from tests.conftest import SmallHome

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")
WORDS = ["landing", "raw", "staging", "core", "marts", "gate", "features", "forecasts", "plan", "orders"]


def load(home: SmallHome) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKLAKE_COMPANIES", str(home.companies))
        return build_definitions(load_company(home.name, home.root))


@pytest.fixture(scope="module")
def definitions(small_home: SmallHome) -> dg.Definitions:
    return load(small_home)


def specs_of(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    return sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key.path)


def drawn(definitions: dg.Definitions) -> str:
    """Return one line per asset: key, kinds, what it is made of; then one per check that blocks."""
    lines = []
    for spec in specs_of(definitions):
        made_of = (
            ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)) or "what is delivered"
        )
        lines.append(f"{spec.key.to_user_string()} [{' '.join(sorted(spec.kinds))}] <- {made_of}")
    checks = definitions.resolve_asset_graph().asset_check_keys
    graph = definitions.resolve_asset_graph()
    blocking = [
        f"{key.asset_key.to_user_string()} waits for {key.name}"
        for key in checks
        if graph.get_check_spec(key).blocking
    ]
    return "\n".join([*lines, "", *sorted(blocking)]) + "\n"


def test_the_graph_is_the_one_that_was_agreed(definitions: dg.Definitions) -> None:
    assert drawn(definitions) == SNAPSHOT.read_text(encoding="utf-8")


def test_groups_are_the_words_of_the_architecture(definitions: dg.Definitions) -> None:
    specs = specs_of(definitions)
    assert {spec.group_name for spec in specs} == set(WORDS)
    assert all(spec.group_name == spec.key.path[0] for spec in specs)


def test_nothing_reads_from_a_later_word(definitions: dg.Definitions) -> None:
    for spec in specs_of(definitions):
        for dep in spec.deps:
            assert WORDS.index(dep.asset_key.path[0]) <= WORDS.index(spec.key.path[0]), spec.key


def test_every_asset_says_whose_and_what_it_is(definitions: dg.Definitions) -> None:
    for spec in specs_of(definitions):
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.description, spec.key


def test_the_writer_is_alone(definitions: dg.Definitions) -> None:
    writers = {
        node.name: node.pool
        for node in definitions.resolve_job_def("daily").all_node_defs
        if isinstance(node, dg.OpDefinition)
    }
    assert set(writers.values()) == {"lake_writer"}


@pytest.fixture(scope="module")
def metadata(small_home: SmallHome, definitions: dg.Definitions) -> dict[str, dict[str, dg.MetadataValue]]:
    """Asset -> metadata of its newest materialisation, as the run left it in Dagster's own home."""
    with dg.DagsterInstance.from_config(str(small_home.company.dagster)) as instance:
        found = {}
        for spec in specs_of(definitions):
            event = instance.get_latest_materialization_event(spec.key)
            assert event and event.asset_materialization, f"{spec.key} was not materialised by the run"
            found[spec.key.to_user_string()] = dict(event.asset_materialization.metadata)
        return found


def test_after_a_run_every_table_shows_rows_and_columns(
    metadata: dict[str, dict[str, dg.MetadataValue]], definitions: dg.Definitions
) -> None:
    declared = {spec.key.to_user_string(): spec.metadata for spec in specs_of(definitions)}
    for key, shown in metadata.items():
        if key.split("/")[0] in {"landing", "gate", "features"}:  # no tables
            continue
        assert isinstance(shown["dagster/row_count"].value, int), key
        schema = declared[key].get("dagster/column_schema") or shown["dagster/column_schema"].value
        assert schema.columns, key
    assert metadata["raw/sales_order_line"]["dagster/row_count"].value > 1000
    assert metadata["plan/replenishment"]["dagster/row_count"].value > 0


def test_after_a_run_forecast_and_plan_show_their_pictures(
    metadata: dict[str, dict[str, dg.MetadataValue]],
) -> None:
    for key, name in [
        ("forecasts/demand_forecast", "forecast fan"),
        ("plan/replenishment", "projected stock"),
    ]:
        assert str(metadata[key][name].value).startswith("![plot](data:image/png;base64,iVBOR"), key


def test_a_mart_belongs_to_the_team_that_answers_for_its_group(definitions: dg.Definitions) -> None:
    owners = {spec.key.to_user_string(): list(spec.owners) for spec in specs_of(definitions)}
    assert owners["marts/inventory_position"] == ["team:inventory_control"]
    assert owners["marts/item_location_day"] == ["team:demand_planning"]
    assert owners["core/dim_item"] == ["team:data_engineering"]


def test_one_run_leaves_little_in_dagsters_home(small_home: SmallHome) -> None:
    size = sum(path.stat().st_size for path in small_home.company.dagster.rglob("*") if path.is_file())
    assert size < 8e6


if __name__ == "__main__":
    from orchestration.run import prepare

    prepare(load_company("example"))
    SNAPSHOT.write_text(drawn(build_definitions(load_company("example"))), encoding="utf-8")
