"""A registry that a team shares in a database: read as messages, so that what it stores is not run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import dill
import pytest
from feast import FeatureStore, RepoConfig
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView

from features.serving.definitions import stored_code
from features.serving.reading import registry_of
from lake.errors import InputError
from tests.features.serving.test_server import Evil
from tests.features.stores.online_kit import every_type


def test_a_registry_in_a_database_is_read_and_its_code_is_not_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    config = RepoConfig(
        project="shared",
        provider="local",
        registry={"registry_type": "sql", "path": url, "cache_ttl_seconds": 0},
        online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
        entity_key_serialization_version=3,
    )
    with pytest.raises(InputError, match=r"cannot be read .* that the definitions were applied"):
        registry_of(config.registry, "shared").state()
    store = FeatureStore(config=config)
    store.apply(every_type(tmp_path))
    read = registry_of(config.registry, "shared")
    before = read.state()
    assert [view.spec.name for view in read.read().feature_views] == ["everything"]
    assert [service.spec.name for service in read.read().feature_services] == ["all_v1"]
    assert registry_of(config.registry, "another").read().feature_views == []
    assert stored_code(read.read(), set()) == []
    evil = OnDemandFeatureView()
    evil.spec.name = "evil"
    evil.spec.feature_transformation.user_defined_function.body = dill.dumps(Evil(tmp_path / "ran"))
    with closing(sqlite3.connect(tmp_path / "registry.sqlite")) as database:
        database.execute(
            "INSERT INTO on_demand_feature_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto)"
            " VALUES ('evil', 'shared', 9999999999, ?)",
            [evil.SerializeToString()],
        )
        database.commit()
    assert read.state() != before
    assert stored_code(read.read(), set()) == ["on-demand feature view evil"]
    assert not (tmp_path / "ran").exists()
    hidden = registry_of(
        config.registry.model_copy(update={"path": "postgresql+psycopg2://u:secret@127.0.0.1:1/x"}), "s"
    )
    with pytest.raises(InputError, match=r"u:\*\*\*@127\.0\.0\.1:1") as refused:
        hidden.state()
    assert "secret" not in str(refused.value)
