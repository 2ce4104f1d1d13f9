"""The registry of a team, in a real PostgreSQL: planned, applied once, never by a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from feast import FeatureService

from features import definitions
from features import registry as registry_module
from features.registry import apply, fingerprint, open_store, plan, require_applied
from features.shared_registry import applied_fingerprint
from lake.company import Company, load_company
from lake.errors import InputError, StocklakeError
from lake.secrets import Secret


@pytest.fixture
def team(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.setenv("REGISTRY_URL", postgres_url)
    return _company(tmp_path / "one", "${env:REGISTRY_URL}")


def _company(home: Path, registry: str) -> Company:
    company = load_company("example", home)
    settings = company.settings.model_copy(update={"feature_registry": Secret(registry)})
    company = replace(company, settings=settings)
    company.prepare()
    return company


def test_a_team_plans_applies_and_reads_one_registry(
    team: Company, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="stocklake features apply"):
        require_applied(team)
    assert {change.action for change in plan(team)} == {"create"}
    assert apply(team)
    assert not apply(team)
    require_applied(team)
    assert plan(team) == []
    colleague = _company(tmp_path / "two", "${env:REGISTRY_URL}")
    assert not apply(colleague)
    names = {view.name for view in open_store(colleague).list_feature_views()}
    assert names == {view.name for view in definitions.VIEWS}
    written = (team.feast / "feature_store.yaml").read_text(encoding="utf-8")
    assert postgres_url not in written
    assert yaml.safe_load(written)["registry"]["path"] == "${REGISTRY_URL}"

    v3 = FeatureService(name="demand_forecast_v3", features=[definitions.VIEWS[0]], owner="test")
    with monkeypatch.context() as changed:
        changed.setattr(definitions, "SERVICES", [*definitions.SERVICES, v3])
        changed.setattr(definitions, "OBJECTS", [*definitions.OBJECTS, v3])
        changed.setattr(registry_module, "fingerprint", lambda: "newer")
        assert [(c.action, c.kind, c.name) for c in plan(team)] == [
            ("create", "feature service", "demand_forecast_v3")
        ]
        with pytest.raises(InputError, match="other definitions"):
            require_applied(team)
        assert apply(team)
        assert "demand_forecast_v3" in {s.name for s in open_store(colleague).list_feature_services()}
    assert applied_fingerprint(registry_module.registry_url(team)) == "newer"
    assert [(c.action, c.name) for c in plan(team)] == [("delete", "demand_forecast_v3")]
    assert apply(team) and applied_fingerprint(registry_module.registry_url(team)) == fingerprint()


def test_a_registry_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    company = _company(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StocklakeError, match="could not be reached"):
        require_applied(company)


def test_a_plan_of_a_file_registry_says_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company = load_company("example", tmp_path)
    company.prepare()
    assert len(plan(company)) == len(definitions.OBJECTS)
    apply(company)
    assert plan(company) == []
    service = definitions.SERVICES[0]
    narrower = FeatureService(name=service.name, features=[definitions.VIEWS[0]], owner="test")
    monkeypatch.setattr(definitions, "SERVICES", [narrower, *definitions.SERVICES[1:]])
    [change] = plan(company)
    assert (change.action, change.name) == ("update", service.name)
    assert "owner" in change.fields
