"""The feature server over real HTTP: Feast's answers for those who may, and attacks that come to nothing."""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import dill
import httpx
import jwt
import pyarrow as pa
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from feast import FeatureStore
from feast.feature_server import get_app
from feast.protos.feast.core.Registry_pb2 import Registry

from features.registry import apply, open_store
from features.serving.access import Denied, Keys, RateLimit
from features.serving.app import FeatureServer, make_app
from features.stores.online_format import batch_of_table
from lake.company import Company, CompanySettings, load_company
from lake.errors import InputError
from lake.sources.webhooks.serving import Impatient

DESK, PLANNER, NOBODY = (f"{name}-0123456789abcdef" for name in ("desk", "planner", "nobody"))
ISSUER, AUDIENCE = "https://login.example", "stocklake"
ASKED = {"feature_service": "replenishment_v1", "entities": {}}
OTHER = "demand_forecast_v1"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, key: rsa.RSAPrivateKey) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("serving")
    company = load_company("example", home=folder)
    company.prepare()
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "one", "alg": "RS256"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    serving = {
        "roles": {"planner": ["replenishment_v1", "gone_v1"], "watcher": ["metrics"], "idle": []},
        "tokens": [
            {"name": "the desk", "token": "${env:SERVING_DESK}", "roles": ["planner", "watcher"]},
            {"name": "idle", "token": "${env:SERVING_NOBODY}", "roles": ["idle"]},
        ],
        "oidc": {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks": str(folder / "jwks.json"),
            "roles_claim": "realm.roles",
        },
        "request_kb": 64,
        "entities": 100,
        "requests_per_second": 500,
    }
    settings = CompanySettings.model_validate(
        company.settings.model_dump(exclude={"serving"}) | {"serving": serving}
    )
    company = replace(company, settings=settings)
    apply(company)
    fill(open_store(company))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVING_DESK", DESK)
        patch.setenv("SERVING_NOBODY", NOBODY)
        yield company


def fill(store: FeatureStore) -> None:
    """Write two items of every view; numbers, and one null."""
    moment = pa.array([datetime(2026, 3, 1), datetime(2026, 3, 2)], pa.timestamp("us"))
    for view in store.list_feature_views():
        source = view.batch_source
        columns = {
            source.timestamp_field: moment,
            source.created_timestamp_column: moment,
            **{name: pa.array(["X1", "X2"]) for name in view.join_keys},
            **{field.name: pa.array([1, None]) for field in view.features},
        }
        for field in view.features:
            kind = field.dtype.to_value_type().name
            as_text = {"STRING": pa.string(), "BOOL": pa.bool_()}
            columns[field.name] = columns[field.name].cast(as_text.get(kind, pa.int64()))
        store.provider.online_store.put(store.config, view, batch_of_table(view, pa.table(columns)))


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture(scope="module")
def client(company: Company) -> Iterator[httpx.Client]:
    with served(make_app(company)) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def asked(company: Company) -> dict[str, Any]:
    """A request for two items that are there and one that is not."""
    store = open_store(company)
    names = {
        name
        for projection in store.get_feature_service("replenishment_v1").feature_view_projections
        for view in store.list_feature_views()
        if view.name == projection.name
        for name in view.join_keys
    }
    return {
        "feature_service": "replenishment_v1",
        "entities": {name: ["X1", "X2", "none"] for name in sorted(names)},
    }


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refusals(company: Company) -> list[dict[str, Any]]:
    path = company.feast / "serving-audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def signed(key: Any, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "realm": {"roles": ["planner"]},
    } | changed
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key,
        algorithm=algorithm,
        headers={"kid": "one"} | (headers or {}),
    )


