"""All pages of one fetch, one after the other, and whether they agree: no circle, nothing shifted under way, no record twice.

Paging by number or offset reads a list that may change meanwhile: a record that goes pulls another one forward, unseen. So
the total that the other side announces is compared with the different keys received, and with itself from page to page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.apis.bodies import Answer, TryAgain, lookup
from lake.sources.apis.client import Client, Request
from lake.sources.apis.paging import Page, next_request, read_page
from lake.sources.apis.settings import ByOffset, ByPage, RestSettings, comes_at_once


class Shifted(Exception):
    """The pages do not belong together: the data changed while they were read. Read from the start, they may."""


@dataclass
class Walk:
    """One way through all pages; made anew for each."""

    settings: RestSettings
    contract: Contract
    client: Client
    received: int = 0
    """Records so far, repeated ones included."""
    total: int | None = None
    reached: Request = field(init=False)
    """What was asked last, or would be next: where a server's cursor stands."""
    resume_url: str | None = None
    """Where the other side says that the next fetch begins."""
    _now: Request = field(init=False)
    _asked: set[str] = field(default_factory=set)
    _prints: set[int] = field(default_factory=set)
    _records: dict[int, int] = field(default_factory=dict)
    """Hash of the key -> hash of the record, of those seen so far."""
    _repeated: int = 0
    _changed: int = 0

    def pages(self, first: Request) -> Iterator[Page]:
        """Yield each page that brings something.

        Raises `Shifted` when the pages do not agree, `SourceFailed` when the other side does not answer as agreed.
        """
        request: Request | None = first
        while request is not None:
            self._check_way(request)
            page = self.client.get(request, self._accept)
            self.received += len(page.records)
            following = self._following(page)
            if page.records and self._is_news(page):
                yield page
            request = following
        self._reconcile()

    def _accept(self, answer: Answer) -> Page:
        request = self._now
        page = read_page(self.settings, self.contract.location.records_path or "", request, answer)
        where = self.settings.total_path or self.settings.total_header
        if where and page.total is None and self.total is None:
            raise TryAgain(f"does not say at {where!r} how many records there are")
        is_numbered = isinstance(self.settings.paging, ByPage | ByOffset)
        if is_numbered and page.records and self._print(page) in self._prints:
            raise TryAgain(
                "sent the records of an earlier page again, as if it did not look at the page asked for"
            )
        return page

    def _check_way(self, request: Request) -> None:
        self._now, url = request, str(request.full_url)
        if url in self._asked:
            raise SourceFailed(
                f"Paging of {self.contract.dataset} goes in a circle: page {len(self._asked) + 1} is one that was there"
                f" before ({self.client.base.host}); correct `paging`, or tell who runs it."
            )
        if len(self._asked) >= self.settings.limits.pages:
            raise SourceFailed(
                f"{self.client.base.host} sends more than {len(self._asked)} pages of {self.contract.dataset}"
                " (limits.pages): ask for larger pages, or raise it."
            )
        self._asked.add(url)

    def _following(self, page: Page) -> Request | None:
        if page.total is not None and self.total not in (None, page.total):
            raise Shifted(f"there were {self.total} records at first and {page.total} later")
        self.total = self.total if page.total is None else page.total
        following = next_request(self.settings, self.client, page, self.received)
        self.reached = following or page.request
        if self.settings.resume_path and (url := lookup(page.answer.document, self.settings.resume_path)):
            self.resume_url = self.client.own_url(str(url), page.answer.url)
        if self.settings.resume and following and (not page.records or following == page.request):
            return None  # the cursor stands still: this is all for now
        return following

    def _is_news(self, page: Page) -> bool:
        """Note the page; False for one that only repeats an earlier page, record by record."""
        print_, keys = self._print(page), self.contract.keys
        is_repeat = print_ in self._prints and bool(keys)
        self._prints.add(print_)
        if keys and not is_repeat and (self.total is not None or comes_at_once(self.contract)):
            self._note(page.records)
        if is_repeat:
            self.received -= len(page.records)
        return not is_repeat

    def _note(self, records: list[Any]) -> None:
        paths = [self.contract.column(name).source_name for name in self.contract.keys]
        for number, record in enumerate(records):
            key = tuple(repr(lookup(record, path)) for path in paths)
            is_keyed = "None" not in key
            mark = hash(key) if is_keyed else hash((self.received, number))
            content = hash(orjson.dumps(record, option=orjson.OPT_SORT_KEYS))
            if self._records.setdefault(mark, content) != content:
                self._changed += 1
            self._repeated += is_keyed

    def _print(self, page: Page) -> int:
        return hash(orjson.dumps(page.records))

    def _reconcile(self) -> None:
        """Judge all pages together; raises `Shifted`."""
        keyed = bool(self.contract.keys)
        different = len(self._records) if keyed else self.received
        if self.total is not None and different != self.total:
            raise Shifted(f"{self.total} records were announced and {different} different ones came")
        if keyed and comes_at_once(self.contract):
            if self._changed:
                raise Shifted(f"{self._changed} records came twice with different content")
            if different != self.received and self.contract.duplicates != "drop":
                raise Shifted(f"{self.received - different} records came twice")
