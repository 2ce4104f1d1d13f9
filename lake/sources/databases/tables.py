"""Tables and queries of any database: whole, or what has changed since a cursor; deletions by comparing keys.

A read sees one state of the source. Its rows come sorted by the cursor and are cut into files; the position of a file is
the cursor in its last row and commits with it, so a connection that drops loses no more than the file under way.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.period import Period
from lake.sources.databases.arrow import batches
from lake.sources.databases.connecting import Database, Session
from lake.sources.databases.cursors import LARGEST_OFFSET, Cursor, like, lowered, moment, written_like
from lake.sources.databases.deletions import tombstones
from lake.sources.databases.parquet_files import Piece, PieceWriter, name_part, pieces
from lake.sources.databases.relations import Relation, look_at
from lake.sources.databases.settings import IDEMPOTENT, DatabaseSettings
from lake.sources.port import Arrival, Position
from lake.sources.ranges import bounds, day_column
from lake.sources.turns import fetching, note_position

_CLOCK_ERROR = timedelta(days=1)


class DatabaseSource:
    """A table or query as a source (`kind: database`)."""

    def __init__(self, company: Company, contract: Contract) -> None:
        """Nothing is connected yet."""
        assert isinstance(contract.source, DatabaseSettings)
        self.company, self.contract, self.settings = company, contract, contract.source
        self.database = Database(self.settings, contract.dataset)
        self.is_idempotent = contract.write_mode in IDEMPOTENT

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield what is new, in the cursor's order. The committed position is read again once no other fetch runs."""
        with fetching(self.company, self.contract) as (folder, committed):
            lake = Lake.of(self.company)
            place: dict[str, Any] = self._continued(position if committed is None else committed)
            # The lake is looked at before the source: what the lake holds then was in the source before.
            compared = lake.snapshot() if self._is_due(place) and lake.exists else None
            with self.database.session() as session:
                relation = look_at(session, self.settings.table, self.settings.query)
                self._check(relation)
                reading = _Reading(self, session, relation, folder, place)
                place["runs"] = int(place.get("runs", 0)) + 1
                is_noted = False
                for arrival in reading.arrivals(lake, compared):
                    is_noted |= arrival.position is not None
                    yield arrival
            if compared is not None and not is_noted:
                note_position(
                    self.company, self.contract, place
                )  # or the keys would be compared again at once

    def between(self, period: Period) -> Iterator[Arrival]:
        """Yield the rows whose business date (or cursor) is of these days, however often they were read."""
        with fetching(self.company, self.contract) as (folder, _), self.database.session() as session:
            relation = look_at(session, self.settings.table, self.settings.query)
            self._check(relation)
            yield from _Reading(self, session, relation, folder, {}).of_days(period)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    @property
    def asked(self) -> str:
        """What is read and by which cursor: a position is worth nothing for anything else."""
        query = hashlib.sha256((self.settings.query or "").encode()).hexdigest()[:12]
        cursor = f" by {', '.join(self.settings.cursor)}" if self.settings.cursor else ""
        return (self.settings.table or f"query {query}") + cursor

    def _continued(self, position: Position | None) -> dict[str, Any]:
        """Return the position to go on from; one of another question is no position."""
        if position is None or position.get("of") == self.asked:
            return dict(position or {"of": self.asked})
        if not self.is_idempotent and self.contract.write_mode == "append":
            raise SourceFailed(
                f"{self.contract.dataset} was read from {position.get('of')!r} until now, and its contract says"
                f" {self.asked!r}: rows that stand would be doubled; give the new question a dataset of its own."
            )
        return {"of": self.asked}

    def _is_due(self, position: Mapping[str, Any]) -> bool:
        deletes = self.settings.deletes
        if deletes is None:
            return False
        if "compared_at" not in position:
            return True
        if deletes.every_runs is not None:
            return int(position.get("runs", 0)) >= deletes.every_runs
        since = datetime.now(UTC) - datetime.fromisoformat(position["compared_at"])
        return abs(since) >= timedelta(hours=deletes.every_hours or 0)

    def _check(self, relation: Relation) -> None:
        """Raise `SourceFailed` for a column that rows cannot do without."""
        for column in self.contract.columns:
            is_needed = column.key or (column.required and column.default is None)
            if is_needed and column.name != self.contract.deletion_column:
                relation.column(column.source_name, "which its contract requires")


