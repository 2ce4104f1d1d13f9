"""Which request comes after a page, for each way of paging."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lake.errors import SourceFailed
from lake.sources.apis.bodies import Answer, TryAgain, lookup
from lake.sources.apis.client import Client, Request
from lake.sources.apis.settings import ByCursor, ByLink, ByOffset, ByPage, ByUrl, RestSettings

_LINK = re.compile(
    r'\s*<([^<>]*)>((?:\s*;\s*[\w!#$%&*+.^`|~-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]*))?)*)\s*(?:,|$)'
)
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]*))', re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One answer with its records."""

    answer: Answer
    records: list[Any]
    request: Request
    total: int | None
    """How many records there are in all, where the other side says so."""


def read_page(settings: RestSettings, records_path: str, request: Request, answer: Answer) -> Page:
    """Return the page that an answer is; `TryAgain` when it is an error under status 200, or holds no list."""
    document = answer.document
    if settings.error_path and (error := lookup(document, settings.error_path)):
        raise TryAgain(f"said 200 and told of an error ({_words(error)})")
    records = lookup(document, records_path)
    if not isinstance(records, list):
        where = f"at {records_path!r}" if records_path else "as the document"
        raise TryAgain(f"sent no list of records {where} (records_path)")
    return Page(answer, records, request, _total(settings, answer))


def first_request(settings: RestSettings, url: str, parameters: Mapping[str, str]) -> Request:
    """Return the request for the first page."""
    paging, more = settings.paging, dict(parameters)
    if isinstance(paging, ByPage):
        more |= {paging.parameter: str(paging.first)}
    elif isinstance(paging, ByOffset):
        more |= {paging.parameter: "0"}
    if isinstance(paging, ByPage | ByOffset) and paging.size_parameter:
        more |= {paging.size_parameter: str(paging.size)}
    return Request(url, more)


def next_request(settings: RestSettings, client: Client, page: Page, received: int) -> Request | None:
    """Return the request for the page after `page`, None after the last; `received` counts the records so far.

    A short page is no sign of the end, because servers send less than they are asked for; an empty one is.
    """
    paging, request, parameter = settings.paging, page.request, None
    match paging:
        case ByPage() | ByOffset():
            is_last = not page.records or (page.total is not None and received >= page.total)
            page_number = int(request.parameters[paging.parameter]) + 1
            following = received if isinstance(paging, ByOffset) else page_number
            parameter = None if is_last else (paging.parameter, str(following))
        case ByCursor():
            cursor = _cursor(paging, page)
            parameter = None if cursor is None else (paging.parameter, cursor)
        case ByLink():
            return _at(client, page, next_link(page.answer.headers.get("link", "")))
        case ByUrl():
            return _at(client, page, lookup(page.answer.document, paging.path))
    if parameter is None:
        return None
    return replace(request, parameters={**request.parameters, parameter[0]: parameter[1]})


def next_link(header: str) -> str | None:
    """Return the target of rel="next" in a Link header (RFC 8288), None without one."""
    position = 0
    while found := _LINK.match(header, position):
        rel = _REL.search(found[2])
        if rel and "next" in (rel[1] or rel[2] or "").lower().split():
            return found[1]
        position = found.end()
    return None


def _at(client: Client, page: Page, url: Any) -> Request | None:
    if url is None or url == "":
        return None
    if not isinstance(url, str):
        raise SourceFailed(f"{client.base.host} sends no URL as that of the next page: correct paging.path.")
    return Request(client.own_url(url, page.answer.url))


def _cursor(paging: ByCursor, page: Page) -> str | None:
    if paging.more_path and not lookup(page.answer.document, paging.more_path):
        return None
    if paging.path:
        found = lookup(page.answer.document, paging.path)
    else:
        found = lookup(page.records[-1], str(paging.record_path)) if page.records else None
    if found is None or found == "":
        return None
    if isinstance(found, bool | list | dict):
        raise SourceFailed(f"The cursor is {type(found).__name__} and no text or number: correct the paging.")
    return str(found)


def _total(settings: RestSettings, answer: Answer) -> int | None:
    if settings.total_path:
        found = lookup(answer.document, settings.total_path)
    elif settings.total_header:
        found = answer.headers.get(settings.total_header)
    else:
        return None
    if found is None:
        return None
    try:
        return int(found)
    except (ValueError, TypeError):
        where = settings.total_path or settings.total_header
        raise TryAgain(f"says no number of records at {where!r}") from None


def _words(error: Any) -> str:
    said = error.get("message", error) if isinstance(error, dict) else error
    return " ".join("".join(c if c.isprintable() else " " for c in str(said)[:150]).split())
