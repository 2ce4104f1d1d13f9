"""A web API on a free port of this machine that pages in every way and misbehaves when it is told to."""

import base64
import gzip
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

Record = dict[str, Any]
Fault = str | None


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Api:
    """What the server holds and how it behaves; tests change it while it runs."""

    records: list[Record] = field(default_factory=list)
    page_size: int = 10
    fault: Callable[[int, Seen], Fault] = lambda number, seen: None
    """(number of the request, request) -> what goes wrong with it."""
    before: Callable[[int], None] = lambda number: None
    """Called with the number of every request, before it is answered."""
    check: Callable[[Seen], bool] = lambda seen: True
    """Whether a request may have data; 401 otherwise."""
    answers: Callable[["_Handler", Seen], tuple[int, Any, dict[str, str]]] | None = None
    """Takes the place of all that is known about paths."""
    link_host: str | None = None
    """Host and port that links name, other than the real one."""
    token_lasts_s: int = 3600
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def asked(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.path == path]


def misbehaving(seed: int, share: float, *faults: str) -> Callable[[int, Seen], Fault]:
    """Return faults that come by chance, the same for the same seed, never four times in a row."""
    chance, row = random.Random(seed), [0]

    def decide(number: int, seen: Seen) -> Fault:
        row[0] = row[0] + 1 if row[0] < 3 and chance.random() < share else 0
        return chance.choice(faults) if row[0] else None

    return decide


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # a client that gave up
            self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        api, fields = self.api, {key: value[0] for key, value in parse_qs(body).items()}
        api.seen.append(Seen("/token", fields, dict(self.headers)))
        basic = "Basic " + base64.b64encode(b"me:s3cret").decode()
        is_known = self.headers.get("authorization") == basic or fields.get("client_secret") == "s3cret"
        if not is_known:
            self._json(401, {"error": "invalid_client", "error_description": f"bad: {body}"})
            return
        api.tokens.append(f"token-{len(api.tokens)}")
        self._json(
            200, {"access_token": api.tokens[-1], "token_type": "Bearer", "expires_in": api.token_lasts_s}
        )

    def do_GET(self) -> None:
        api, parts = self.api, urlsplit(self.path)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        seen = Seen(parts.path, query, {key.lower(): value for key, value in self.headers.items()})
        with api.lock:
            api.seen.append(seen)
            number = len(api.seen)
            api.before(number)
            fault = api.fault(number, seen)
        if not api.check(seen):
            self._json(401, {"error": f"no: {seen.headers}"})
            return
        status, document, headers = api.answers(self, seen) if api.answers else self._answer(seen)
        self._send(status, document, headers, fault)

    def _answer(self, seen: Seen) -> tuple[int, Any, dict[str, str]]:
        records, query, size = self._chosen(seen), seen.query, self.api.page_size
        way = seen.path.split("/")[1]
        if way == "page":
            start = (int(query["page"]) - 1) * size
            return 200, {"data": {"rows": records[start : start + size]}, "total": len(records)}, {}
        if way == "offset":
            start = int(query["offset"])
            return (
                200,
                records[start : start + min(size, int(query["limit"]))],
                {"X-Total-Count": str(len(records))},
            )
        start = int(query.get("at", 0))
        rows, after = records[start : start + size], start + size
        more = after < len(records)
        host = self.api.link_host or f"127.0.0.1:{self.api.port}"
        following = f"http://{host}{seen.path}?{urlencode(query | {'at': str(after)})}"
        match way:
            case "cursor":
                return 200, {"rows": rows, "next": str(after) if more else None}, {}
            case "forever":
                return 200, {"rows": rows, "next": str(min(after, len(records)))}, {}
            case "after":
                start = next(
                    (i for i, one in enumerate(records, 1) if str(one["id"]) == query.get("after")), 0
                )
                return 200, {"rows": records[start : start + size], "more": start + size < len(records)}, {}
            case "link":
                link = (
                    {"Link": f'<{following}>; rel="next", </first>; title="a, b"; rel=first'} if more else {}
                )
                return 200, rows, link
            case "next":
                return 200, {"rows": rows, "next": following if more else None}, {}
            case "odata":
                return 200, self._odata(seen, records, rows, following if more else None), {}
            case "circle":
                return 200, {"rows": rows, "next": seen.path + f"?at={after % 30}"}, {}
        return 404, {"error": f"no such thing: {self.path} {dict(self.headers)}"}, {}

    def _odata(self, seen: Seen, records: list[Record], rows: list[Record], following: str | None) -> Record:
        query = seen.query
        document: Record = {"value": rows}
        if "$skip" in query:
            document["value"] = records[int(query["$skip"]) :][: min(int(query["$top"]), self.api.page_size)]
            following = None
        if query.get("$count") == "true" and query.get("at") is None:
            document["@odata.count"] = len(records)
        if following:
            document["@odata.nextLink"] = following
        elif "odata.track-changes" in seen.headers.get("prefer", ""):
            document["@odata.deltaLink"] = self.api.url(
                f"{seen.path}?since={max(one['id'] for one in self.api.records)}"
            )
        return document

    def _chosen(self, seen: Seen) -> list[Record]:
        """Return the records that are asked for, as a server filters and sorts them."""
        records, query = list(self.api.records), seen.query
        if "since" in query:
            return [one for one in records if one["id"] > int(query["since"])]
        if "changed_since" in query:
            return [one for one in records if one["changed_at"] >= query["changed_since"]]
        if "created_from" in query or "created_before" in query:
            first, before = query.get("created_from", ""), query.get("created_before", "9")
            return [one for one in records if first <= one["changed_at"][:10] < before]
        if " lt " in query.get("$filter", ""):
            before = query["$filter"].split("changed_at lt ")[1]
            records = [one for one in records if one["changed_at"] < before]
        if "changed_at ge" in query.get("$filter", ""):
            since = query["$filter"].split("changed_at ge ")[1].split(" and ")[0].rstrip(")")
            records = [one for one in records if one["changed_at"] >= since]
        if "$orderby" in query:
            records.sort(key=lambda one: [one[name] for name in query["$orderby"].split(",")])
        return records

    def _json(self, status: int, document: Any) -> None:
        self._send(status, document, {}, None)

    def _send(self, status: int, document: Any, headers: dict[str, str], fault: Fault) -> None:
        body, media_type = json.dumps(document).encode(), "application/json"
        name, _, value = (fault or "").partition(":")
        match name:
            case "reset":
                self.close_connection = True
                return
            case "status":
                status, _, after = value.partition(" ")
                headers, body = ({"Retry-After": after} if after else {}), b"overloaded"
            case "html":
                media_type, body = "text/html", b"<html>Down for maintenance</html>"
            case "error":
                body = b'{"error": {"code": 17, "message": "busy"}}'
            case "cut_json":
                body = body[: len(body) // 2]
            case "gzip":
                headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body)
            case "cut_gzip":
                headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body)[:-9]
            case "bomb":
                headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(b" " * 30_000_000)
            case "redirect":
                status, headers, body = 302, {"Location": value}, b""
        self.send_response(int(status))
        for key, text in {"Content-Type": media_type, **headers}.items():
            self.send_header(key, text)
        if name in ("chunked", "cut_chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(
                f"{len(body):x}\r\n".encode() + body[: len(body) // (1 if name == "chunked" else 2)]
            )
            if name == "chunked":
                self.wfile.write(b"\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if name == "drop" else body)
        self.close_connection = self.close_connection or name in ("cut_chunked", "drop")
