"""Feast's online format by columns: Arrow arrays to the bytes of entity keys and values, and back.

Entity keys are those of `entity_key_serialization_version: 3`, values are serialised `feast.types.Value` messages, an
empty one is null. Feast makes them one value at a time (some 5,000 rows of 20 features a CPU second); here a column is
made at once. `online_redis.py` and `online_sqlite.py` say where the bytes go.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from google.protobuf.timestamp_pb2 import Timestamp

from lake.errors import StocklakeError

Bytes = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
FEW = 16
"""Rows up to which one by one is quicker than by columns."""
UNKNOWN = -1
"""The moment when a row became known, of a row that has none."""

_EMPTY = pa.scalar(b"", pa.binary())
_MICROSECOND = pa.timestamp("us")


@dataclass(frozen=True)
class _Kind:
    tag: int
    """First byte of the message: field number and wire type."""
    arrow: pa.DataType
    width: int = 0
    """Bytes of a value of fixed size; 0 for varints, texts and bytes."""


_KINDS = {
    ValueType.BYTES: _Kind(0x0A, pa.binary()),
    ValueType.STRING: _Kind(0x12, pa.string()),
    ValueType.INT32: _Kind(0x18, pa.int32()),
    ValueType.INT64: _Kind(0x20, pa.int64()),
    ValueType.DOUBLE: _Kind(0x29, pa.float64(), 8),
    ValueType.FLOAT: _Kind(0x35, pa.float32(), 4),
    ValueType.BOOL: _Kind(0x38, pa.bool_()),
    ValueType.UNIX_TIMESTAMP: _Kind(0x40, pa.timestamp("s")),
}
_KEY_TYPES = {
    ValueType.BYTES: 1,
    ValueType.STRING: 2,
    ValueType.INT32: 3,
    ValueType.INT64: 4,
    ValueType.UNIX_TIMESTAMP: 8,
}


@dataclass(frozen=True)
class Batch:
    """Rows of one view as the online stores keep them; all arrays have one length.

    `event_us` and `created_us` (microseconds since 1970, UTC) order what is said of one entity: when it was true, then
    when it was known (`UNKNOWN` comes before everything).
    """

    keys: pa.Array
    event_us: Int64
    created_us: Int64
    cells: dict[str, pa.Array]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keys)

    def slice(self, start: int, rows: int) -> "Batch":
        """Return `rows` rows from `start` on."""
        stop = start + rows
        cells = {name: column.slice(start, rows) for name, column in self.cells.items()}
        return Batch(
            self.keys.slice(start, rows), self.event_us[start:stop], self.created_us[start:stop], cells
        )


def batch_of_table(view: FeatureView, table: pa.Table) -> Batch:
    """Return the rows of a table (columns by their feature names) as a batch of the view.

    Rows without a key or a moment are left out: nobody could ask for them. Raises ValueError for moments before 1970.
    """
    source = view.batch_source
    needed = [*view.join_keys, source.timestamp_field]
    for name in needed:
        if table.column(name).null_count:
            table = table.filter(pc.is_valid(table.column(name)))
    created = source.created_timestamp_column
    types = {field.name: field.dtype.to_value_type() for field in (*view.entity_columns, *view.features)}
    return Batch(
        keys=encode_keys({name: (table.column(name), types[name]) for name in view.join_keys}),
        event_us=_event_moments(view, _microseconds(table.column(source.timestamp_field))),
        created_us=_microseconds(table.column(created)) if created else np.full(len(table), UNKNOWN),
        cells={
            field.name: encode_values(table.column(field.name), types[field.name]) for field in view.features
        },
    )


def batches_of_protos(
    view: FeatureView, data: Sequence[tuple[Any, dict[str, Any], datetime, datetime | None]]
) -> Iterable[Batch]:
    """Return rows as Feast passes them to `online_write_batch`; rows with the same features are one batch."""
    groups: dict[tuple[str, ...], list[tuple[Any, dict[str, Any], datetime, datetime | None]]] = {}
    for row in data:
        groups.setdefault(tuple(row[1]), []).append(row)
    for names, rows in groups.items():
        yield Batch(
            keys=pa.array([serialize_entity_key(key, 3) for key, *_ in rows], pa.binary()),
            event_us=_event_moments(view, np.array([_moment(event) for _, _, event, _ in rows], np.int64)),
            created_us=np.array([_moment(created) for *_, created in rows], np.int64),
            cells={
                name: pa.array([values[name].SerializeToString() for _, values, *_ in rows], pa.binary())
                for name in names
            },
        )


def encode_keys(columns: dict[str, tuple[pa.Array | pa.ChunkedArray, ValueType]]) -> pa.Array:
    """Return Feast's entity key of every row; `columns` are the join keys without nulls, with their types."""
    prefix = serialize_entity_key_prefix(list(columns), 3)
    parts: list[Any] = [pa.scalar(prefix, pa.binary())]
    few: list[list[bytes]] = []
    for name in sorted(columns):
        values, value_type = columns[name]
        if value_type not in _KEY_TYPES:
            raise ValueError(
                f"Entity key {name!r} is {value_type.name}: Feast keys are texts, bytes or whole numbers."
            )
        if value_type in (ValueType.STRING, ValueType.BYTES):
            body = _cast(values, value_type).cast(pa.binary())
        else:
            width = "<i4" if value_type == ValueType.INT32 else "<i8"
            body = _fixed(_integers(_cast(values, value_type)).astype(width), b"")
        if len(body) <= FEW:
            kind = _KEY_TYPES[value_type]
            few.append([struct.pack("<II", kind, len(one)) + one for one in body.to_pylist()])
            continue
        sizes = pc.binary_length(body).to_numpy(zero_copy_only=False).astype("<u4")
        parts += [_fixed(sizes, np.array(_KEY_TYPES[value_type], "<u4").tobytes()), body]
    if few:
        return pa.array([prefix + b"".join(row) for row in zip(*few, strict=True)], pa.binary())
    return pc.binary_join_element_wise(*parts, _EMPTY)


