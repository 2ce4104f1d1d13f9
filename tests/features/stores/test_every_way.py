"""Whatever is asked for and however it is taken, it is what the oracle says: lists, services, aliases, zones, formats."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.stores import job as job_module
from features.stores.source import LakeSource
from lake.company import load_company
from lake.connection import Lake
from tests.features.stores.offline_kit import feast_on_lake
from tests.features.stores.oracle import candidates

pytestmark = pytest.mark.filterwarnings("ignore:.* is an experimental feature")

START = datetime(2026, 1, 1)
SCHEMA = {
    "k": pl.String,
    "j": pl.Int64,
    "happened": pl.Datetime("us"),
    "known": pl.Datetime("us", "UTC"),
    "amount_raw": pl.Float64,
    "label": pl.Int64,
}
WITHIN = timedelta(hours=10)

thing = Entity(name="thing", join_keys=["k"], value_type=ValueType.STRING)
place = Entity(name="place", join_keys=["j"], value_type=ValueType.INT64)
late = LakeSource(
    name="late",
    table="marts.fact",
    timestamp_field="happened",
    created_timestamp_column="known",
    field_mapping={"amount_raw": "amount"},
)
punctual = LakeSource(name="punctual", table="marts.fact", timestamp_field="happened")
pushed = LakeSource(
    name="pushed", table="features.pushed", timestamp_field="happened", created_timestamp_column="known"
)
KEYS = [Field(name="k", dtype=String), Field(name="j", dtype=Int64)]
pair = FeatureView(
    name="pair",
    entities=[thing, place],
    ttl=WITHIN,
    source=late,
    schema=[*KEYS, Field(name="amount", dtype=Float64), Field(name="label", dtype=Int64)],
)
single = FeatureView(
    name="single",
    entities=[thing],
    ttl=timedelta(0),
    source=punctual,
    schema=[KEYS[0], Field(name="label", dtype=Int64)],
)
scans = FeatureView(
    name="scans",
    entities=[thing],
    ttl=WITHIN,
    source=pushed,
    schema=[KEYS[0], Field(name="label", dtype=Int64)],
)
ALIAS = pair.with_name("onward").with_join_key_map({"j": "to_j"})
TWICE = "twice"


@on_demand_feature_view(sources=[pair], schema=[Field(name=TWICE, dtype=Float64)], name="doubled")
def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": frame["amount"] * 2})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    services = [
        FeatureService(name="both", features=[pair, single]),
        FeatureService(name="pairs", features=[pair.with_name("here"), ALIAS[["amount", "label"]]]),
        FeatureService(name="doubled_v1", features=[pair[["amount"]], doubled]),
    ]
    objects = [thing, place, late, punctual, pushed, pair, single, scans, doubled, *services]
    return feast_on_lake(tmp_path_factory.mktemp("lake"), objects)


def lake_of(store: FeatureStore) -> Lake:
    return Lake.of(load_company("example", store.config.repo_path / "homes"))


def release(store: FeatureStore, facts: list[dict[str, Any]]) -> None:
    lake = lake_of(store)
    with lake.write() as connection:
        connection.register("facts", pl.DataFrame(facts, SCHEMA).to_arrow())
        connection.execute("CREATE OR REPLACE TABLE lake.marts.fact AS SELECT * FROM facts")
    pin(store)


def pin(store: FeatureStore) -> None:
    company = load_company("example", store.config.repo_path / "homes")
    with closing(sqlite3.connect(company.catalog)) as catalog:
        newest = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()[0]
    store.config.offline_store.snapshot_id = newest


def fact(k: str | None, j: int | None, hour: int | None, known: int | None, number: int) -> dict[str, Any]:
    return {
        "k": k,
        "j": j,
        "happened": None if hour is None else START + timedelta(hours=hour),
        "known": None if known is None else (START + timedelta(hours=known)).replace(tzinfo=UTC),
        "amount_raw": number / 4,
        "label": number,
    }


def as_arrow(job: Any, folder: Path) -> pa.Table:
    return job.to_arrow()


def as_frame(job: Any, folder: Path) -> pa.Table:
    return pa.Table.from_pandas(job.to_df())


def as_files(job: Any, folder: Path) -> pa.Table:
    paths = job.to_remote_storage()
    return pa.concat_tables(pa.parquet.read_table(path) for path in paths)


def as_saved(job: Any, folder: Path) -> pa.Table:
    path = folder / f"saved-{len(list(folder.iterdir()))}.parquet"
    job.persist(SavedDatasetFileStorage(path=str(path)))
    return pa.parquet.read_table(path)


hours = st.one_of(st.integers(0, 40), st.none())
facts_of = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]), hours, hours),
    min_size=1,
    max_size=40,
)
rows_of = st.lists(
    st.tuples(st.sampled_from(["a", "b", "new", None]), st.sampled_from([1, 2]), st.integers(-5, 60)),
    min_size=1,
    max_size=20,
)
wanted_of = st.sampled_from(
    [
        ["pair:amount"],
        ["pair:label", "pair:amount"],
        ["single:label"],
        ["pair:amount", "single:label"],
        "both",
        "pairs",
        "doubled_v1",
    ]
)
ways = st.sampled_from([as_arrow, as_frame, as_files, as_saved])
zones = st.sampled_from([None, "UTC", "America/St_Johns"])


@settings(
    max_examples=14,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(facts_of, rows_of, wanted_of, ways, zones)
def test_every_way_agrees_with_the_oracle(
    store: FeatureStore,
    tmp_path_factory: pytest.TempPathFactory,
    facts: list[tuple[Any, ...]],
    rows: list[tuple[Any, ...]],
    wanted: list[str] | str,
    way: Callable[..., pa.Table],
    zone: str | None,
) -> None:
    made = [fact(*values, number) for number, values in enumerate(facts)]
    release(store, made)
    moments = pd.Series([START + timedelta(hours=hour) for *_, hour in rows])
    if zone:
        moments = moments.dt.tz_localize("UTC").dt.tz_convert(zone)
    entities = pd.DataFrame(
        {
            "note": range(len(rows)),
            "k": pd.Series([k for k, *_ in rows], dtype="string"),
            "j": [j for _, j, _ in rows],
            "to_j": [3 - j for _, j, _ in rows],
            "event_timestamp": moments,
        }
    )
    is_service = isinstance(wanted, str)
    features = store.get_feature_service(wanted) if is_service else wanted
    job = store.get_historical_features(entity_df=entities, features=features, full_feature_names=True)
    found = pl.DataFrame(way(job, tmp_path_factory.mktemp("out"))).to_dicts()

    assert [row["note"] for row in found] == list(range(len(rows)))
    plain = [row | {"known": row["known"] and row["known"].replace(tzinfo=None)} for row in made]
    for (k, j, hour), answer in zip(rows, found, strict=True):
        at = START + timedelta(hours=hour)
        lookups = {
            "pair": ({"k": k, "j": j}, WITHIN, "known"),
            "here": ({"k": k, "j": j}, WITHIN, "known"),
            "onward": ({"k": k, "j": 3 - j}, WITHIN, "known"),
            "single": ({"k": k}, None, None),
        }
        for name, value in answer.items():
            view, _, feature = name.partition("__")
            if view == "doubled":
                amount = answer["pair__amount"]
                assert value == (None if amount is None else 2 * amount)
            elif view in lookups:
                keys, ttl, created = lookups[view]
                column = {"amount": "amount_raw"}.get(feature, feature)
                known = candidates(plain, keys, at, ttl, event="happened", created=created)
                assert value in ([row[column] for row in known] or [None]), (name, answer)


def test_large_results_go_out_in_pieces(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.stores.lake.PIECE_ROWS", 2048)
    monkeypatch.setattr(job_module, "FILE_ROWS", 4096)
    release(store, [fact("a", 1, 1, 1, 4)])
    entities = pd.DataFrame(
        {"k": "a", "j": 1, "event_timestamp": START + timedelta(hours=2), "n": range(10_000)}
    )
    job = store.get_historical_features(entity_df=entities, features=store.get_feature_service("doubled_v1"))
    paths = job.to_remote_storage()
    tables = [pa.parquet.read_table(path) for path in paths]
    assert [len(table) for table in tables] == [4096, 4096, 1808]
    assert pa.concat_tables(tables).equals(job.to_arrow())
    assert not list(Path(paths[0]).parent.parent.glob("*.making"))
    assert job.supports_remote_storage_export()


def test_a_saved_dataset_is_read_back(store: FeatureStore, tmp_path: Path) -> None:
    release(store, [fact("a", 1, 1, 1, 4), fact("b", 2, 3, 3, 5)])
    entities = pd.DataFrame(
        {"k": ["b", "a", "a"], "j": [2, 1, 7], "event_timestamp": [START + timedelta(hours=4)] * 3}
    )
    job = store.get_historical_features(entity_df=entities, features=["pair:amount", "pair:label"])
    where = SavedDatasetFileStorage(path=str(tmp_path / "set" / "one.parquet"))
    store.create_saved_dataset(job, "one", where)
    again = store.get_saved_dataset("one").to_df()
    assert again[["k", "j", "label"]].astype(object).where(again.notna(), None).to_numpy().tolist() == [
        ["b", 2, 5],
        ["a", 1, 4],
        ["a", 7, None],
    ]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(where)
    job.persist(where, allow_overwrite=True)
    with pytest.raises(ValueError, match="saved as a Parquet file"):
        job.persist(SavedDatasetFileStorage(path="s3://bucket/set"))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["one.parquet"]


def test_pushed_rows_are_history_and_twice_is_once(store: FeatureStore) -> None:
    at = START + timedelta(hours=3)
    rows = pa.table({"k": ["a"], "label": [7], "happened": [at], "known": [at]})
    write = store.provider.ingest_df_to_offline_store
    for _ in range(2):
        write(scans, rows)
    pin(store)
    entities = pd.DataFrame({"k": ["a", "a"], "event_timestamp": [at - timedelta(hours=1), at]})
    job = store.get_historical_features(entity_df=entities, features=["scans:label"])
    assert pl.DataFrame(job.to_arrow())["label"].to_list() == [None, 7]
    store.write_to_offline_store("scans", rows.to_pandas())
    with lake_of(store).read() as connection:
        assert connection.execute("SELECT count(*) FROM lake.features.pushed").fetchone() == (3,)


def test_what_cannot_be_pushed_says_why(store: FeatureStore) -> None:
    release(store, [fact("a", 1, 1, 1, 4)])
    write = store.provider.ingest_df_to_offline_store
    with pytest.raises(ValueError, match=r"marts\.fact is built by dbt"):
        write(pair, pa.table({"k": ["a"]}))
    with pytest.raises(ValueError, match="lack happened, known, label"):
        write(scans, pa.table({"k": ["a"]}))
    rows = pa.table({"k": ["a"], "label": [7], "happened": [START], "known": [START], "extra": [1]})
    with pytest.raises(ValueError, match="no column extra"):
        write(scans, rows)