def test_the_answer_is_feasts(client: httpx.Client, company: Company, asked: dict[str, Any]) -> None:
    with TestClient(get_app(open_store(company))) as stock:
        for full in (False, True):
            question = asked | {"full_feature_names": full}
            ours = client.post("/get-online-features", json=question, headers=bearer(DESK))
            assert ours.status_code == 200, ours.text
            answer, feasts = ours.json(), stock.post("/get-online-features", json=question).json()
            mine = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
            theirs = dict(zip(feasts["metadata"]["feature_names"], feasts["results"], strict=True))
            assert mine.keys() == theirs.keys()
            stored = [name for name in mine if "days_to_" not in name and "days_of_cover" not in name]
            assert {name: mine[name]["values"] for name in mine} == {
                name: theirs[name]["values"] for name in theirs
            }
            for name in stored:
                if name not in asked["entities"]:
                    assert mine[name]["statuses"][0] == "PRESENT"
                    assert mine[name]["statuses"][2] == "NOT_FOUND"
                    assert mine[name]["event_timestamps"] == theirs[name]["event_timestamps"]


def test_who_may_not_is_refused(
    client: httpx.Client, company: Company, asked: dict[str, Any], key: rsa.RSAPrivateKey
) -> None:
    def post(headers: dict[str, str], **changed: Any) -> httpx.Response:
        return client.post("/get-online-features", json=asked | changed, headers=headers)

    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = base64.urlsafe_b64encode(b"{}").rstrip(b"=").decode()
    nobody = {
        "no token": {},
        "no scheme": {"Authorization": DESK},
        "another scheme": {"Authorization": f"Basic {DESK}"},
        "unknown": bearer(PLANNER),
        "cut": bearer(DESK[:-1]),
        "alg none": bearer(signed(None, "none")),
        "alg none, by hand": bearer(f"{public}.{public}."),
        "HS256 with the public key": bearer(signed(b"0" * 64, "HS256")),
        "another key": bearer(signed(other)),
        "a key of nobody": bearer(signed(key, headers={"kid": "two"})),
        "a key in the token": bearer(
            signed(other, headers={"jwk": {"kty": "RSA"}, "jku": "http://evil.example"})
        ),
        "expired": bearer(signed(key, exp=datetime.now(UTC) - timedelta(hours=1))),
        "without end": bearer(signed(key, exp=None)),
        "for others": bearer(signed(key, aud="another")),
        "of others": bearer(signed(key, iss="https://evil.example")),
        "not yet": bearer(signed(key, nbf=datetime.now(UTC) + timedelta(hours=1))),
    }
    for what, headers in nobody.items():
        answer = post(headers)
        assert (answer.status_code, answer.json()) == (401, {"detail": "not accepted"}), what
    assert post(bearer(signed(key))).status_code == 200
    forbidden = {
        "no role": (bearer(NOBODY), {}),
        "a role that is not defined": (bearer(signed(key, realm={"roles": ["admin", 7, {"a": 1}]})), {}),
        "roles that are no list": (bearer(signed(key, realm="planner")), {}),
        "another service": (bearer(DESK), {"feature_service": OTHER}),
        "a service that is gone": (bearer(DESK), {"feature_service": "gone_v1"}),
        "SQL": (bearer(DESK), {"feature_service": "replenishment_v1'; DROP TABLE x; --"}),
        "a path": (bearer(DESK), {"feature_service": "../../etc/passwd"}),
        "the name of metrics": (bearer(NOBODY), {"feature_service": "metrics"}),
    }
    for what, (headers, changed) in forbidden.items():
        answer = post(headers, **changed)
        assert (answer.status_code, answer.json()) == (403, {"detail": "not allowed"}), what
    logged = refusals(company)
    assert len([one for one in logged if one["status"] == 401]) >= len(nobody)
    assert len([one for one in logged if one["status"] == 403]) >= len(forbidden)
    assert {one["caller"] for one in logged if one["status"] == 403} >= {"the desk", "idle", "ada"}
    assert not any(DESK in json.dumps(one) for one in logged)


