"""Who asks, and that nobody else learns how: not the log, not a message, not a position."""

import logging
import time

import pytest

from lake.sources.apis import auth as auth_module
from tests.lake.apis.conftest import contract, fetched, records
from tests.lake.loading_kit import company, load

NEXT = {"paging": {"kind": "next_url", "path": "next"}}
SECRET = "s3cret"
KINDS = {
    "header": ({"kind": "api_key", "header": "X-Key", "secret": "${env:KEY}"}, lambda one: one.headers.get("x-key") == SECRET),
    "query": ({"kind": "api_key", "parameter": "key", "secret": "${env:KEY}"}, lambda one: one.query.get("key") == SECRET),
    "basic": ({"kind": "basic", "user": "me", "password": "${env:KEY}"}, lambda one: one.headers.get("authorization") == "Basic bWU6czNjcmV0"),
    "bearer": ({"kind": "bearer", "token": "${env:KEY}"}, lambda one: one.headers.get("authorization") == "Bearer s3cret"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("KEY", SECRET)


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_are_sent_with_each_request_and_told_to_nobody(tmp_path, api, kind, caplog):
    caplog.set_level(logging.DEBUG)
    auth, api.check = KINDS[kind]
    api.records = records(25)
    sales = contract(api, "/next", auth=auth, resume=True, **NEXT)
    home = company(tmp_path)
    found = fetched(home, sales)
    assert len(found.records) == 25
    assert found.position["url"].endswith("/next?at=20")
    api.check = lambda seen: False
    refused = fetched(home, sales)
    assert "status 401" in refused.error
    for told in (refused.error, str(found.position), repr(sales), caplog.text):
        assert SECRET not in told
    assert "bWU6czNjcmV0" not in refused.error
    assert "***" in refused.error or kind == "query"


def test_a_secret_that_is_not_there_is_named(tmp_path, api, monkeypatch):
    monkeypatch.delenv("KEY")
    [problem] = load(company(tmp_path), contract(api, "/next", auth=KINDS["bearer"][0], **NEXT)).problems
    assert "The environment variable KEY is not set" in problem


def oauth(api, **changes):
    return {
        "kind": "oauth2",
        "token_url": api.url("/token"),
        "client_id": "me",
        "client_secret": "${env:KEY}",
    } | changes


@pytest.mark.parametrize("place", ["header", "body"])
def test_a_token_is_fetched_once_and_held(tmp_path, api, place):
    api.records = records(35)
    api.check = lambda seen: seen.headers.get("authorization") == f"Bearer {api.tokens[-1]}"
    found = fetched(
        company(tmp_path),
        contract(
            api,
            "/next",
            auth=oauth(api, credentials_in=place, scope="read", parameters={"audience": "erp"}),
            **NEXT,
        ),
    )
    assert len(found.records) == 35
    [asked] = api.asked("/token")
    assert {
        "grant_type": "client_credentials",
        "scope": "read",
        "audience": "erp",
    }.items() <= asked.query.items()
    assert ("client_secret" in asked.query) == (place == "body")


def test_a_token_that_ends_or_is_refused_is_renewed(tmp_path, api, monkeypatch):
    monkeypatch.setattr(auth_module, "_EARLY_S", 0)
    api.records = records(35)
    api.check = lambda seen: seen.headers.get("authorization") == f"Bearer {api.tokens[-1]}"

    def revoke(number):
        if number == 4:
            api.tokens.append("revoked")

    api.before = revoke
    sales = contract(api, "/next", auth=oauth(api), **NEXT)
    assert len(fetched(company(tmp_path), sales).records) == 35
    assert len(api.asked("/token")) == 2
    api.token_lasts_s, api.tokens = 1, []
    api.before = lambda number: time.sleep(0.6)
    assert len(fetched(company(tmp_path), sales).records) == 35
    assert len(api.asked("/token")) >= 4


def test_a_client_that_is_unknown_is_told_without_its_secret(tmp_path, api, monkeypatch):
    monkeypatch.setenv("KEY", "wr0ng")
    found = fetched(company(tmp_path), contract(api, "/next", auth=oauth(api, credentials_in="body"), **NEXT))
    assert "got no token from 127.0.0.1 (status 401, 'invalid_client')" in found.error
    assert "wr0ng" not in found.error
    assert len(api.asked("/token")) == 1


def test_one_401_with_a_new_token_is_the_end(tmp_path, api):
    api.check = lambda seen: False
    found = fetched(company(tmp_path), contract(api, "/next", auth=oauth(api), **NEXT))
    assert "status 401" in found.error
    assert [one.path for one in api.seen] == ["/token", "/next", "/token", "/next"]
    assert not [token for token in api.tokens if token in found.error]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://erp.example.com/orders"}, "https"), ({"url": "http://127.0.0.1.example.com/"}, "https"),
        ({"url": "https://me:secret@erp.example.com/"}, "user or password"),
        ({"auth": {"kind": "bearer", "token": "abc"}}, "stands in no contract"),
        ({"auth": {"kind": "api_key", "secret": "${env:KEY}"}}, "header` or `parameter"),
        ({"auth": {"kind": "magic"}}, "magic"), ({"paging": {"kind": "cursor"}}, "path` in the body"),
        ({"incremental": {"column": "id", "parameter": "p", "template": "x"}}, "{since}"),
        ({"resume": True, "paging": {"kind": "page"}}, "resume goes on"), ({"what": 1}, "Extra"),
        ({"parameters": {"key": "${env:KEY}"}}, "kind: api_key"),
    ],
)  # fmt: skip
def test_settings_are_judged_where_they_are_written(api, settings, said):
    with pytest.raises(ValueError, match="validation error") as error:
        contract(api, "/next", **({"paging": {"kind": "none"}} | settings))
    assert said in str(error.value)


def test_a_url_from_the_environment_is_judged_when_it_is_used(tmp_path, api, monkeypatch):
    monkeypatch.setenv("ERP", "http://erp.example.com")
    [problem] = load(company(tmp_path), contract(api, "", url="${env:ERP}/orders", **NEXT)).problems
    assert "has to begin with https://" in problem
