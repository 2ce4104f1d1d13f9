"""Kind `rest`: pages of a web API as arrivals, each a file as it was received.

A dataset that is replaced gets all its pages in one archive, so that it changes at once. Others get them in archives of
some megabytes; the position moves when all pages are there, or with each archive where the server's order or cursor makes
that safe.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import InputError, SourceFailed
from lake.period import Period
from lake.sources.apis.bodies import Gone
from lake.sources.apis.bundling import Bundle
from lake.sources.apis.client import Client, Request
from lake.sources.apis.fetching import Shifted, Walk
from lake.sources.apis.growth import Growth, Reach
from lake.sources.apis.paging import first_request
from lake.sources.apis.settings import ByCursor, RestSettings, comes_at_once
from lake.sources.port import Arrival, Position
from lake.sources.ranges import bounds
from lake.sources.turns import fetching

Got = TypeVar("Got")


class RestSource:
    """One endpoint of a web API, open."""

    def __init__(self, company: Company, contract: Contract, headers: dict[str, str] | None = None) -> None:
        """Open the client. Raises `InputError` for a secret that is not there."""
        assert isinstance(contract.source, RestSettings)
        self.company, self.contract, self.settings = company, contract, contract.source
        self.client = Client(self.settings, headers or {}, self.settings.accept)
        incremental = self.settings.incremental
        self.growth = Growth(incremental, contract.column(incremental.column)) if incremental else None
        self._bundles: list[Bundle] = []
        question: Any = {
            "parameters": True,
            "resume": True,
            "incremental": {"column", "parameter", "template"},
        }
        asked = self.settings.url.template + self.settings.model_dump_json(include=question)
        self._asked = hashlib.sha256(asked.encode()).hexdigest()[:12]
        """What is asked for: a position is worth nothing for anything else."""

    def close(self) -> None:
        """Let go of connections."""
        self.client.close()

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield what is new since the position, or all of a dataset that is replaced.

        Raises `SourceFailed` when the other side cannot be reached, does not answer as agreed, or sends pages that do not
        belong together, however often they are read; then nothing of the last reading is delivered.
        """
        with fetching(self.company, self.contract) as (self._folder, committed):
            position = committed if committed is not None else position
            if position is not None and position.get("of") != self._asked:
                position = None  # the contract asks for something else than when it was committed
            try:
                yield from self._since(position)
            except Gone:
                if position is None or not self.settings.resume:
                    raise
                yield from self._since(None)  # the server has forgotten where we were: all of it again
            finally:
                self._drop_bundles()

    def between(self, period: Period) -> Iterator[Arrival]:
        """Yield the records of these days. Raises as `deliveries`, and `InputError` where no parameter asks for days."""
        asked = self._of_days(period)
        with fetching(self.company, self.contract) as (self._folder, _):
            try:
                first = first_request(
                    self.settings, str(self.client.base), dict(self.settings.parameters) | asked
                )
                yield from self._read(first, None, may_be_empty=True)
            finally:
                self._drop_bundles()

    def _of_days(self, period: Period) -> dict[str, str]:
        """Return the parameters that ask for a range of days; an end that is open is not asked for."""
        if not self.settings.days:
            raise InputError(
                f"{self.contract.path}: its API cannot be asked for a range of days, because the contract names no"
                " parameters for one: write source.days, such as {created_from: '{from}', created_to: '{until}'}, or"
                " leave the dataset out with --dataset."
            )
        first, after = bounds(period)
        ends = {"from": first, "until": period.last, "after": after}
        made = {}
        for name, template in self.settings.days.items():
            end = next(end for end in ends if f"{{{end}}}" in template)
            if (day := ends[end]) is not None:
                made[name] = template.replace(f"{{{end}}}", day.isoformat())
        return made

    def _since(self, position: Position | None) -> Iterator[Arrival]:
        yield from self._read(self._first(position), position)

    def _read(
        self, first: Request, position: Position | None, *, may_be_empty: bool = False
    ) -> Iterator[Arrival]:
        if comes_at_once(self.contract):
            yield from self._steady(lambda: self._at_once(first, position, may_be_empty=may_be_empty))
        elif self.settings.total_path or self.settings.total_header:
            yield from self._steady(lambda: list(self._in_turn(first, position)))
        else:
            yield from self._in_turn(first, position)

    def _first(self, position: Position | None) -> Request:
        kept = dict(position or {})
        if self.settings.resume and "url" in kept:
            return Request(self.client.own_url(kept["url"], self.client.base))
        parameters = dict(self.settings.parameters)
        if self.growth:
            parameters |= self.growth.parameter(kept.get("since"))
        request = first_request(self.settings, str(self.client.base), parameters)
        if self.settings.resume and "cursor" in kept and isinstance(self.settings.paging, ByCursor):
            more = {**request.parameters, self.settings.paging.parameter: kept["cursor"]}
            return replace(request, parameters=more)
        return request

    def _steady(self, read: Callable[[], Got]) -> Got:
        """Return what `read` returns, beginning again when the data change under way."""
        for number in range(1, self.settings.limits.passes + 1):
            try:
                return read()
            except Shifted as error:
                shifted = error
                self._drop_bundles()
                time.sleep(self.settings.limits.backoff_s * number)
        raise SourceFailed(
            f"{self.contract.dataset}: its pages do not belong together, read {self.settings.limits.passes} times from"
            f" the start ({shifted}): fetch when nobody writes, or page by the server's cursor."
        )

    def _at_once(self, first: Request, position: Position | None, *, may_be_empty: bool) -> list[Arrival]:
        """Return all pages as one delivery, none if nothing is new."""
        bundle, reach = self._bundle(), self._reach(position)
        for page in self._walk().pages(first):
            bundle.add(page.answer.body)
            if reach:
                reach.note(page.records)
        if bundle.pages == 0 and reach is None and not may_be_empty:
            raise SourceFailed(
                f"{self.client.base.host} has no record of {self.contract.dataset}: what stands is kept. Correct url and"
                " parameters, or ask who runs it."
            )
        return [self._arrival(bundle, reach.at_the_end if reach else None)] if bundle.pages else []

    def _in_turn(self, first: Request, position: Position | None) -> Iterator[Arrival]:
        """Yield pages in bundles, each when the next page is there: the last one takes the position to the end."""
        walk, bundle, reach = self._walk(), self._bundle(), self._reach(position)
        reached: Position | None = None
        try:
            for page in walk.pages(first):
                if bundle.is_full:
                    yield self._arrival(bundle, reached)
                    bundle = self._bundle()
                bundle.add(page.answer.body)
                if reach:
                    reach.note(page.records)
                reached = reach.on_the_way if reach else self._reached(walk)
        except SourceFailed:
            if bundle.pages and reached:
                yield self._arrival(bundle, reached)  # the next fetch need not begin before it
            raise
        if bundle.pages:
            yield self._arrival(bundle, reach.at_the_end if reach else self._reached(walk))

    def _reach(self, position: Position | None) -> Reach | None:
        return Reach(self.growth, (position or {}).get("since")) if self.growth else None

    def _reached(self, walk: Walk) -> Position | None:
        """Return where the server's cursor stands."""
        if not self.settings.resume:
            return None
        if walk.resume_url:
            return {"url": walk.resume_url}
        if isinstance(self.settings.paging, ByCursor):
            cursor = walk.reached.parameters.get(self.settings.paging.parameter)
            return None if cursor is None else {"cursor": cursor}
        return {"url": str(walk.reached.full_url)}

    def _bundle(self) -> Bundle:
        self._bundles.append(Bundle(self._folder, len(self._bundles) + 1))
        return self._bundles[-1]

    def _drop_bundles(self) -> None:
        for bundle in self._bundles:
            bundle.close().unlink(missing_ok=True)
        self._bundles = []

    def _arrival(self, bundle: Bundle, position: Position | None) -> Arrival:
        """Return a bundle under a name unlike any other delivery's, in the order of time."""
        name = f"{self.contract.dataset}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.tar"
        return Arrival(name, bundle.close(), None if position is None else {"of": self._asked, **position})

    def _walk(self) -> Walk:
        return Walk(self.settings, self.contract, self.client)