def test_what_is_malformed_or_too_much_is_refused(client: httpx.Client, asked: dict[str, Any]) -> None:
    def post(body: Any, **headers: str) -> int:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(
            "/get-online-features", content=content, headers=bearer(DESK) | headers
        ).status_code

    names = list(asked["entities"])
    entities = asked["entities"]
    assert post(b"") == post(b"{") == post(b"[]") == post(b"\xff\xfe") == 422
    assert post({"features": ["inventory:on_hand_units"], "entities": entities}) == 422
    assert post(asked | {"query": "select 1"}) == 422
    assert post(asked | {"entities": {}}) == post(asked | {"entities": entities | {"x": ["1"]}}) == 422
    assert post(asked | {"entities": entities | {names[0]: ["X1"]}}) == 422
    assert post(asked | {"entities": {name: [] for name in names}}) == 422
    assert post(asked | {"entities": entities | {names[0]: [1.5, "a", {}]}}) == 422
    assert post(asked | {"entities": entities | {names[0]: [10**30, 1, 2]}}) == 422
    assert post(asked | {"entities": entities | {names[0]: [1, "a", None]}}) in (200, 422)
    assert (
        post(asked | {"entities": {name: ["'; DROP TABLE x; --", "../../x", "\u0000"] for name in names}})
        == 200
    )
    assert post(asked | {"entities": {name: ["X1"] * 101 for name in names}}) == 413
    assert post(b'{"a": "' + b"x" * 70_000 + b'"}') == 413
    with closing(
        client.stream(
            "POST", "/get-online-features", content=iter([b"x" * 70_000]), headers=bearer(DESK)
        ).__enter__()
    ) as answer:
        assert answer.status_code == 413
    assert post(b"[" * 20_000) == 422
    assert post(asked) == 200


def test_there_is_no_other_way_in(client: httpx.Client, company: Company) -> None:
    for path in (
        "/push",
        "/write-to-online-store",
        "/materialize",
        "/materialize-incremental",
        "/get-online-documents",
        "/chat",
        "/../registry.db",
        "/static/..%2f..%2fetc/passwd",
    ):
        assert client.post(path, json={}, headers=bearer(DESK)).status_code == 404, path
        assert client.get(path, headers=bearer(DESK)).status_code == 404, path
    assert client.get("/get-online-features").status_code == 405
    assert any(one["path"] == "/materialize" and one["status"] == 404 for one in refusals(company))
    assert client.get("/health").json() == {"status": "up"}
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer(NOBODY)).status_code == 403
    shown = client.get("/metrics", headers=bearer(DESK)).text
    assert 'stocklake_feature_requests_total{service="replenishment_v1",status="200"}' in shown
    assert 'stocklake_feature_refusals_total{status="401"}' in shown
    page = client.get("/docs").text
    assert "POST /get-online-features" in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert "<script" not in page
    assert "FeaturesAsked" in client.get("/openapi.json").text


