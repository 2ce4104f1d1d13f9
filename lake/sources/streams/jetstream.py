"""NATS JetStream as a broker: one durable pull consumer per dataset, set to the sequence that the lake has committed.

The consumer acknowledges cumulatively (of a work queue, message by message). It is made anew whenever it does not stand exactly where the lake does: what was
delivered to a process that died is then given again at once, in order, instead of after its time-out, among newer messages.
Nothing reconnects here: a connection that breaks ends the fetch, and the next one asks first whether the stream is the same.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from lake.errors import SourceFailed
from lake.sources.streams import access
from lake.sources.streams.broker import Incarnation, Message
from lake.sources.streams.settings import NatsSettings

ANSWER_SECONDS = 10.0
"""A broker that says nothing for so long has failed."""
_FETCH_BYTES = 64 << 20
_ACK = "$JS.ACK."
_NO_MORE = ("404", "408")
_NOT_FOUND = 404
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Answer = TypeVar("Answer")


class JetStream:
    """`lake.sources.streams.broker.Broker` over NATS; `consumer` is the durable's name."""

    def __init__(self, settings: NatsSettings, consumer: str) -> None:
        """Connect; `SourceFailed` when that fails, `InputError` for a secret that stands for nothing."""
        self.settings, self.consumer = settings, consumer
        self._api = f"$JS.{settings.domain}.API" if settings.domain else "$JS.API"
        self._addresses = access.addresses(settings)
        self._places = ", ".join(access.place(url) for url in self._addresses)
        self._client = Client()
        self._said = ""
        self._keeps = True
        self._next = 1
        self._receipts: list[tuple[int, str]] = []
        self._pulled: list[Msg] = []
        self._pulls, self._asked, self._wanted, self._status = 0, "", 0, ""
        self._progress = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"nats-{consumer}", daemon=True)
        self._thread.start()
        try:
            self._do(self._connect())
        except BaseException:
            self.close()
            raise

    def incarnation(self) -> Incarnation:
        """Return the stream as it stands now; `SourceFailed` says how to make one that is missing."""
        name = self.settings.stream
        info = self._request(f"STREAM.INFO.{name}")
        if info is None:
            subjects = ",".join(self.settings.subjects) or f"{name.lower()}.>"
            raise SourceFailed(
                f"There is no stream {name} on {self._places}: make it with `nats stream add {name} --subjects '{subjects}'"
                " --storage file --retention limits --defaults`, or correct `stream` in the contract."
            )
        retention = info["config"]["retention"]
        if retention == "interest":
            raise SourceFailed(
                f"The stream {name} has retention interest, so it forgets what comes while nobody listens: set it to limits"
                f" or workqueue with `nats stream edit {name} --retention limits`."
            )
        self._keeps = retention == "limits"
        state = info["state"]
        return Incarnation(name, info["created"], state["first_seq"], state["last_seq"], self._keeps)

    def stored_at(self, sequence: int) -> datetime | None:
        """Return when a message was stored; None when it is there no more."""
        found = self._request(f"STREAM.MSG.GET.{self.settings.stream}", {"seq": sequence})
        return None if found is None else datetime.fromisoformat(found["message"]["time"]).replace(tzinfo=UTC)

    def seek(self, after: int) -> None:
        """Set the consumer behind `after`; one that stands there already is kept."""
        stream = self.settings.stream
        self._receipts = []
        config = self._consumer_config(after)
        found = self._request(f"CONSUMER.INFO.{stream}.{self.consumer}")
        if found is not None:
            kept = {
                key: found["config"].get(key)
                for key in config
                if not key.startswith(("deliver", "opt_start"))
            }
            stands = found["delivered"]["stream_seq"] == after and not found["num_ack_pending"]
            if stands and kept == {key: config[key] for key in kept}:
                self._next = found["delivered"]["consumer_seq"] + 1
                return
            self._request(f"CONSUMER.DELETE.{stream}.{self.consumer}")
        request = {"stream_name": stream, "config": config}
        if self._request(f"CONSUMER.DURABLE.CREATE.{stream}.{self.consumer}", request) is None:
            raise SourceFailed(f"The stream {stream} went away while it was read: run again.")
        self._next = 1

    def fetch(self, limit: int) -> list[Message]:
        """Return what is there, up to `limit` messages and 64 MiB; `SourceFailed` when some were lost on the way."""
        messages = []
        for raw in self._do(self._pull(limit)):
            sequence, consumer_sequence, stored = _numbers(raw.reply)
            if consumer_sequence != self._next:
                raise SourceFailed(
                    f"Messages of the stream {self.settings.stream} were lost on the way, or another process reads with the"
                    f" consumer {self.consumer}: stop that one; the next run goes on from what is committed."
                )
            self._next += 1
            headers = raw.headers or {}
            messages.append(Message(raw.subject, sequence, stored, raw.data, headers.get("Nats-Msg-Id")))
            if self._keeps:
                self._receipts = []  # one acknowledges all before it; of a queue each has to be
            self._receipts.append((sequence, raw.reply))
        return messages

    def acknowledge(self, up_to: int) -> None:
        """Acknowledge what was fetched up to a sequence; a broken connection leaves it to the next time."""
        safe = [receipt for sequence, receipt in self._receipts if sequence <= up_to]
        self._receipts = [one for one in self._receipts if one[0] > up_to]
        with suppress(SourceFailed):
            self._do(self._publish_all(safe, b"+ACK"))

    def close(self) -> None:
        """Send what waits to be sent and disconnect."""
        asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _consumer_config(self, after: int) -> dict[str, Any]:
        subjects = list(self.settings.subjects)
        filters: dict[str, Any] = {"filter_subjects": subjects} if len(subjects) > 1 else {}
        if len(subjects) == 1:
            filters = {"filter_subject": subjects[0]}
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        return {
            "durable_name": self.consumer,
            "ack_policy": "all" if self._keeps else "explicit",
            "ack_wait": int(timedelta(hours=1).total_seconds() * 1e9),
            # Two batches: the one that waits for its acknowledgement, and the next. The default of 1,000 stalls a fetch.
            "max_ack_pending": 2 * self.settings.batch_rows,
            **(start if self._keeps else {"deliver_policy": "all"}),
            **filters,
        }

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run on the connection's own thread, which also answers the broker's pings while the lake is busy."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (TimeoutError, nats.errors.Error, OSError) as error:
            said = self._said or str(error).removeprefix("nats: ") or type(error).__name__
            raise SourceFailed(
                f"NATS at {self._places} cannot be reached or does not answer ({said}): see that it runs and lets this user"
                f" read the stream {self.settings.stream}; what is not committed comes again with the next run."
            ) from None

    async def _connect(self) -> None:
        for url in self._addresses:
            self._client = Client()
            settings = access.options(self.settings, self._client)
            try:
                await self._client.connect(
                    url,
                    name=self.consumer,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    error_cb=self._hear,
                    connect_timeout=5,
                    **settings,
                )
                break
            except (TimeoutError, nats.errors.Error, OSError):
                if url == self._addresses[-1]:
                    raise
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(
            f"{self._inbox}.*", cb=self._take, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def _disconnect(self) -> None:
        """Close the client, and end what one that never came to be connected leaves running."""
        seconds = ANSWER_SECONDS if self._client.is_connected else 0.2
        with suppress(AssertionError, TimeoutError, nats.errors.Error, OSError):
            await asyncio.wait_for(self._client.close(), seconds)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _hear(self, error: Exception) -> None:
        self._said = str(error).removeprefix("nats: ") or type(error).__name__

    async def _take(self, message: Msg) -> None:
        if message.reply.startswith(_ACK):
            self._pulled.append(message)
        elif message.subject == self._asked:
            headers = message.headers or {}
            self._status = f"{headers.get('Status', '')} {headers.get('Description', '')}".strip()
        if self._status or len(self._pulled) == self._wanted:
            self._progress.set()

    async def _pull(self, limit: int) -> list[Msg]:
        """Ask for what is there now and wait until it is, or the broker says that there is no more."""
        self._pulls += 1
        self._asked = f"{self._inbox}.{self._pulls}"
        self._pulled, self._wanted, self._status = [], limit, ""
        self._progress.clear()
        limit_bytes = max(_FETCH_BYTES, 2 * self._client.max_payload)
        request = {"batch": limit, "no_wait": True, "max_bytes": limit_bytes}
        subject = f"{self._api}.CONSUMER.MSG.NEXT.{self.settings.stream}.{self.consumer}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=self._asked)
        while not self._progress.is_set():
            seen = len(self._pulled)
            try:
                await asyncio.wait_for(self._progress.wait(), ANSWER_SECONDS)
            except TimeoutError:
                if len(self._pulled) == seen:
                    raise
        if not self._pulled and not self._status.startswith(_NO_MORE):
            raise nats.errors.Error(self._status)
        return self._pulled

    async def _publish_all(self, subjects: Iterable[str], payload: bytes) -> None:
        for subject in subjects:
            await self._client.publish(subject, payload)
        await self._client.flush(timeout=int(ANSWER_SECONDS))

    async def _ask(self, subject: str, payload: bytes) -> bytes:
        """Return JetStream's answer; nothing where nobody answers for it."""
        try:
            return (await self._client.request(subject, payload, timeout=ANSWER_SECONDS)).data
        except nats.errors.NoRespondersError:
            return b""

    def _request(self, subject: str, body: dict[str, Any] | None = None) -> Any:
        """Ask JetStream's API; None when what was asked for is not there."""
        payload = self._do(self._ask(f"{self._api}.{subject}", json.dumps(body).encode() if body else b""))
        if not payload:
            raise SourceFailed(
                f"NATS at {self._places} has no JetStream for this user: start it with `jetstream {{store_dir: ...}}` in its"
                " configuration, or correct `domain` in the contract."
            )
        answer = json.loads(payload)
        problem = answer.get("error")
        if problem and problem["code"] != _NOT_FOUND:
            raise SourceFailed(
                f"JetStream at {self._places} refused {subject} ({problem['description']}): correct the stream or the contract."
            )
        return None if problem else answer


def _numbers(receipt: str) -> tuple[int, int, datetime]:
    """Return stream sequence, consumer sequence and time stored, from the subject that acknowledges a message.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<ns>.<pending>`; newer servers put domain and
    account before the stream, and a token behind.
    """
    tokens = receipt.split(".")
    first = 2 if len(tokens) == 9 else 4
    sequence, consumer_sequence, nanoseconds = (int(token) for token in tokens[first + 3 : first + 6])
    return sequence, consumer_sequence, _EPOCH + timedelta(microseconds=nanoseconds // 1000)
