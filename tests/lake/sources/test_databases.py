"""Tables and queries against a real PostgreSQL and SQLite: after any history the lake holds what the source holds."""

import random
import sqlite3
import threading
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import psycopg2
import pytest

from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import SourceFailed
from lake.ledger import position
from lake.sources.databases.arrow import column_wise
from lake.sources.databases.connecting import Database
from lake.sources.databases.tables import DatabaseSource
from tests.lake.loading_kit import company, load, rows
from tests.lake.sources.database_kit import fetched, lines, run, source
from tests.postgres import PostgresServer


def standing(home) -> list[tuple[object, ...]]:
    return rows(
        home, "SELECT line_id, item, price FROM lake.raw.line WHERE is_deleted IS NOT true ORDER BY line_id"
    )


def there(postgres: PostgresServer, url: str) -> list[tuple[object, ...]]:
    return postgres.execute("SELECT line_id, item, price FROM line ORDER BY line_id", url)


def test_the_whole_of_a_table_replaces_and_an_unchanged_one_is_no_news(tmp_path, line_url):
    home = company(tmp_path)
    run(line_url, "INSERT INTO line SELECT n, 'item ' || n, n * 1.5 FROM generate_series(1, 500) n")
    first = load(home, lines(line_url, write_mode="replace"))
    assert first.totals["loaded"] == 500 and first.is_clean
    assert load(home, lines(line_url, write_mode="replace")).totals["files_skipped"] == 1
    run(line_url, "DELETE FROM line WHERE line_id > 100", "UPDATE line SET item = 'b' WHERE line_id = 1")
    load(home, lines(line_url, write_mode="replace"))
    assert rows(home, "SELECT count(*), min(item) FROM lake.raw.line") == [(100, "b")]
    run(line_url, "DELETE FROM line")
    assert "has no rows" in load(home, lines(line_url, write_mode="replace")).problems[0]
    assert rows(home, "SELECT count(*) FROM lake.raw.line") == [(100,)]


def test_any_history_of_changes_ends_in_the_same_rows(tmp_path, postgres, line_url):
    home, chance = company(tmp_path), random.Random(7)
    made = lines(
        line_url,
        cursor=["changed_at", "line_id"],
        overlap={"minutes": 5},
        deletes={"every_runs": 1},
        rows_per_file=70,
    )
    run(line_url, "INSERT INTO line SELECT n, 'start', n FROM generate_series(1, 100) n")
    for _ in range(3):
        statements = []
        for _ in range(30):
            key = chance.randrange(150)
            statements.append(
                chance.choice(
                    [
                        f"DELETE FROM line WHERE line_id = {key}",
                        f"UPDATE line SET price = price + 1, changed_at = clock_timestamp() WHERE line_id = {key}",
                        f"INSERT INTO line VALUES ({key}, 'new', NULL) ON CONFLICT DO NOTHING",
                    ]
                )
            )
        run(line_url, *statements)
        report = load(home, made)
        assert report.is_clean, report.problems
        assert standing(home) == there(postgres, line_url)
    assert rows(home, "SELECT count(*) > 0 FROM lake.raw.line WHERE is_deleted") == [(True,)]
    cursor = position(Lake.of(home), "line")
    assert cursor is not None and "compared_at" in cursor and len(cursor["cursor"]) == 2


def test_a_row_committed_late_is_found_in_the_overlap(tmp_path, postgres, line_url):
    home, made = company(tmp_path), lines(line_url, cursor="changed_at", overlap={"minutes": 5})
    with closing(psycopg2.connect(line_url)) as slow:
        slow.cursor().execute("INSERT INTO line VALUES (1, 'late', 1)")
        run(line_url, "INSERT INTO line VALUES (2, 'early', 2)")
        assert load(home, made).totals["loaded"] == 1
        slow.commit()
    counts = load(home, made).totals
    assert (counts["loaded"], counts["unchanged"]) == (1, 1)
    assert standing(home) == there(postgres, line_url)


