"""The offline store as Feast calls it, over a real lake: views, mappings, aliases, time zones, releases."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.types import Bool, Float64, Int64, String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.stores.source import LakeSource
from lake.company import load_company
from lake.connection import Lake
from lake.errors import NoRelease
from tests.features.stores.offline_kit import feast_on_lake
from tests.features.stores.oracle import candidates

START = datetime(2026, 1, 1)
COLUMNS = ["k", "amount_raw", "label", "flag", "happened", "known"]

thing = Entity(name="thing", join_keys=["k"], value_type=ValueType.STRING)
known = LakeSource(
    name="known",
    table="marts.fact",
    timestamp_field="happened",
    created_timestamp_column="known",
    field_mapping={"amount_raw": "amount"},
)
unknown = LakeSource(name="unknown", table="marts.fact", timestamp_field="happened")
amounts = FeatureView(
    name="amounts",
    entities=[thing],
    ttl=timedelta(hours=20),
    source=known,
    schema=[
        Field(name="k", dtype=String),
        Field(name="amount", dtype=Float64),
        Field(name="flag", dtype=Bool),
    ],
)
labels = FeatureView(
    name="labels",
    entities=[thing],
    ttl=timedelta(0),
    source=unknown,
    schema=[Field(name="k", dtype=String), Field(name="label", dtype=Int64)],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    objects = [
        thing,
        known,
        unknown,
        amounts,
        labels,
        FeatureService(name="both", features=[amounts, labels]),
    ]
    home = tmp_path_factory.mktemp("lake")
    return feast_on_lake(home, objects, materialization={"pull_latest_features": True})


def write(store: FeatureStore, facts: list[dict[str, Any]]) -> int:
    """Put the facts into the lake; return the snapshot, at which the store reads from now on."""
    home = store.config.repo_path
    company = load_company("example", home / "homes")
    lake = Lake.of(company)
    with lake.write() as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE lake.marts.fact (k VARCHAR, amount_raw DECIMAL(18, 4), label HUGEINT, flag BOOLEAN,"
            " happened TIMESTAMP, known TIMESTAMP WITH TIME ZONE)"
        )
        if facts:
            connection.register("facts", pl.DataFrame(facts).select(COLUMNS).to_arrow())
            connection.execute("INSERT INTO lake.marts.fact SELECT * FROM facts")
    with closing(sqlite3.connect(company.catalog)) as catalog:  # a tenth of the time of opening the lake
        snapshot: int = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()[0]
    store.config.offline_store.snapshot_id = snapshot
    return snapshot


def fact(
    key: str, hour: float, known_hour: float | None = None, label: int = 1, amount: str = "1.5"
) -> dict[str, Any]:
    known_at = START + timedelta(hours=hour if known_hour is None else known_hour)
    return {
        "k": key,
        "amount_raw": amount,
        "label": label,
        "flag": label % 2 == 0,
        "happened": START + timedelta(hours=hour),
        "known": known_at.replace(tzinfo=UTC),
    }


def read(
    store: FeatureStore, rows: Any, features: Any = ("amounts:amount", "labels:label"), **options: Any
) -> pl.DataFrame:
    if isinstance(features, tuple):
        features = list(features)
    return pl.DataFrame(
        store.get_historical_features(entity_df=rows, features=features, **options).to_arrow()
    )


hours = st.integers(0, 48)
facts_of = st.lists(
    st.builds(fact, st.sampled_from(["a", "b"]), hours, st.one_of(st.none(), hours), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)
zones = st.sampled_from([None, "UTC", "America/St_Johns", "Pacific/Auckland"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts_of, st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), hours), min_size=1, max_size=30), zones)
def test_a_feast_store_on_the_lake_agrees_with_the_oracle(
    store: FeatureStore, facts: list[dict[str, Any]], entities: list[tuple[str, int]], zone: str | None
) -> None:
    write(store, facts)
    moments = pd.Series([START + timedelta(hours=hour) for _, hour in entities])
    if zone:
        moments = moments.dt.tz_localize("UTC").dt.tz_convert(zone)
    rows = pd.DataFrame(
        {"note": range(len(entities)), "k": [key for key, _ in entities], "event_timestamp": moments}
    )
    found = read(store, rows)
    assert found["note"].to_list() == list(range(len(entities)))
    plain = [row | {"known": row["known"].replace(tzinfo=None)} for row in facts]
    for (key, hour), answer in zip(entities, found.to_dicts(), strict=True):
        at = START + timedelta(hours=hour)
        amount = candidates(plain, {"k": key}, at, timedelta(hours=20), event="happened", created="known")
        label = candidates(plain, {"k": key}, at, None, event="happened", created=None)
        assert answer["amount"] in ([float(row["amount_raw"]) for row in amount] or [None])
        assert answer["label"] in ([row["label"] for row in label] or [None])


def test_a_late_correction_does_not_leak_into_the_past(store: FeatureStore) -> None:
    rows = pd.DataFrame(
        {"k": ["a"] * 4, "event_timestamp": [START + timedelta(hours=h) for h in (0, 1, 9, 10)]}
    )
    write(store, [fact("a", 1, amount="10")])
    before = read(store, rows, ("amounts:amount",))
    write(store, [fact("a", 1, amount="10"), fact("a", 1, 10, amount="99")])
    after = read(store, rows, ("amounts:amount",))
    assert before["amount"].to_list() == [None, 10, 10, 10]
    assert after["amount"].to_list() == [None, 10, 10, 99]


def test_a_release_keeps_what_it_held(store: FeatureStore) -> None:
    rows = pd.DataFrame({"k": ["a"], "event_timestamp": [START + timedelta(hours=5)]})
    old = write(store, [fact("a", 1, label=1)])
    write(store, [fact("a", 1, label=2)])
    assert read(store, rows, ("labels:label",))["label"].to_list() == [2]
    store.config.offline_store.snapshot_id = old
    assert read(store, rows, ("labels:label",))["label"].to_list() == [1]


def test_rows_keep_number_order_and_columns(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=7)])
    at = START + timedelta(hours=2)
    rows = pd.DataFrame(
        {
            "_at": [1, 2, 3, 4],
            "k": ["a", "zzz", "a", None],
            "event_timestamp": [at, at, at, at],
            "y": [0.1, 0.2, None, 0.4],
        }
    )
    found = read(store, rows, ("labels:label",))
    assert found.columns == ["_at", "k", "event_timestamp", "y", "label"]
    assert found["label"].to_list() == [7, None, 7, None]
    assert found["y"].to_list() == [0.1, 0.2, None, 0.4]
    assert found.schema["label"] == pl.Int64


def test_types_are_those_declared(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=4, amount="2.25")])
    at = [START + timedelta(hours=2)]
    frame = store.get_historical_features(
        entity_df=pd.DataFrame({"k": ["a"], "event_timestamp": at}),
        features=store.get_feature_service("both"),
    ).to_df()
    assert frame[["amount", "flag", "label"]].to_numpy().tolist() == [[2.25, True, 4]]
    assert list(frame.columns) == ["k", "event_timestamp", "amount", "flag", "label"]
    assert str(frame["event_timestamp"].dtype.tz) == "UTC"


def test_full_names_and_aliases_stand_side_by_side(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=1), fact("b", 1, label=2)])
    store.apply(
        [
            FeatureService(
                name="pair",
                features=[
                    labels.with_name("own"),
                    labels.with_name("other").with_join_key_map({"k": "other_k"}),
                ],
            )
        ]
    )
    rows = pd.DataFrame({"k": ["a"], "other_k": ["b"], "event_timestamp": [START + timedelta(hours=2)]})
    found = read(store, rows, store.get_feature_service("pair"), full_feature_names=True)
    assert found.select("own__label", "other__label").row(0) == (1, 2)


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([START + timedelta(hours=2)], pa.timestamp("s")),
        pa.array([START + timedelta(hours=2)], pa.timestamp("ns", "UTC")),
        pa.array([(START + timedelta(days=1)).date()], pa.date32()),
    ],
)
def test_arrow_goes_in_without_pandas(store: FeatureStore, moments: pa.Array) -> None:
    write(store, [fact("a", 2, label=3)])
    rows = pa.table({"k": ["a"], "event_timestamp": moments})
    job = store.provider.get_historical_features(
        store.config, [labels], ["labels:label"], rows, store.registry, store.project, False
    )
    assert job.to_arrow().column("label").to_pylist() == [3]


def test_moments_below_a_microsecond_do_not_see_the_future(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=3)])
    moments = pd.to_datetime(
        ["2026-01-01T00:59:59.999999999", "2026-01-01T01:00:00.000000001"], format="ISO8601"
    )
    found = read(store, pd.DataFrame({"k": ["a", "a"], "event_timestamp": moments}), ("labels:label",))
    assert found["label"].to_list() == [None, 3]


def test_a_query_on_the_release_gives_entity_rows(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=3)])
    query = "SELECT DISTINCT k, happened AS event_timestamp FROM lake.marts.fact"
    assert read(store, query, ("labels:label",))["label"].to_list() == [3]


def test_a_job_reads_when_asked(store: FeatureStore) -> None:
    write(store, [fact("a", 1, label=1)])
    rows = pd.DataFrame({"k": ["a"], "event_timestamp": [START + timedelta(hours=2)]})
    job = store.get_historical_features(entity_df=rows, features=["labels:label"])
    write(store, [fact("a", 1, label=2)])
    assert job.to_arrow().column("label").to_pylist() == [2]
    assert job.metadata.keys == ["k"]


@pytest.mark.parametrize("rows", [pd.DataFrame({"k": [], "event_timestamp": pd.to_datetime([])})])
def test_no_rows_in_no_rows_out(store: FeatureStore, rows: pd.DataFrame) -> None:
    write(store, [fact("a", 1)])
    found = read(store, rows, ("labels:label", "amounts:amount"))
    assert (len(found), found.columns) == (0, ["k", "event_timestamp", "label", "amount"])


def test_bad_input_is_one_sentence(store: FeatureStore, tmp_path: Path) -> None:
    write(store, [fact("a", 1)])
    at = [START]
    with pytest.raises(ValueError, match="no column k"):
        read(store, pd.DataFrame({"event_timestamp": at}), ("labels:label",))
    with pytest.raises(ValueError, match="already have a column label"):
        read(store, pd.DataFrame({"k": ["a"], "label": [1], "event_timestamp": at}), ("labels:label",))
    with pytest.raises(ValueError, match="make it a datetime column"):
        read(store, pd.DataFrame({"k": ["a"], "event_timestamp": ["2026-01-01"]}), ("labels:label",))
    with pytest.raises(ValueError, match="does not read by a time range"):
        read(store, None, ("labels:label",))
    with pytest.raises(ValueError, match=r"has to read 'schema\.table'"):
        LakeSource(name="x", table="fact", timestamp_field="t")
    config = store.config.model_copy(deep=True)
    config.offline_store.home = str(tmp_path / "nowhere")
    with pytest.raises(NoRelease, match="There is no lake"):
        known.get_table_column_names_and_types(config)
    assert not (tmp_path / "nowhere").exists()


def test_a_source_is_checked_against_the_release(store: FeatureStore) -> None:
    write(store, [fact("a", 1)])
    known.validate(store.config)
    wrong = LakeSource(
        name="wrong", table="marts.fact", timestamp_field="happened", created_timestamp_column="posted"
    )
    with pytest.raises(ValueError, match=r"marts\.fact has no column posted"):
        wrong.validate(store.config)
    assert LakeSource.from_proto(known.to_proto()) == known


def test_feast_materializes_from_it(store: FeatureStore) -> None:
    write(
        store,
        [
            fact("a", 1, label=1),
            fact("a", 3, label=4, amount="7"),
            fact("a", 2, label=9),
            fact("b", 9, label=5),
        ],
    )
    store.materialize(START.replace(tzinfo=UTC), (START + timedelta(hours=5)).replace(tzinfo=UTC))
    found = store.get_online_features(["labels:label", "amounts:amount"], [{"k": "a"}, {"k": "b"}]).to_dict()
    assert found == {"k": ["a", "b"], "label": [4, None], "amount": [7.0, None]}
