"""The feature server: Feast's `POST /get-online-features` for feature services, and nothing that writes or runs code.

The order of the checks is the order of their cost: how long the request is, who sends it, how often, whether they may, and only
then what is asked. The answer to a refusal tells little; the audit log tells why.
"""

import asyncio
import base64
import html
import logging
import math
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from features.serving.access import METRICS, Access, Caller, Denied, RateLimit
from features.serving.audit import Audit
from features.serving.definitions import ServedRegistry
from features.stores.online_reader import OnlineReader
from lake.company import Company
from lake.errors import InputError, StocklakeError
from lake.http_bodies import read_body

BODY_S = 10
REFRESH_S = 5.0
EPOCH = "1970-01-01T00:00:00Z"
BYPASS = "INTRA_COMMUNICATION_BASE64"
"""A variable with which Feast's own server believes tokens that nobody signed."""
_WORDS = {400: "bad request", 401: "not accepted", 403: "not allowed", 404: "not found", 405: "not found",
          408: "too slow", 413: "too large", 422: "not understood", 429: "too many requests",
          503: "come back later"}  # fmt: skip

log = logging.getLogger(__name__)


class FeaturesAsked(BaseModel):
    """What Feast's clients send."""

    model_config = ConfigDict(extra="forbid")

    feature_service: StrictStr = Field(max_length=200)
    entities: dict[str, list[StrictStr | StrictInt | None]] = Field(
        description="join key -> values, all lists of one length"
    )
    full_feature_names: StrictBool = False