@pytest.mark.parametrize("cursor", [["changed_at", "line_id"], "changed_at"])
def test_append_takes_each_row_once_however_files_are_cut(tmp_path, line_url, cursor):
    home = company(tmp_path)
    made = lines(line_url, write_mode="append", cursor=cursor, rows_per_file=8)
    ties = "timestamptz '2024-01-01' + (n / 4) * interval '1 h'"
    run(line_url, f"INSERT INTO line SELECT n, 'a', n, {ties} FROM generate_series(1, 30) n")
    first, positions = fetched(home, made)
    assert first.height == 30 and len(positions) > 2
    later = ties.replace("2024", "2025")
    run(line_url, f"INSERT INTO line SELECT n, 'a', n, {later} FROM generate_series(31, 41) n")
    for i, place in enumerate(positions):
        rest, _ = fetched(home, made, place)
        before = first.filter(
            pl.col("file").is_in(first["file"].unique(maintain_order=True).head(i + 1).implode())
        )
        assert sorted([*before["line_id"], *rest["line_id"]]) == list(range(1, 42))
    assert fetched(home, made, fetched(home, made)[1][-1])[0].is_empty()


def test_rows_without_a_cursor_are_read_every_time_or_refused(tmp_path, line_url):
    run(
        line_url,
        "INSERT INTO line VALUES (1, 'a', 1), (2, 'b', 2, NULL)".replace("(1, 'a', 1)", "(1, 'a', 1, now())"),
    )
    home = company(tmp_path / "a")
    made = lines(line_url, cursor="changed_at", overlap={"minutes": 1})
    assert load(home, made).totals["loaded"] == 2
    run(line_url, "UPDATE line SET item = 'c' WHERE line_id = 2")
    assert load(home, made).totals["loaded"] == 1
    with pytest.raises(SourceFailed, match="1 rows have no changed_at"):
        fetched(company(tmp_path / "b"), lines(line_url, write_mode="append", cursor="changed_at"))


def test_a_clock_that_runs_ahead_hides_no_later_row(tmp_path, line_url):
    run(
        line_url,
        "INSERT INTO line VALUES (1, 'a', 1, '2999-01-01'), (2, 'b', 2, now()), (3, 'c', 3, 'infinity')",
    )
    home = company(tmp_path / "a")
    made = lines(line_url, cursor="changed_at", overlap={"minutes": 1})
    counts = load(home, made).totals
    assert (counts["loaded"], counts["quarantined"]) == (2, 1)
    run(line_url, "INSERT INTO line VALUES (4, 'd', 4)")
    assert load(home, made).totals["loaded"] == 1
    appended = company(tmp_path / "b")
    report = load(appended, lines(line_url, write_mode="append", cursor="changed_at"))
    assert report.totals["loaded"] == 2 and "lies in the future" in report.problems[0]


