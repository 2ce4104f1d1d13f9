"""LakeRedisOnlineStore: Feast's Redis online store, written and read by columns, that never goes back in time.

Keys and values are Feast's own (a hash per entity, a field per feature, `_ts:<view>` the moment at which the values were
true), so that Feast's stock store reads what stands here. A field of ours beside it, `_known:<view>`, says when the values
became known, in microseconds: a correction of the same moment replaces what it corrects, and nothing else does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, RedisType
from pydantic import model_validator
from redis import Redis
from redis import asyncio as redis_asyncio
from redis.exceptions import NoScriptError, RedisError

from features.stores.online_format import FEW, Batch, decode_moment, encode_moments
from features.stores.online_writing import WrittenByColumns
from lake.errors import InputError, StocklakeError
from lake.secrets import Secret

BATCH_ROWS = 500
"""Entities that are written in one step: all of them or none. The server does nothing else meanwhile, about 5 ms."""
READ_ROWS = 5_000
TIMEOUT_S = 30
"""A server that says nothing for so long is not waited for."""

# KEYS: entities. ARGV: number of fields of a row, seconds until a row expires (0: never), names of the fields (the moment
# and when it was known are the first two), then the rows' values in that order.
# A stored moment is a protobuf Timestamp: seconds behind 0x08, nanoseconds behind 0x10, both as varints.
_WRITE = """
local function moment(cell)
  local seconds, nanos, number, scale, tag = 0, 0, 0, 1, nil
  for i = 1, #cell do
    local byte = string.byte(cell, i)
    if not tag then tag = byte
    else
      number = number + (byte % 128) * scale
      scale = scale * 128
      if byte < 128 then
        if tag == 8 then seconds = number else nanos = number end
        number, scale, tag = 0, 1, nil
      end
    end
  end
  return seconds, nanos
end
local fields, ttl, at, written = tonumber(ARGV[1]), tonumber(ARGV[2]), 2 + tonumber(ARGV[1]), 0
local ts_field, known_field = ARGV[3], ARGV[4]
local row = {}
for f = 1, fields do row[2 * f - 1] = ARGV[2 + f] end
for _, key in ipairs(KEYS) do
  local is_newer = true
  local standing = redis.call('HMGET', key, ts_field, known_field)
  if standing[1] then
    local same = standing[1] == ARGV[at + 1]
    if not same then
      local seconds, nanos = moment(standing[1])
      local new_seconds, new_nanos = moment(ARGV[at + 1])
      if new_seconds ~= seconds then is_newer = new_seconds > seconds
      elseif new_nanos ~= nanos then is_newer = new_nanos > nanos
      else same = true end
    end
    if same and standing[2] then is_newer = tonumber(ARGV[at + 2]) >= tonumber(standing[2]) end
  end
  if is_newer then
    for f = 1, fields do row[2 * f] = ARGV[at + f] end
    redis.call('HSET', key, unpack(row))
    if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    written = written + 1
  end
  at = at + fields
end
return written
"""


class LakeRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """The `online_store` block of feature_store.yaml: Feast's settings of Redis and these."""

    type: Literal["features.stores.online_redis.LakeRedisOnlineStore"] = (
        "features.stores.online_redis.LakeRedisOnlineStore"
    )
    connection_string: str = "redis://localhost:6379/0"
    """A URL (redis:// or rediss://) whose password stands by reference, `${env:NAME}`; or Feast's own form."""
    company: str = ""
    """Whose values these are: the first company that writes to a database keeps it."""

    @model_validator(mode="after")
    def _is_one_server(self) -> "LakeRedisOnlineStoreConfig":
        if self.redis_type == RedisType.redis_cluster:
            raise ValueError("redis_cluster is not supported: batches are written in one step, on one server")
        return self


