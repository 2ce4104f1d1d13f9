"""PostgreSQL's change log as it comes over the wire: messages of the output plugin pgoutput, protocol version 1.

Format: PostgreSQL documentation, chapter "Logical Replication Message Formats". All values are text. Here only bytes
become messages; what they do to a dataset is `changes.py`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Literal

PROTOCOL = "1"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_BEGIN, _COMMIT = struct.Struct("!qqi"), struct.Struct("!bqqq")
_INT16, _INT32, _COLUMN = struct.Struct("!h"), struct.Struct("!I"), struct.Struct("!Ii")


class Unchanged(Enum):
    """A large value that an update did not touch: the log does not repeat it."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value = str | None | Unchanged


class MalformedMessage(ValueError):
    """Bytes that are no message of the protocol."""


@dataclass(frozen=True)
class Begin:
    """A committed transaction begins; all that follows until `Commit` is one transaction."""

    commit_lsn: int
    committed_at: datetime
    """UTC, without a zone."""


@dataclass(frozen=True)
class Commit:
    """The transaction is complete."""

    end_lsn: int
    """Where the log goes on: what is confirmed to the server once the transaction is kept."""


@dataclass(frozen=True)
class RelationColumn:
    """One column of a table."""

    name: str
    type_oid: int
    is_identity: bool
    """Part of what the log says of a row that was deleted."""


@dataclass(frozen=True)
class Relation:
    """A table as it was when the changes after this message were made."""

    oid: int
    schema: str
    name: str
    is_full: bool
    """REPLICA IDENTITY FULL: updates and deletes carry the whole old row."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A row inserted (no old), updated (both, or no old where the identity stayed), or deleted (no new)."""

    oid: int
    operation: Literal["insert", "update", "delete"]
    old: list[Value] | None
    new: list[Value] | None


@dataclass(frozen=True)
class Truncate:
    """All rows of some tables are gone."""

    oids: tuple[int, ...]


Message = Begin | Commit | Relation | Change | Truncate


def decode(data: bytes) -> Message | None:
    """Return the message that the bytes are; None for one that changes nothing here (type, origin, logical message).

    Raises `MalformedMessage`.
    """
    reading = _READERS.get(data[:1])
    if reading is None:
        raise MalformedMessage(f"a message begins with {data[:1]!r}, which protocol {PROTOCOL} does not have")
    try:
        return reading(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"a message {data[:1]!r} of {len(data)} bytes is cut off ({error})") from None


def _begin(data: bytes) -> Begin:
    lsn, microseconds, _ = _BEGIN.unpack_from(data, 1)
    return Begin(lsn, (_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None))


def _commit(data: bytes) -> Commit:
    return Commit(_COMMIT.unpack_from(data, 1)[2])


def _insert(data: bytes) -> Change:
    return Change(_oid(data), "insert", None, _row(data, 6)[1])


def _delete(data: bytes) -> Change:
    return Change(_oid(data), "delete", _row(data, 6)[1], None)


def _truncate(data: bytes) -> Truncate:
    (count,) = _INT32.unpack_from(data, 1)
    return Truncate(struct.unpack_from(f"!{count}I", data, 6))


def _update(data: bytes) -> Change:
    kind, row, end = _row(data, 6)
    if kind == b"N":
        return Change(_oid(data), "update", None, row)
    return Change(_oid(data), "update", row, _row(data, end + 1)[1])


def _row(data: bytes, start: int) -> tuple[bytes, list[Value], int]:
    """Return kind (K and O before, N after), values, and where the row ends; `start` is behind its kind."""
    (count,) = _INT16.unpack_from(data, start)
    values: list[Value] = []
    at = start + 2
    for _ in range(count):
        mark = data[at]
        at += 1
        if mark == 0x74:  # t
            (length,) = _INT32.unpack_from(data, at)
            at += 4 + length
            if at > len(data):
                raise IndexError("a value ends beyond its message")
            values.append(data[at - length : at].decode())
        elif mark == 0x6E:  # n
            values.append(None)
        elif mark == 0x75:  # u
            values.append(UNCHANGED)
        else:
            raise MalformedMessage(f"a value is marked {chr(mark)!r}, which is not text")
    return data[start - 1 : start], values, at


def _oid(data: bytes) -> int:
    (oid,) = _INT32.unpack_from(data, 1)
    return int(oid)


def _relation(data: bytes) -> Relation:
    schema, at = _string(data, 5)
    name, at = _string(data, at)
    identity = data[at : at + 1]
    (count,) = _INT16.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        is_identity = bool(data[at] & 1)
        column, at = _string(data, at + 1)
        type_oid, _ = _COLUMN.unpack_from(data, at)
        at += _COLUMN.size
        columns.append(RelationColumn(column, type_oid, is_identity))
    return Relation(_oid(data), schema, name, identity == b"f", tuple(columns))


def _string(data: bytes, start: int) -> tuple[str, int]:
    end = data.index(b"\0", start) if b"\0" in data[start:] else -1
    if end < 0:
        raise IndexError("a name has no end")
    return data[start:end].decode(), end + 1


_READERS: dict[bytes, Callable[[bytes], Message | None]] = {
    b"B": _begin,
    b"C": _commit,
    b"R": _relation,
    b"I": _insert,
    b"U": _update,
    b"D": _delete,
    b"T": _truncate,
    **dict.fromkeys((b"Y", b"O", b"M"), lambda _: None),
}