class Metrics:
    """What Prometheus is told."""

    def __init__(self) -> None:
        """Make the series."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stocklake_feature_requests", "Requests answered", ["service", "status"], registry=self.registry
        )
        self.refusals = Counter(
            "stocklake_feature_refusals", "Requests refused", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "stocklake_feature_seconds",
            "Seconds to answer a request",
            registry=self.registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2),
        )
        self.entities = Counter("stocklake_feature_entities", "Entities answered", registry=self.registry)
        self.not_found = Counter(
            "stocklake_feature_entities_not_found",
            "Entities that are not there",
            ["view"],
            registry=self.registry,
        )
        self.newest = Gauge(
            "stocklake_feature_newest_timestamp_seconds",
            "Newest moment among the values answered last",
            ["view"],
            registry=self.registry,
        )


class FeatureServer:
    """One company's server: what it knows, and what becomes of a request."""

    def __init__(self, company: Company) -> None:
        """Read settings and registry. Raises `InputError` for what could not be served safely."""
        if os.environ.get(BYPASS) is not None:
            raise InputError(f"{BYPASS} is set, with which tokens that nobody signed are believed: unset it.")
        self.settings = company.settings.serving
        self.audit = Audit(company.feast / "serving-audit.jsonl")
        self.access = Access(self.settings)
        self.limit = RateLimit(self.settings.requests_per_second)
        try:
            self.registry = ServedRegistry(company)
        except InputError as error:
            self.audit.refused(status=0, reason=str(error), caller="", address="", path="registry")
            self.audit.close()
            raise
        self.metrics = Metrics()

    async def answer(self, request: Request) -> Response:
        """Answer a request for features, or refuse it with the reason in the audit log."""
        start, caller = time.perf_counter(), None
        try:
            caller = self.known(request)
            asked = _asked(await _body(request, self.settings.request_kb << 10))
            caller.check(asked.feature_service)
            content = self.read(caller, asked)
        except Denied as denied:
            denied.caller = denied.caller or (caller.name if caller else "")
            return self.refuse(request, denied)
        except (StocklakeError, sqlite3.Error, OSError):
            log.exception("the online store did not answer")
            self.metrics.requests.labels("", "503").inc()
            return JSONResponse({"detail": _WORDS[503]}, 503, {"Retry-After": "5"})
        self.metrics.requests.labels(asked.feature_service, "200").inc()
        self.metrics.seconds.observe(time.perf_counter() - start)
        return Response(orjson.dumps(content), media_type="application/json")

    def known(self, request: Request) -> Caller:
        """Return who asks; raise `Denied` for nobody, and for somebody who asks too often."""
        address = request.client.host if request.client else ""
        try:
            caller = self.access.caller(request.headers.get("authorization"))
        except Denied:
            self.limit.take(f"address {address}")
            raise
        self.limit.take(f"caller {caller.name}")
        return caller

    def read(self, caller: Caller, asked: FeaturesAsked) -> dict[str, Any]:
        """Return what Feast's server would answer; raise `Denied` (404, 422) for what cannot be read."""
        if asked.feature_service not in self.registry.definitions.services:
            raise Denied(403, f"{asked.feature_service[:100]!r} is not in the registry", caller.name)
        reader = self.registry.definitions.reader(asked.feature_service, asked.full_feature_names)
        lengths = {len(values) for values in asked.entities.values()}
        if asked.entities.keys() != reader.entity_columns.keys() or len(lengths) != 1:
            wanted = ", ".join(sorted(reader.entity_columns))
            raise Denied(422, f"entities have to be {wanted}, lists of one length", caller.name)
        count = lengths.pop()
        if not 1 <= count <= self.settings.entities:
            raise Denied(413 if count else 422, f"asks for {count} entities", caller.name)
        try:
            content, missing, newest = _content(reader, asked, count)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise Denied(422, f"entities cannot be read: {error}", caller.name) from None
        self.metrics.entities.inc(count)
        for view, number in missing.items():
            self.metrics.not_found.labels(view).inc(number)
        for view, moment in newest.items():
            self.metrics.newest.labels(view).set((moment - datetime(1970, 1, 1)).total_seconds())
        return content

    def refuse(self, request: Request, denied: Denied) -> Response:
        """Write the refusal down and return the little that its sender is told."""
        address = request.client.host if request.client else ""
        self.audit.refused(
            status=denied.status,
            reason=denied.reason,
            caller=denied.caller,
            address=address,
            path=request.url.path,
        )
        self.metrics.refusals.labels(str(denied.status)).inc()
        headers = {"WWW-Authenticate": "Bearer"} if denied.status == 401 else {}
        if denied.status == 429:
            headers["Retry-After"] = "1"
        if denied.status in (408, 413):
            headers["Connection"] = "close"  # the rest of a body that nobody reads
        told = denied.reason if denied.status == 422 else _WORDS.get(denied.status, "refused")
        return JSONResponse({"detail": told[:300]}, denied.status, headers)

    async def refresh(self) -> None:
        """Look again every few seconds."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.look()

    async def look(self) -> None:
        """See whether the registry changed, and the provider's keys; what is refused leaves what stood."""
        await self._try("registry", self.registry.refresh)
        if self.access.keys:
            await self._try("keys", self.access.keys.refresh)

    async def _try(self, what: str, look: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(look)
        except Exception as error:  # whatever is wrong with it, what stood is served on
            self.audit.refused(status=0, reason=str(error), caller="", address="", path=what)


def make_app(company: Company) -> FastAPI:
    """Return the service of a company. Raises `InputError` when its settings or registry do not allow one."""
    server = FeatureServer(company)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await server.look()
        looking = asyncio.create_task(server.refresh())
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        server.audit.close()

    app = FastAPI(
        title=f"Features of {company.settings.title}", docs_url=None, redoc_url=None, lifespan=lifespan
    )
    body = {"content": {"application/json": {"schema": FeaturesAsked.model_json_schema()}}, "required": True}

    @app.post("/get-online-features", openapi_extra={"requestBody": body, "security": [{"bearer": []}]})
    async def get_online_features(request: Request) -> Response:
        """Today's features of a service, in Feast's words."""
        return await server.answer(request)

    @app.get("/metrics", openapi_extra={"security": [{"bearer": []}]})
    async def metrics(request: Request) -> Response:
        """Figures for Prometheus; for roles that name `metrics`."""
        try:
            server.known(request).check(METRICS)
        except Denied as denied:
            return server.refuse(request, denied)
        return Response(generate_latest(server.metrics.registry), media_type="text/plain; version=0.0.4")

    @app.get("/health")
    async def health() -> Response:
        """Whether the server is up."""
        return JSONResponse({"status": "up"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_page(app))

    @app.exception_handler(HTTPException)
    async def nothing_there(request: Request, error: HTTPException) -> Response:
        return server.refuse(
            request, Denied(error.status_code, f"no {request.method} {request.url.path[:200]}")
        )

    return app


def _content(
    reader: OnlineReader, asked: FeaturesAsked, count: int
) -> tuple[dict[str, Any], dict[str, int], dict[str, datetime]]:
    """Return the answer as Feast words it, and by view how many entities are missing and the newest moment."""
    names, results = list(asked.entities), []
    for values in asked.entities.values():
        results.append(
            {"values": values, "statuses": ["PRESENT"] * count, "event_timestamps": [EPOCH] * count}
        )
    missing: dict[str, int] = {}
    newest: dict[str, datetime] = {}
    for answer in reader.ask(asked.entities):
        there = [moment for moment in answer.moments if moment is not None]
        missing[answer.view] = count - len(there)
        if there:
            newest[answer.view] = max(there)
        values = [_plain(value) for value in answer.to_list()]
        statuses = [
            "NOT_FOUND" if moment is None else "NULL_VALUE" if value is None else "PRESENT"
            for moment, value in zip(answer.moments, values, strict=True)
        ]
        moments = [EPOCH if moment is None else f"{moment.isoformat()}Z" for moment in answer.moments]
        names.append(answer.name)
        results.append({"values": values, "statuses": statuses, "event_timestamps": moments})
    return {"metadata": {"feature_names": names}, "results": results}, missing, newest


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _asked(body: bytes) -> FeaturesAsked:
    try:
        return FeaturesAsked.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Denied(422, f"{where}: {first['msg']}"[:300]) from None


async def _body(request: Request, limit_bytes: int) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:15]) > limit_bytes:
        raise Denied(413, f"announces {length[:20]} bytes")
    return await read_body(request, limit_bytes, BODY_S, Denied)


def _page(app: FastAPI) -> str:
    """Return the OpenAPI document as a page that needs no script and nothing from the network."""
    document = app.openapi()
    parts = [
        f"<h1>{html.escape(document['info']['title'])}</h1><p>The document: <a href='/openapi.json'>/openapi.json</a></p>"
    ]
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            parts.append(
                f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(said.get('description', ''))}</p>"
            )
            if "requestBody" in said:
                schema = said["requestBody"]["content"]["application/json"]["schema"]
                text = orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()
                parts.append(f"<pre>{html.escape(text)}</pre>")
    style = "body{font:16px sans-serif;max-width:50em;margin:2em auto}pre{background:#f3f3f3;padding:1em;overflow:auto}"
    return f"<!doctype html><meta charset='utf-8'><title>API</title><style>{style}</style>{''.join(parts)}"