class LakeRedisOnlineStore(WrittenByColumns, RedisOnlineStore):  # type: ignore[misc]
    """Feast's Redis store with a writer and a reader for thousands of entities."""

    _client: Any = None
    _client_async: Any = None
    _script: str | None = None

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write as `online_write_batch` does; the loop waits, for milliseconds."""
        self.online_write_batch(config, table, data, progress)

    def put(self, config: RepoConfig, view: FeatureView, batch: Batch) -> int:
        """Write a batch and return how many rows were not older than what stood.

        `BATCH_ROWS` rows are one step, seen whole or not at all. Raises `InputError` for a database of another company.
        """
        client = self._get_client(config.online_store)
        names = list(batch.cells)
        fields = [f"_ts:{view.name}".encode(), f"_known:{view.name}".encode()]
        fields += [_mmh3(f"{view.name}:{name}") for name in names]
        known = pa.array(batch.created_us).cast(pa.string()).cast(pa.binary())
        cells = [encode_moments(batch.event_us), known, *(batch.cells[name] for name in names)]
        keys = _bulk([batch.keys], [config.project.encode()])
        rows = pc.binary_join_element_wise(*(_bulk([cell]) for cell in cells), b"")
        head = _arguments(
            [str(len(fields)).encode(), str(config.online_store.key_ttl_seconds or 0).encode(), *fields]
        )
        written = 0
        with _connection(client) as connection:
            for start in range(0, len(batch), BATCH_ROWS):
                count = min(BATCH_ROWS, len(batch) - start)
                body = b"".join((_slice(keys, start, count), head, _slice(rows, start, count)))
                written += self._run(
                    client, connection, count, 5 + len(fields) + count * (1 + len(fields)), body
                )
        return written

    def fetch(
        self, config: RepoConfig, views: dict[str, list[str]], keys: pa.Array
    ) -> dict[str, tuple[list[datetime | None], list[Sequence[bytes | None]]]]:
        """Return of each view what stands for the entity keys: moments (naive UTC), and the cells of each feature.

        Views share one reading: their values stand in one hash.
        """
        fields = [
            field
            for view, names in views.items()
            for field in (f"_ts:{view}".encode(), *(_mmh3(f"{view}:{name}") for name in names))
        ]
        client = self._get_client(config.online_store)
        rows = list(_read(client, config.project.encode(), keys, fields))
        columns: list[Sequence[bytes | None]] = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
        found, at = {}, 0
        for view, names in views.items():
            moments: dict[bytes | None, datetime | None] = {
                cell: decode_moment(cell) for cell in set(columns[at])
            }
            found[view] = ([moments[cell] for cell in columns[at]], columns[at + 1 : at + 1 + len(names)])
            at += 1 + len(names)
        return found

    def _run(self, client: Any, connection: Any, keys: int, arguments: int, body: bytes) -> int:
        while True:
            script = self._script or _load(client)
            head = f"*{arguments}\r\n$7\r\nEVALSHA\r\n$40\r\n{script}\r\n${len(str(keys))}\r\n{keys}\r\n"
            connection.send_packed_command([head.encode() + body])
            try:
                written = int(connection.read_response())
            except NoScriptError:  # the server was started anew
                self._script = None
                continue
            self._script = script
            return written

    def _get_client(self, online_store_config: LakeRedisOnlineStoreConfig) -> Any:
        if not self._client:
            address = Secret(online_store_config.connection_string).reveal()
            if address.startswith(("redis://", "rediss://")):
                self._client = Redis.from_url(
                    address, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
                )
            else:
                revealed = online_store_config.model_copy(update={"connection_string": address})
                super()._get_client(revealed)
            _claim(self._client, online_store_config.company)
        return self._client

    async def _get_client_async(self, online_store_config: LakeRedisOnlineStoreConfig) -> Any:
        if not self._client_async:
            address = Secret(online_store_config.connection_string).reveal()
            if address.startswith(("redis://", "rediss://")):
                self._client_async = redis_asyncio.from_url(
                    address, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
                )
            else:
                revealed = online_store_config.model_copy(update={"connection_string": address})
                await super()._get_client_async(revealed)
        return self._client_async


@contextmanager
def _connection(client: Any) -> Iterator[Any]:
    """Lend a connection of the client's pool; one on which anything went wrong is closed, for answers may be under way.

    Raises `StocklakeError` when Redis does not answer or refuses (its memory is full, it is read-only).
    """
    pool = client.connection_pool
    try:
        connection = pool.get_connection()
    except RedisError as error:
        raise _failed(client, error) from error
    try:
        yield connection
    except RedisError as error:
        connection.disconnect()
        raise _failed(client, error) from error
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _failed(client: Any, error: RedisError) -> StocklakeError:
    at = client.connection_pool.connection_kwargs
    return StocklakeError(
        f"Redis at {at.get('host')}:{at.get('port')} did not do as asked ({type(error).__name__}: {error}): see that it runs "
        "and has memory left; what was not written is written by the next run."
    )


def _claim(client: Any, company: str) -> None:
    if not company:
        return
    try:
        client.set("stocklake:company", company, nx=True)
        owner = client.get("stocklake:company").decode()
    except RedisError as error:
        at = client.connection_pool.connection_kwargs
        raise InputError(
            f"Redis at {at.get('host')}:{at.get('port')} cannot be reached or refuses ({type(error).__name__}): start it, or "
            "correct online.redis in company.yaml."
        ) from error
    if owner != company:
        raise InputError(
            f"This Redis database holds the values of company {owner!r}: give {company!r} a database of its own, "
            "another number at the end of the URL in company.yaml."
        )


def _load(client: Any) -> str:
    script = client.script_load(_WRITE)
    return script if isinstance(script, str) else str(script.decode())


def _read(client: Any, project: bytes, keys: pa.Array, fields: list[bytes]) -> Iterator[list[bytes | None]]:
    head, tail = f"*{2 + len(fields)}\r\n$5\r\nHMGET\r\n".encode(), _arguments(fields)
    if len(keys) <= FEW:
        parts = [head + _arguments([key + project]) + tail for key in keys.to_pylist()]
        commands = pa.array([b"".join(parts)], pa.binary())
        starts = [(0, 1, len(keys))] if len(keys) else []
    else:
        commands = pc.binary_join_element_wise(head, _bulk([keys], [project]), tail, b"")
        counts = [(start, min(READ_ROWS, len(keys) - start)) for start in range(0, len(keys), READ_ROWS)]
        starts = [(start, count, count) for start, count in counts]
    with _connection(client) as connection:
        for start, rows, answers in starts:
            connection.send_packed_command([_slice(commands, start, rows)])
            for _ in range(answers):
                yield connection.read_response(disable_decoding=True)


def _bulk(parts: list[pa.Array], tail: Sequence[bytes] = ()) -> pa.Array:
    """Return each row as Redis' protocol has a text: its length, then its parts one behind the other."""
    body = pc.binary_join_element_wise(*parts, *tail, b"") if tail else parts[0]
    sizes = pc.binary_length(body).cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(b"$", sizes, b"\r\n", body, b"\r\n", b"")


def _arguments(texts: Sequence[bytes]) -> bytes:
    return b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)


def _slice(array: pa.Array, start: int, rows: int) -> bytes:
    """Return `rows` texts from `start` on, one behind the other: as they lie in memory."""
    offsets = memoryview(array.buffers()[1]).cast("i")
    begin, end = offsets[array.offset + start], offsets[array.offset + start + rows]
    return bytes(memoryview(array.buffers()[2])[begin:end])