def test_types_arrive_as_they_are_or_with_a_reason(tmp_path, line_url):
    run(
        line_url,
        "CREATE TYPE mood AS ENUM ('calm', 'wild')",
        """CREATE TABLE types (n int, exact numeric, at timestamptz, local timestamp, day date, u uuid, doc jsonb,
           bytes bytea, list int[], feeling mood, span interval, flag bool, fixed char(5), real8 float8)""",
        """INSERT INTO types VALUES (1, 12345678901234.5678, '2024-03-31 02:30+05:30', '2024-03-31 02:30', '2024-02-29',
           '2ccbabd4-2030-4161-bdf2-a40998795cbf', '{"a": 1}', '\\x00ff', '{1,2}', 'wild', '1 day 2 h', true, 'ab', 0.1)""",
        "INSERT INTO types (n, exact) VALUES (2, 'NaN')",
        "INSERT INTO types (n, day) VALUES (3, 'infinity')",
        "INSERT INTO types (n, at) VALUES (4, '-infinity')",
        "INSERT INTO types (n, day) VALUES (5, '0044-03-15 BC')",
        "INSERT INTO types (n, exact) VALUES (6, 0.12345)",
    )
    columns = (
        Column("n", "n", "integer", key=True),
        Column("exact", "exact", "number", precision=18, scale=4),
        Column("at", "at", "timestamp"),
        Column("local", "local", "timestamp"),
        Column("day", "day", "date"),
        *(Column(name, name, "string") for name in ("u", "doc", "bytes", "list", "feeling", "span", "fixed")),
        Column("flag", "flag", "boolean"),
        Column("real8", "real8", "number", precision=18, scale=4),
    )
    home = company(tmp_path)
    report = load(home, lines(line_url, columns, write_mode="replace", table="types"))
    assert report.totals | {"loaded": 1, "quarantined": 5} == report.totals, report.problems
    assert rows(
        home, "SELECT * EXCLUDE (_delivery_id, _file, _sheet, _line, _known_at) FROM lake.raw.line"
    ) == [
        (
            1,
            Decimal("12345678901234.5678"),
            datetime(2024, 3, 30, 21, 0),
            datetime(2024, 3, 31, 2, 30),
            datetime(2024, 2, 29).date(),
            "2ccbabd4-2030-4161-bdf2-a40998795cbf",
            '{"a": 1}',
            "00ff",
            "{1,2}",
            "wild",
            "P1DT2H",
            "ab",
            True,
            Decimal("0.1000"),
        )
    ]


def test_the_fallback_reads_the_same_values(line_url):
    run(
        line_url,
        "INSERT INTO line VALUES (1, 'a', 0.00000001 + 1, '2024-01-01 10:00+02'), (2, 'b', NULL, NULL)",
    )
    with Database(source(line_url), "line").session() as session:
        table = column_wise(
            session, "SELECT *, 5 % 3 AS rest, '\\x00ff'::bytea AS b FROM line ORDER BY 1"
        ).read_all()
    assert table.to_pylist() == [
        {
            "line_id": "1",
            "item": "a",
            "price": "1.0000",
            "changed_at": "2024-01-01 08:00:00",
            "rest": "2",
            "b": "00ff",
        },
        {"line_id": "2", "item": "b", "price": None, "changed_at": None, "rest": "2", "b": "00ff"},
    ]


def test_sqlite_by_a_cursor_with_values_that_its_types_do_not_bind(tmp_path):
    home, file = company(tmp_path), tmp_path / "it's erp.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(
            "CREATE TABLE line (line_id INTEGER PRIMARY KEY, item TEXT, price DECIMAL(10, 2), changed_at TEXT)"
        )
        db.executemany(
            "INSERT INTO line VALUES (?, ?, ?, ?)",
            [(n, "x", n / 4, f"2024-01-{n:02} 10:00:00") for n in range(1, 28)]
            + [(28, "odd", "no number", None)],
        )
    made = lines(f"sqlite:///{file}", cursor="changed_at", overlap={"days": 2}, deletes={"every_runs": 1})
    report = load(home, made)
    assert report.totals | {"loaded": 27, "quarantined": 1} == report.totals, report.problems
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("DELETE FROM line WHERE line_id = 3")
        db.execute("UPDATE line SET item = 'late' WHERE line_id = 26")
    report = load(home, made)
    assert report.is_clean and report.totals | {"loaded": 2, "unchanged": 2} == report.totals
    assert rows(home, "SELECT line_id FROM lake.raw.line WHERE is_deleted") == [(3,)]
    by_id = load(company(tmp_path / "b"), lines(f"sqlite:///{file}", write_mode="append", cursor="line_id"))
    assert by_id.totals["loaded"] == 26
    assert (
        "There is no file"
        in load(home, lines(f"sqlite:///{tmp_path}/none.db", cursor="changed_at")).problems[0]
    )
    assert not (tmp_path / "none.db").exists()