def encode_values(values: pa.Array | pa.ChunkedArray, value_type: ValueType) -> pa.Array:
    """Return the serialised `Value` of every element; null is empty. Raises ValueError for a type that is no scalar."""
    if value_type not in _KINDS:
        raise ValueError(
            f"Values of type {value_type.name} are not written by columns: use {', '.join(t.name for t in _KINDS)}, "
            "or write through Feast's online_write_batch."
        )
    kind = _KINDS[value_type]
    array = _cast(values, value_type)
    if kind.width:
        numbers = array.fill_null(0).to_numpy(zero_copy_only=False)
        cells = _fixed(numbers.astype(f"<f{kind.width}", copy=False), bytes([kind.tag]))
    elif value_type in (ValueType.STRING, ValueType.BYTES):
        body = array.cast(pa.binary()).fill_null(b"")
        sizes = pc.binary_length(body).to_numpy(zero_copy_only=False).astype(np.int64)
        cells = pc.binary_join_element_wise(_varints(sizes, kind.tag), body, _EMPTY)
    else:
        cells = _varints(_integers(array), kind.tag)
    return pc.if_else(array.is_valid(), cells, _EMPTY) if array.null_count else cells


def decode_values(cells: pa.Array, value_type: ValueType) -> pa.Array:
    """Return what the serialised values say; nothing there (null) and empty are both null.

    Raises `StocklakeError` when a value is of another type: the definitions changed after it was written.
    """
    kind = _KINDS[value_type]
    rows = len(cells)
    sizes = pc.binary_length(cells).fill_null(0).to_numpy(zero_copy_only=False)
    there = sizes > 0
    offsets = np.frombuffer(cells.buffers()[1], np.int32)[cells.offset : cells.offset + rows]
    data = np.frombuffer(cells.buffers()[2] or b"", np.uint8)
    starts, sizes = offsets[there].astype(np.int64), sizes[there]
    if (data[starts] != kind.tag).any() or (kind.width and (sizes != kind.width + 1).any()):
        raise StocklakeError(
            f"A value in the online store is no {value_type.name}, as its definition says: write the newest values "
            "again with `stocklake run --select features`."
        )
    if value_type in (ValueType.STRING, ValueType.BYTES):
        return _texts(data, starts, sizes.astype(np.int64), there, kind)
    values: npt.NDArray[Any]
    if kind.width:
        body = data[starts[:, None] + np.arange(1, kind.width + 1)]
        values = np.zeros(rows, f"<f{kind.width}")
        values[there] = np.ascontiguousarray(body).view(f"<f{kind.width}").ravel()
    else:
        values = np.zeros(rows, np.int64)
        values[there] = _read_varints(data, starts + 1, sizes - 1)
    if value_type == ValueType.BOOL:
        values = values.astype(bool)
    elif value_type == ValueType.INT32:
        values = values.astype(np.int32)
    array = pa.array(values, mask=~there)
    return array.cast(kind.arrow) if value_type == ValueType.UNIX_TIMESTAMP else array


def encode_moments(moments_us: Int64) -> pa.Array:
    """Return microseconds since 1970 as serialised `Timestamp` messages."""
    seconds, nanoseconds = moments_us // 1_000_000, moments_us % 1_000_000 * 1000
    whole = _varints(seconds, 0x08)
    if not nanoseconds.any():
        return whole
    rest = pc.if_else(pa.array(nanoseconds != 0), _varints(nanoseconds, 0x10), _EMPTY)
    return pc.binary_join_element_wise(whole, rest, _EMPTY)


