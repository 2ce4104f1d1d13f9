"""Whether what is served can be trusted: online against history, today against training, and how old it is.

Skew: for sampled entities the online value equals the historical value at the release's moment, unless an event pushed
since is newer. Drift: how far a feature's distribution has moved from that of its service's newest training set (population
stability index over ten quantiles of training, nulls a bin of their own; Siddiqi, Credit Risk Scorecards, 2006: from .1 on
it is watched, from .25 on it has shifted). Freshness: the share of entities whose value is beyond the view's ttl.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from features.online import newest_moment
from features.registry import fingerprint, open_store
from features.training import historical
from lake.company import Company
from lake.connection import Lake, table_exists
from lake.releases import Release

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

SAMPLE = 300
"""Entities of each view that are compared."""
TRAINING_ROWS = 5_000
BINS = 10
WATCHED, SHIFTED = 0.1, 0.25
STALE_SHARE = 0.05
TABLE = """
CREATE TABLE IF NOT EXISTS lake.meta.feature_check (
    release_id VARCHAR, snapshot_id BIGINT, moment TIMESTAMP, kind VARCHAR, feature_view VARCHAR, feature VARCHAR,
    outcome VARCHAR, value DOUBLE, threshold DOUBLE, detail VARCHAR
)
"""


@dataclass(frozen=True)
class FeatureCheck:
    """One finding; `value` is a share of entities (skew, freshness) or a stability index (drift)."""

    kind: Literal["skew", "drift", "freshness"]
    feature_view: str
    feature: str
    """Empty where the view as a whole is judged."""
    outcome: Literal["passed", "warned", "failed"]
    value: float
    threshold: float
    detail: str


def check_features(company: Company, release: Release, sample: int = SAMPLE) -> list[FeatureCheck]:
    """Compare the online store with a release that was materialised, and note what was found in `meta.feature_check`.

    What is not materialised yet fails as skew. Checking the same release again replaces what was noted.
    """
    store = open_store(company, release)
    moment = newest_moment(company, release)
    found: list[FeatureCheck] = []
    for view in store.list_feature_views():
        keys = _sample(store, view, moment, sample)
        if not keys.is_empty():
            found += _skew_and_freshness(store, view, keys, moment)
    found += _drift(company, release, moment)
    rows = [(release.release_id, release.snapshot_id, moment, *astuple(one)) for one in found]
    with Lake.of(company).write() as connection:
        connection.execute(TABLE)
        connection.execute("DELETE FROM lake.meta.feature_check WHERE release_id = ?", [release.release_id])
        if rows:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO lake.meta.feature_check VALUES ({places})", rows)
    return found


def stability_index(expected: pl.Series, actual: pl.Series) -> float:
    """Return the population stability index of `actual` against `expected`, the sum of (a - e) ln(a / e) over bins.

    Bins are the quantiles of `expected` for numbers, its values for texts and truth; nulls have a bin of their own. A share
    of 0 counts as half a row.

    >>> same = pl.Series([1.0, 2.0, 3.0, 4.0] * 25)
    >>> stability_index(same, same)
    0.0
    >>> round(stability_index(pl.Series([0.0, 1.0] * 50), pl.Series([0.0] * 20 + [1.0] * 80)), 3)
    0.416
    """
    if expected.is_empty() or actual.is_empty():
        return 0.0
    before, now = _bins(expected, actual)
    shares = [
        np.maximum(counts, 0.5) / total for counts, total in ((before, len(expected)), (now, len(actual)))
    ]
    return round(float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()), 6)


def _bins(expected: pl.Series, actual: pl.Series) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    nulls = [float(series.null_count()) for series in (expected, actual)]
    if expected.dtype.is_numeric() and actual.dtype.is_numeric():
        values = [
            series.drop_nulls().cast(pl.Float64).drop_nans().to_numpy() for series in (expected, actual)
        ]
        edges = (
            np.unique(np.quantile(values[0], np.linspace(0, 1, BINS + 1)[1:-1]))
            if len(values[0])
            else np.array([0.0])
        )
        places = [np.searchsorted(edges, one, side="left") for one in values]
        counts = [np.bincount(place, minlength=len(edges) + 1).astype(np.float64) for place in places]
    else:
        known = sorted(set(expected.drop_nulls().cast(pl.String)) | set(actual.drop_nulls().cast(pl.String)))
        counts = []
        for series in (expected, actual):
            number = dict(series.drop_nulls().cast(pl.String).value_counts().iter_rows())
            counts.append(np.array([float(number.get(value, 0)) for value in known]))
    before, now = (np.append(one, null) for one, null in zip(counts, nulls, strict=True))
    there = (before > 0) | (now > 0)
    return before[there], now[there]


def _sample(store: "FeatureStore", view: "FeatureView", moment: datetime, sample: int) -> pl.DataFrame:
    """Return keys of entities that history knows, spread over all of them."""
    source = view.batch_source
    column = {feature: name for name, feature in source.field_mapping.items()}
    job = store.provider.offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=source,
        join_key_columns=[column.get(key.name, key.name) for key in view.entity_columns],
        feature_name_columns=[],
        timestamp_field=column.get(source.timestamp_field, source.timestamp_field),
        created_timestamp_column=column.get(source.created_timestamp_column, source.created_timestamp_column),
        start_date=datetime.min,
        end_date=moment,
    )
    rows = pl.DataFrame(job.to_arrow())
    keys = rows.select(pl.col(column.get(key.name, key.name)).alias(key.name) for key in view.entity_columns)
    keys = keys.drop_nulls().unique().sort(keys.columns)
    return keys.gather_every(max(1, len(keys) // sample)).head(sample)


def _skew_and_freshness(
    store: "FeatureStore", view: "FeatureView", keys: pl.DataFrame, moment: datetime
) -> Iterator[FeatureCheck]:
    from feast import FeatureService

    from features.stores.online_reader import OnlineReader

    names = [feature.name for feature in view.features]
    service = FeatureService(name=f"check_{view.name}", features=[view])
    reader = OnlineReader(store.config, store.provider.online_store, {view.name: view}, service, {})
    answers = reader.ask({name: keys[name].to_arrow() for name in reader.entity_columns})
    entity_df = keys.with_columns(event_timestamp=pl.lit(moment)).to_pandas()
    job = store.get_historical_features(
        entity_df=entity_df, features=[f"{view.name}:{name}" for name in names]
    )
    history = pl.DataFrame(job.to_arrow())
    is_newer = np.array([at is not None and at > moment for at in answers[0].moments])
    for answer in answers:
        online = pl.Series(answer.name, pl.from_arrow(answer.to_arrow()))
        differs = ~_equal(online, history[answer.name]) & ~is_newer
        share = float(differs.mean())
        first = int(np.argmax(differs))
        detail = f"{int((~is_newer).sum())} entities compared"
        if share:
            key = ", ".join(f"{name} {value}" for name, value in keys.row(first, named=True).items())
            detail = (
                f"{int(differs.sum())} of {len(keys)} entities differ, first {key}: online {online[first]!r}, history "
                f"{history[answer.name][first]!r}; write the newest values again with the asset features/online_store"
            )
        yield FeatureCheck(
            "skew", view.name, answer.name, "failed" if share else "passed", share, 0.0, detail
        )
    yield _freshness(view, answers[0].moments, moment)


def _freshness(view: "FeatureView", moments: Sequence[datetime | None], moment: datetime) -> FeatureCheck:
    there = [at for at in moments if at is not None]
    stale = [at for at in there if view.ttl and at < moment - view.ttl]
    share = (len(stale) + len(moments) - len(there)) / len(moments)
    detail = (
        f"newest {max(there):%Y-%m-%d %H:%M}, oldest {min(there):%Y-%m-%d %H:%M} UTC"
        if there
        else "nothing is online"
    )
    if stale:
        detail += f"; {len(stale)} of {len(moments)} entities are older than the ttl of {view.ttl.days} days and read as null"
    outcome: Literal["passed", "warned"] = "warned" if share > STALE_SHARE else "passed"
    return FeatureCheck("freshness", view.name, "", outcome, round(share, 6), STALE_SHARE, detail)


def _drift(company: Company, release: Release, moment: datetime) -> Iterator[FeatureCheck]:
    """Compare the features of each service's newest training set with the same entities' of today.

    A set that other definitions made is passed over: its snapshot may lack what they read now.
    """
    with Lake.of(company).read() as connection:
        if not table_exists(connection, "meta", "training_set"):
            return
        newest = connection.execute(
            """
            SELECT training_set_id, snapshot_id, service FROM lake.meta.training_set WHERE definitions = ?
            QUALIFY row_number() OVER (PARTITION BY service ORDER BY snapshot_id DESC, training_set_id) = 1
            ORDER BY service
            """,
            [fingerprint()],
        ).fetchall()
    for training_set_id, snapshot_id, service in newest:
        if (company.feast / "training_sets" / f"{training_set_id}.parquet").exists():
            yield from _drift_of(company, release, moment, training_set_id, snapshot_id, service)


def _drift_of(
    company: Company, release: Release, moment: datetime, training_set_id: str, snapshot_id: int, service: str
) -> Iterator[FeatureCheck]:
    rows = pl.read_parquet(company.feast / "training_sets" / f"{training_set_id}.parquet")
    rows = rows.gather_every(max(1, len(rows) // TRAINING_ROWS))
    before = historical(company, replace(release, snapshot_id=snapshot_id), rows, service)
    same = rows.unique(subset=[name for name in rows.columns if name.endswith("_id")], maintain_order=True)
    now = historical(company, release, same.with_columns(event_timestamp=pl.lit(moment)), service)
    for name in before.columns[len(rows.columns) :]:
        value = stability_index(before[name], now[name])
        outcome: Literal["passed", "warned"] = "warned" if value >= SHIFTED else "passed"
        words = "has shifted" if value >= SHIFTED else "to be watched" if value >= WATCHED else "as it was"
        detail = (
            f"{words}: {len(now):,} entities against training set {training_set_id} of snapshot {snapshot_id}"
        )
        yield FeatureCheck("drift", service, name, outcome, value, SHIFTED, detail)


def _equal(one: pl.Series, other: pl.Series) -> npt.NDArray[np.bool_]:
    """Say which values are equal: both null, or equal to nine significant digits."""
    if one.dtype.is_float() or other.dtype.is_float():
        pair = [series.cast(pl.Float64).fill_null(float("nan")).to_numpy() for series in (one, other)]
        equal: npt.NDArray[np.bool_] = np.isclose(pair[0], pair[1], rtol=1e-9, atol=0, equal_nan=True)
        return equal
    return one.eq_missing(other.cast(one.dtype)).to_numpy()


def summary(checks: Sequence[FeatureCheck]) -> Mapping[str, tuple[int, int, str]]:
    """Return for each kind how many were looked at, how many did not pass, and the first that did not, in words."""
    found = {}
    for kind in ("skew", "drift", "freshness"):
        some = [one for one in checks if one.kind == kind]
        bad = [one for one in some if one.outcome != "passed"]
        words = f"{bad[0].feature_view} {bad[0].feature}".strip() + f": {bad[0].detail}" if bad else ""
        found[kind] = (len(some), len(bad), words)
    return found