class _Reading:
    """One fetch on its way."""

    def __init__(
        self,
        source: DatabaseSource,
        session: Session,
        relation: Relation,
        folder: Path,
        place: dict[str, Any],
    ) -> None:
        self.contract, self.settings, self.database = source.contract, source.settings, source.database
        self.is_idempotent = source.is_idempotent
        self.session, self.relation, self.folder, self.place = session, relation, folder, place
        with self.database.asking("Reading"):
            self.snapshot = session.snapshot()
            self.now = self._now()

    def arrivals(self, lake: Lake, compared: int | None) -> Iterator[Arrival]:
        """Yield tombstones, where keys are to be compared with a snapshot of the lake, and then rows."""
        if compared is not None:
            yield from self.deletions(lake, compared)
        yield from self.incremental() if self.settings.cursor else self.whole()

    def whole(self) -> Iterator[Arrival]:
        """Yield all rows; one file where a delivery stands for the whole content."""
        is_one = "replace" in self.contract.write_mode or self.contract.history.close_missing
        name = f"whole_{self.now:%Y%m%dT%H%M%S}"
        count = 0
        for piece in self._pieces(self.relation.select(), cut=not is_one):
            count += 1
            yield self._arrival(piece, name if is_one else f"{name}_{count}", self.place)
        if is_one and not count:
            raise SourceFailed(
                f"{self.relation.name} has no rows, and {self.contract.write_mode} would empty the dataset: nothing was"
                " changed; fill it, or delete the rows of the dataset yourself."
            )

    def incremental(self) -> Iterator[Arrival]:
        """Yield rows without a cursor, then those from the overlap before the last position on."""
        names = self.settings.cursor
        columns = [self.relation.column(name, "the cursor of its contract") for name in names]
        quoted = [self.database.quote(name) for name in names]
        yield from self._without_cursor(quoted)
        highest = self._highest(quoted[0])
        if highest is None:
            return
        limit = self._limit(highest, has_zone=columns[0].type == "timestamptz")
        upper = highest if self.is_idempotent or limit is None else limit
        conditions = [*self._lower(quoted), f"{quoted[0]} <= {self.database.literal(upper)}"]
        statement = f"{self.relation.select()} WHERE {' AND '.join(conditions)} ORDER BY {', '.join(quoted)}"
        for piece in self._pieces(statement, cut=True):
            last = [like(value, highest) if i == 0 else value for i, value in enumerate(piece.last)]
            if limit is not None and (moment(last[0]) or datetime.min) > (moment(limit) or datetime.max):
                last[0] = limit
            name = f"{names[0]}_{name_part(piece.first[0])}_to_{name_part(piece.last[0])}"
            yield self._arrival(piece, name, self.place | {"cursor": last})
        self._tell_future(highest, limit)

    def of_days(self, period: Period) -> Iterator[Arrival]:
        """Yield the rows of a range of days; one file where the days are partitions that are replaced whole."""
        name = day_column(self.contract, next(iter(self.settings.cursor), None)).source_name
        column = self.relation.column(name, "by which a range of days is asked for")
        quoted = self.database.quote(name)
        conditions = [
            f"{quoted} {sign} {self._day(day, column.type)}"
            for sign, day in zip((">=", "<"), bounds(period), strict=True)
            if day is not None
        ]
        order = self.settings.cursor or (name,)
        statement = (
            f"{self.relation.select()} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {', '.join(map(self.database.quote, order))}"
        )
        cut = self.contract.write_mode != "replace_partition"
        for number, piece in enumerate(self._pieces(statement, cut=cut), 1):
            days = f"{period.first or 'start'}_to_{period.last or 'end'}"
            yield self._arrival(piece, f"{days}_asked_{self.now:%Y%m%dT%H%M%S%f}_{number}", None)

    def _day(self, day: date, column_type: str) -> str:
        """Write the beginning of a day into SQL; of a column with a zone it is the day in UTC."""
        if self.database.dialect != "postgresql":
            return self.database.literal(day)
        return f"'{day} 00:00:00+00'" if column_type == "timestamptz" else f"'{day}'"

    def deletions(self, lake: Lake, lake_snapshot: int) -> Iterator[Arrival]:
        """Yield a tombstone for each key that raw holds and the source does not."""
        self.place |= {"compared_at": datetime.now(UTC).isoformat(timespec="seconds"), "runs": 1}
        names = [self.contract.column(key).source_name for key in self.contract.keys]
        with (
            self.database.asking("Comparing keys"),
            batches(self.session, self.relation.select(names), self.snapshot) as reader,
        ):
            found = tombstones(lake, lake_snapshot, self.contract, reader, self.folder, self.now)
        if found is not None:
            yield self._arrival(found, f"deleted_{self.now:%Y%m%dT%H%M%S}", self.place)

    def _without_cursor(self, quoted: list[str]) -> Iterator[Arrival]:
        """Yield rows that no cursor will ever find; where reading them again would double them, refuse."""
        condition = " OR ".join(f"{name} IS NULL" for name in (quoted[:1] if self.is_idempotent else quoted))
        if self.is_idempotent:
            for piece in self._pieces(f"{self.relation.select()} WHERE {condition}", cut=False):
                yield self._arrival(piece, f"without_{self.settings.cursor[0]}", None)
            return
        with self.database.asking("Looking for rows without a cursor"):
            count = self.session.value(f"SELECT count(*) FROM {self.relation.sql} WHERE {condition}")
        if count:
            raise SourceFailed(
                f"{self.relation.name}: {count} rows have no {' or no '.join(self.settings.cursor)}, so no read after"
                " a cursor finds them: fill it, leave them out by a query, or mark a key and write_mode upsert."
            )

    def _highest(self, quoted: str) -> Cursor | None:
        cast = "::text" if self.database.dialect == "postgresql" else ""
        with self.database.asking("Asking how far the cursor has come"):
            found = self.session.value(f"SELECT max({quoted}){cast} FROM {self.relation.sql}")
        return found if found is None or isinstance(found, str | int | float) else str(found)

    def _limit(self, highest: Cursor, *, has_zone: bool) -> Cursor | None:
        """Return the time beyond which a cursor is a clock's error: no position may go there. None: it is not there."""
        limit = self.now if has_zone else self.now + LARGEST_OFFSET
        time = moment(highest)
        if time is None or time <= limit:
            return None
        sample = str(highest) if str(highest) != "infinity" else "2024-01-31 00:00:00"
        return written_like(limit, sample)

    def _lower(self, quoted: list[str]) -> list[str]:
        """Return the condition of where to go on, if there is one."""
        last = self.place.get("cursor")
        if last is None:
            return []
        if self.is_idempotent:
            overlap = self.settings.overlap.span if self.settings.overlap else None
            low = lowered(last[0], overlap, self.contract.dataset)
            return [f"{quoted[0]} >= {self.database.literal(low)}"]
        literals = [self.database.literal(value) for value in last]
        after = []
        for i in range(len(quoted)):
            equal = [f"{name} = {value}" for name, value in zip(quoted[:i], literals, strict=False)]
            after.append(" AND ".join([*equal, f"{quoted[i]} > {literals[i]}"]))
        return [f"({' OR '.join(f'({one})' for one in after)})"]

    def _tell_future(self, highest: Cursor, limit: Cursor | None) -> None:
        time = moment(highest)
        if (
            self.is_idempotent
            or limit is None
            or time is None
            or time <= self.now + LARGEST_OFFSET + _CLOCK_ERROR
        ):
            return
        raise SourceFailed(
            f"{self.relation.name} has rows whose {self.settings.cursor[0]} lies in the future (up to {highest}): they"
            " wait until their time comes, all others are loaded; correct the clock that wrote them, and the rows."
        )

    def _pieces(self, statement: str, *, cut: bool) -> Iterator[Piece]:
        deleted = self.contract.deletion_column
        constants = {self.contract.column(deleted).source_name: False} if deleted else {}
        writer = PieceWriter(self.folder, self.settings.cursor, constants)
        rows = self.settings.rows_per_file if cut else None
        with self.database.asking("Reading"), batches(self.session, statement, self.snapshot) as reader:
            yield from pieces(reader, writer, rows, keep_ties=not self.is_idempotent)

    def _arrival(self, piece: Piece, name: str, position: Position | None) -> Arrival:
        return Arrival(
            f"{self.contract.dataset}_{name}.parquet",
            piece.path,
            None if position is None else dict(position),
        )

    def _now(self) -> datetime:
        """The source's clock where it has one, in UTC."""
        if self.database.dialect == "postgresql":
            found = self.session.value("SELECT now() AT TIME ZONE 'UTC'")
            assert isinstance(found, datetime)
            return found
        return datetime.now(UTC).replace(tzinfo=None)