def decode_moment(cell: bytes | None) -> datetime | None:
    """Return the moment (naive UTC) of a serialised `Timestamp`; None for nothing."""
    return Timestamp.FromString(cell).ToDatetime() if cell else None


def _texts(data: Bytes, starts: Int64, sizes: Int64, there: npt.NDArray[np.bool_], kind: _Kind) -> pa.Array:
    """Return what stands behind each cell's head: a tag and the length, which is a varint."""
    is_text = np.ones(len(data), bool)
    standing, heads = starts.copy(), np.ones(len(starts), np.int64)
    is_text[standing] = False
    is_long = np.ones(len(starts), bool)
    while is_long.any():
        standing, heads = standing + is_long, heads + is_long
        is_text[standing[is_long]] = False
        is_long &= data[standing] > 0x7F
    lengths = np.zeros(len(there), np.int64)
    lengths[there] = sizes - heads
    first, last = (int(starts[0]), int(starts[-1] + sizes[-1])) if len(starts) else (0, 0)
    texts = _binary(data[first:last][is_text[first:last]], lengths)
    return pc.if_else(pa.array(there), texts, pa.scalar(None, pa.binary())).cast(kind.arrow)


def _cast(values: pa.Array | pa.ChunkedArray, value_type: ValueType) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # of no chunk, or too long for one
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    target = _KINDS[value_type].arrow
    if value_type == ValueType.UNIX_TIMESTAMP and pa.types.is_timestamp(array.type):
        target = pa.timestamp("s", array.type.tz)
        return array.cast(target, safe=False)
    return array if array.type == target else array.cast(target)


def _integers(array: pa.Array) -> Int64:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    numbers: Int64 = array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return numbers


def _fixed(numbers: npt.NDArray[Any], head: bytes) -> pa.Array:
    """Return each number's bytes behind the same head."""
    width = len(head) + numbers.itemsize
    cells = np.empty((len(numbers), width), np.uint8)
    cells[:, : len(head)] = np.frombuffer(head, np.uint8)
    cells[:, len(head) :] = (
        np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), numbers.itemsize)
    )
    return _binary(cells, np.full(len(numbers), width))


def _varints(numbers: Int64, tag: int) -> pa.Array:
    """Return each number as a varint behind its tag; a negative one takes ten bytes, as protobuf has it."""
    unsigned = numbers.astype(np.uint64)
    most = int(unsigned.max()) if len(unsigned) else 0
    width = max(1, -(-most.bit_length() // 7))
    groups = unsigned[:, None] >> (np.arange(width, dtype=np.uint64) * np.uint64(7))
    sizes = 1 + (groups[:, 1:] != 0).sum(axis=1)
    cells = np.empty((len(numbers), width + 1), np.uint8)
    cells[:, 0] = tag
    cells[:, 1:] = (groups & np.uint64(0x7F)).astype(np.uint8) | np.uint8(0x80)
    cells[np.arange(len(numbers)), sizes] &= 0x7F
    if width == 1:
        return _binary(cells, np.full(len(numbers), 2))
    return _binary(cells[np.arange(width + 1) <= sizes[:, None]], sizes + 1)


def _read_varints(data: Bytes, starts: Int64, sizes: Int64) -> Int64:
    numbers = np.zeros(len(starts), np.uint64)
    for place in range(int(sizes.max()) if len(sizes) else 0):
        rows = sizes > place
        group = (data[starts[rows] + place] & 0x7F).astype(np.uint64)
        numbers[rows] |= group << np.uint64(7 * place)
    return numbers.astype(np.int64)


def _binary(data: Bytes, sizes: npt.NDArray[Any]) -> pa.Array:
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(sizes), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    )


def _microseconds(column: pa.ChunkedArray) -> Int64:
    """Return moments (naive is UTC) as microseconds since 1970; null is `UNKNOWN`."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    whole = array.cast(pa.timestamp("us", zone) if zone else _MICROSECOND, safe=False).cast(pa.int64())
    moments: Int64 = whole.fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
    return moments


def _moment(moment: datetime | None) -> int:
    if moment is None or pd.isna(moment):
        return UNKNOWN
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _event_moments(view: FeatureView, moments_us: Int64) -> Int64:
    if len(moments_us) and int(moments_us.min()) < 0:
        raise ValueError(
            f"Feature view {view.name!r} has rows without an event time, or with one before 1970: online values are "
            "ordered by it; correct the rows where they come from."
        )
    return moments_us