def test_it_does_not_start_where_it_would_not_be_safe(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("INTRA_COMMUNICATION_BASE64", "eA==")
        with pytest.raises(InputError, match="INTRA_COMMUNICATION_BASE64 is set"):
            make_app(company)
    open_to_none = replace(company, settings=company.settings.model_copy(deep=True))
    open_to_none.settings.serving.tokens.clear()
    open_to_none.settings.serving.oidc = None
    with pytest.raises(InputError, match="nobody may ask"):
        make_app(open_to_none)
    with monkeypatch.context() as patch:
        patch.setenv("SERVING_NOBODY", "short")
        with pytest.raises(InputError, match="fewer than 20 characters"):
            make_app(company)
    for wrong in ({"jwks": "http://login.example/keys"}, {"jwks": "https://x", "algorithms": ["none"]}):
        with pytest.raises(ValueError, match=r"http://|extra"):
            CompanySettings.model_validate(
                {
                    "title": "T",
                    "currency": "EUR",
                    "serving": {"oidc": {"issuer": "i", "audience": "a"} | wrong},
                }
            )


class Evil:
    """What dill runs when it reads it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


def test_code_that_is_stored_in_the_registry_is_never_run(company: Company, tmp_path: Path) -> None:
    """The control shows that Feast itself runs it."""
    path = company.feast / "registry.db"
    before = path.read_bytes()
    server = FeatureServer(company)
    registry = Registry.FromString(before)
    view = registry.on_demand_feature_views.add()
    view.spec.name, view.spec.project, view.spec.mode = "evil", "stocklake", "pandas"
    function = view.spec.feature_transformation.user_defined_function
    function.name, function.body_text, function.mode = "evil", "pass", "pandas"
    function.body = dill.dumps(Evil(tmp_path / "ran"))
    try:
        path.write_bytes(registry.SerializeToString())
        with pytest.raises(InputError, match=r"holds stored code .*on-demand feature view evil"):
            make_app(company)
        with pytest.raises(InputError, match="holds stored code"):
            server.registry.refresh()
        assert "replenishment_v1" in server.registry.definitions.services
        other = Registry.FromString(before)
        other.feature_views[0].spec.feature_transformation.user_defined_function.body = dill.dumps(
            Evil(tmp_path / "ran")
        )
        path.write_bytes(other.SerializeToString())
        with pytest.raises(InputError, match="holds stored code"):
            make_app(company)
        path.write_bytes(b"\xff" * 100)
        with pytest.raises(InputError, match="is damaged"):
            make_app(company)
        assert not (tmp_path / "ran").exists()
        path.write_bytes(registry.SerializeToString())
        with suppress(Exception):  # it ran, whatever comes of its result
            open_store(company).list_on_demand_feature_views()
        assert (tmp_path / "ran").exists()
    finally:
        path.write_bytes(before)
    assert server.registry.refresh()
    server.audit.close()
    assert any("stored code" in one["reason"] for one in refusals(company))


class Provider(BaseHTTPRequestHandler):
    """An identity provider that shows its keys, or is out of order."""

    shown: ClassVar[list[dict[str, Any]]] = []
    status, asked = 200, 0

    def do_GET(self) -> None:
        Provider.asked += 1
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps({"keys": self.shown}).encode())

    def log_message(self, *_: Any) -> None:
        pass


def test_a_providers_keys_are_believed_as_long_as_it_shows_them_and_strangers_fetch_none(
    key: rsa.RSAPrivateKey,
) -> None:
    others = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    first, second = (
        jwt.algorithms.RSAAlgorithm.to_jwk(one.public_key(), as_dict=True) | {"kid": kid}
        for one, kid in ((key, "one"), (others, "two"))
    )
    now = [0.0]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        keys = Keys(f"http://127.0.0.1:{server.server_address[1]}/keys", clock=lambda: now[0])
        of_one, of_two = signed(key), signed(others, headers={"kid": "two"})

        def later(seconds: float, shown: list[dict[str, Any]], status: int = 200) -> None:
            now[0] += seconds
            Provider.shown, Provider.status = shown, status
            with suppress(InputError):
                keys.refresh()

        later(0, [first])
        assert keys.of(of_one)
        for _ in range(
            20
        ):  # whoever makes up names of keys waits for nothing, and the provider is left alone
            with pytest.raises(KeyError, match="no key 'two'"):
                keys.of(of_two)
        later(5, [first, second])
        assert Provider.asked == 1
        later(30, [first, second])
        assert (Provider.asked, bool(keys.of(of_two))) == (2, True)
        later(300, [second], status=500)
        assert keys.of(of_one), "the provider is out of order: what stood is believed"
        later(30, [second])
        with pytest.raises(KeyError):  # it was taken back
            keys.of(of_one)
        later(3_000, [second], status=500)
        assert keys.of(of_two)
        later(3_601, [second], status=500)
        with pytest.raises(KeyError):
            keys.of(of_two)
    finally:
        server.shutdown()
        server.server_close()


def test_the_rate_is_limited_for_each_caller() -> None:
    now = [0.0]
    limit = RateLimit(2.0, clock=lambda: now[0])
    for _ in range(4):
        limit.take("ada")
    with pytest.raises(Denied) as refused:
        limit.take("ada")
    assert refused.value.status == 429
    limit.take("bob")
    now[0] = 0.6
    limit.take("ada")
    with pytest.raises(Denied):
        limit.take("ada")