def test_a_key_that_comes_back_counts_again(tmp_path, postgres, line_url):
    home = company(tmp_path)
    made = lines(line_url, deletes={"every_runs": 1})
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1, '2024-01-01'), (2, 'b', 2, '2024-01-01')")
    load(home, made)
    run(line_url, "DELETE FROM line WHERE line_id = 1")
    load(home, made)
    assert standing(home) == [(2, "b", Decimal(2))]
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1, '2024-01-01')")
    load(home, made)
    assert standing(home) == there(postgres, line_url)
    run(line_url, "DELETE FROM line")
    assert "all 2 that stand would count as deleted" in load(home, made).problems[0]


def test_keys_are_compared_only_when_it_is_time(tmp_path, line_url):
    home = company(tmp_path)
    made = lines(line_url, cursor="line_id", deletes={"every_hours": 24})
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1), (2, 'b', 2)")
    load(home, made)
    run(line_url, "DELETE FROM line WHERE line_id = 1", "INSERT INTO line VALUES (3, 'c', 3)")
    load(home, made)
    assert [row[0] for row in standing(home)] == [1, 2, 3]


def test_a_comparison_that_finds_nothing_is_not_made_again_at_once(tmp_path, line_url):
    home = company(tmp_path)
    made = lines(line_url, cursor="line_id", deletes={"every_hours": 24})
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1)")
    load(home, lines(line_url, cursor="line_id"))
    assert "compared_at" not in position(Lake.of(home), "line")
    load(home, made)
    place = position(Lake.of(home), "line")
    assert place["cursor"] == [1] and "compared_at" in place


def test_two_fetches_at_once_load_each_row_once(tmp_path, line_url):
    home = company(tmp_path)
    made = lines(line_url, write_mode="append", cursor="line_id", rows_per_file=400)
    run(line_url, "INSERT INTO line SELECT n, 'a', n FROM generate_series(1, 1000) n")
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(load(home, made))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.totals["loaded"] for report in reports) == 1000
    assert rows(home, "SELECT count(*), count(DISTINCT line_id) FROM lake.raw.line") == [(1000, 1000)]


def test_a_new_column_is_named_and_a_changed_question_starts_again(tmp_path, line_url):
    home = company(tmp_path)
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1, '2024-01-01')")
    load(home, lines(line_url, cursor="changed_at"))
    run(line_url, "ALTER TABLE line ADD colour text", "UPDATE line SET colour = 'red'")
    report = load(home, lines(line_url, cursor="changed_at"))
    assert "colour" in str(report.problems) + str([getattr(one, "drift", "") for one in report.files])
    query = {"query": "SELECT line_id, item, price, changed_at FROM line", "cursor": "line_id"}
    run(line_url, "UPDATE line SET item = 'b'")
    assert load(home, lines(line_url, **query)).totals["rows_read"] == 1
    appended = company(tmp_path / "b")
    load(appended, lines(line_url, write_mode="append", **query))
    other = lines(line_url, write_mode="append", **query | {"cursor": "changed_at"})
    assert "rows that stand would be doubled" in load(appended, other).problems[0]


def test_a_hundred_thousand_rows_in_row_groups(tmp_path, line_url):
    run(line_url, "INSERT INTO line SELECT n, 'item ' || n, n / 7.0, timestamptz '2024-01-01' + n * interval '1 s' FROM generate_series(100000, 1, -1) n")  # fmt: skip
    made = lines(line_url, cursor="changed_at", rows_per_file=60_000)
    arrivals = DatabaseSource(company(tmp_path), made).deliveries(None)
    first = next(arrivals)
    frame = pl.read_parquet(first.path)
    assert frame.height == 60_000 and frame["line_id"].is_sorted() and not frame["is_deleted"].any()
    assert first.position["cursor"] == ["2024-01-01 11:10:00"]
    assert next(arrivals).position["cursor"] == [
        str(datetime(2024, 1, 1) + timedelta(seconds=100_000) - timedelta(hours=5, minutes=30))
    ]
    arrivals.close()
