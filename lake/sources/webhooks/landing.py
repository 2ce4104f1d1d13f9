"""Makes deliveries safe in groups: all that wait share one transaction of their spool, and so one wait for the disk."""

import asyncio
import logging
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

from lake.sources.webhooks.signing import Refusal
from lake.sources.webhooks.spool import Outcome, Received, Spool

MAXIMUM_WAITING = 1000
"""Deliveries in memory that are not safe yet; beyond it senders are told to come back."""
_LOOK_S = 1.0

log = logging.getLogger(__name__)


class Landing:
    """One spool and the deliveries on their way into it."""

    def __init__(self, spool: Spool, spool_bytes: int, free_bytes: int) -> None:
        """Take over the spool: it is used from one thread of this landing only, and closed with it."""
        self.spool, self.spool_bytes, self.free_bytes = spool, spool_bytes, free_bytes
        self._waiting: list[tuple[Received, asyncio.Future[Outcome]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="landing")
        self._looked_at, self._reason = 0.0, ""

    def close(self) -> None:
        """Wait for what is being written and close the spool."""
        self._thread.shutdown(wait=True)
        self.spool.close()

    async def check_room(self) -> None:
        """Raise `Refusal` with status 503 while there is no room for more."""
        if len(self._waiting) >= MAXIMUM_WAITING:
            raise Refusal(503, f"{MAXIMUM_WAITING} deliveries wait for the disk")
        if time.monotonic() - self._looked_at > _LOOK_S:
            self._looked_at = time.monotonic()
            self._reason = await asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        if self._reason:
            raise Refusal(503, self._reason)

    async def land(self, received: Received) -> Outcome:
        """Return what became of a delivery once that is safe; `Refusal` with status 503 if it could not be kept."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        return await done

    async def _commit_all(self) -> None:
        """Commit group after group until nobody waits; what comes meanwhile makes the next group."""
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._commit(group)

    async def _commit(self, group: list[tuple[Received, asyncio.Future[Outcome]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            outcomes = await loop.run_in_executor(self._thread, self.spool.put, [one for one, _ in group])
        except sqlite3.Error as error:
            log.error("the spool cannot be written: %s", error)
            for _, done in group:
                done.set_exception(Refusal(503, f"the spool cannot be written ({error})"))
        else:
            for (_, done), outcome in zip(group, outcomes, strict=True):
                done.set_result(outcome)

    def _look(self) -> str:
        """Return why there is no room, '' if there is."""
        try:
            free, used = shutil.disk_usage(self.spool.path.parent).free, self.spool.size_bytes
        except (OSError, sqlite3.Error) as error:
            return f"the spool cannot be read ({error})"
        if free < self.free_bytes:
            return f"the disk has {free >> 20} MB left"
        if used > self.spool_bytes:
            return f"{used >> 20} MB wait for ingestion"
        return ""
