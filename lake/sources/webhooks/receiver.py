"""The service that takes deliveries: POST /hooks/<dataset>, and nothing else.

The order of the checks is the order of their cost: who it is for, how long it is, what it says it is, whether there is room,
and only then the body; its signature before anything in it is looked at. The answer tells little, the log why.
"""

import hashlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import InputError
from lake.http_bodies import read_body
from lake.sources.apis.bodies import lookup
from lake.sources.webhooks.landing import Landing
from lake.sources.webhooks.settings import WebhookSettings
from lake.sources.webhooks.signing import Refusal, checked_id, key, verify
from lake.sources.webhooks.spool import Received, Spool, moment

BODY_S = 10
"""A body that is not whole by then is not waited for."""
RETRY_AFTER_S = 10

log = logging.getLogger(__name__)
_WORDS = {400: "bad request", 401: "not accepted", 404: "Not Found", 408: "too slow", 409: "conflict",
          413: "too large", 415: "send application/json", 503: "come back later"}  # fmt: skip


@dataclass
class Hook:
    """One dataset that is sent."""

    settings: WebhookSettings
    keys: list[bytes]
    landing: Landing


def make_app(company: Company, contracts: Sequence[Contract]) -> FastAPI:
    """Return the service for those contracts that are of kind `webhook`.

    Raises `InputError` when there is none, or when a secret is not there or not written as its scheme has it.
    """
    hooks = {
        contract.dataset: _hook(company, contract)
        for contract in contracts
        if isinstance(contract.source, WebhookSettings)
    }
    if not hooks:
        raise InputError(
            f"No contract of {company.name} is a webhook: write one with `source: {{kind: webhook, ...}}`, or name"
            " another company."
        )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for hook in hooks.values():
            hook.landing.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)

    @app.post("/hooks/{dataset}")
    async def receive(dataset: str, request: Request) -> Response:
        hook = hooks.get(dataset)
        if hook is None:
            return JSONResponse({"detail": _WORDS[404]}, 404, {"Connection": "close"})
        try:
            received = await _received(hook, request)
            outcome = await hook.landing.land(received)
            if outcome == "conflict":
                raise Refusal(409, f"{received.delivery_id} came before with something else")
        except Refusal as refusal:
            return _refused(dataset, refusal)
        log.info("%s 200 %s %s %d bytes", dataset, outcome, received.delivery_id, len(received.body))
        return JSONResponse({"status": outcome})

    return app


def _hook(company: Company, contract: Contract) -> Hook:
    settings = contract.source
    assert isinstance(settings, WebhookSettings)
    try:
        keys = [key(secret.reveal(), settings.rules) for secret in settings.secrets]
    except ValueError as error:
        raise InputError(f"{contract.path}: {error}; correct the secret where it is kept.") from None
    if not all(keys):
        raise InputError(f"{contract.path}: a secret is empty; anybody could sign with it: set it.")
    landing = Landing(Spool(company.spool(contract.dataset)), settings.spool_mb << 20, settings.free_mb << 20)
    return Hook(settings, keys, landing)


def _refused(dataset: str, refusal: Refusal) -> Response:
    log.warning("%s %d %s", dataset, refusal.status, refusal)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 503 else {}
    if refusal.status in (408, 413, 415, 503):
        headers["Connection"] = "close"  # the rest of a body that nobody reads
    return JSONResponse({"detail": _WORDS[refusal.status]}, refusal.status, headers)


async def _received(hook: Hook, request: Request) -> Received:
    """Return the delivery that a request is; `Refusal` for one that is not taken."""
    settings, limit_bytes = hook.settings, hook.settings.body_kb << 10
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:15]) > limit_bytes:
        raise Refusal(413, f"announces {length[:20]} bytes")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    packing = request.headers.get("content-encoding", "identity").lower()
    if packing != "identity" or not (media_type == "application/json" or media_type.endswith("+json")):
        raise Refusal(415, f"is {media_type[:40]!r}, packed as {packing[:20]!r}")
    await hook.landing.check_room()
    body = await read_body(request, limit_bytes, BODY_S, Refusal)
    signed = verify(settings.rules, hook.keys, request.headers, body, time.time(), settings.tolerance_s)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "is no JSON") from None
    delivery_id = signed.delivery_id or checked_id(lookup(document, settings.rules.id_path or ""))
    digest = hashlib.sha256(body).digest()
    return Received(delivery_id, digest, signed.proof, moment(datetime.now(UTC)), body)
