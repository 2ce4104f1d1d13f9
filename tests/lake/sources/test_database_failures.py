"""Databases that fail, and contracts that ask for what would double or lose rows: one sentence, nothing half done."""

import pytest

from lake.contracts.linting import lint
from lake.contracts.model import Column
from lake.contracts.reading import load_contracts
from lake.errors import SourceFailed
from lake.secrets import Secret
from lake.sources.databases.connecting import Database
from lake.sources.databases.settings import DatabaseSettings
from lake.sources.databases.tables import DatabaseSource
from tests.lake.contracts.conftest import GOOD, ITEM, make
from tests.lake.loading_kit import company, contract, load, rows
from tests.lake.sources.database_kit import COLUMNS, fetched, lines, run, source

__all__ = ["make"]

SETTINGS = """\
  - server: erp
    type: custom
    format: parquet
    customProperties:
      - property: source
        value:
          kind: database
          url: postgresql://reader:${env:ERP_PASSWORD}@erp.example/erp
          table: sales.order_line
          cursor: [changed_at, line_id]
          overlap: {minutes: 10}
"""


def written(server: str) -> str:
    """A contract with this server."""
    return GOOD[: GOOD.index("  - server: export")] + server + GOOD[GOOD.index("schema:\n") :]


def test_a_contract_names_a_database(make):
    home = make(sales=written(SETTINGS), item=ITEM)
    assert lint(home) == []
    settings = next(one.source for one in load_contracts(home) if one.dataset == "sales")
    assert isinstance(settings, DatabaseSettings)
    assert (settings.table, settings.cursor) == ("sales.order_line", ("changed_at", "line_id"))
    assert "${env:ERP_PASSWORD}" in repr(settings.url)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("${env:ERP_PASSWORD}", "hunter2", "a password stands in no contract"),
        ("overlap: {minutes: 10}", "overlap: {minutes: 10, units: 5}", "write one of minutes, hours, days"),
        ("overlap: {minutes: 10}", "deletes: {every_runs: 3}", "deletes mark rows"),
        ("format: parquet", "format: csv", "write `format: parquet`"),
        ("table: sales.order_line", "tabel: sales.order_line", "tabel"),
        ("kind: database", "kind: databse", "did you mean database?"),
    ],
)
def test_what_is_wrong_in_it_is_told(make, old, new, message):
    problems = lint(make(sales=written(SETTINGS.replace(old, new)), item=ITEM))
    assert any(message in problem.message for problem in problems), problems
    assert "hunter2" not in str(problems)


def test_a_connection_that_drops_half_way_commits_whole_files_and_goes_on(
    tmp_path, postgres, line_url, monkeypatch
):
    home = company(tmp_path)
    made = lines(line_url, write_mode="append", cursor="line_id", rows_per_file=40_000)
    run(line_url, "INSERT INTO line SELECT n, repeat('x', 500), n FROM generate_series(1, 100000) n")
    whole = DatabaseSource.deliveries

    def dropped(self, position):
        for i, arrival in enumerate(whole(self, position)):
            if i == 0:
                name = line_url.rpartition("/")[2]
                postgres.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                )
            yield arrival

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseSource, "deliveries", dropped)
        report = load(home, made)
    assert "Reading failed in the database" in report.problems[0]
    (loaded,) = rows(home, "SELECT count(*) FROM lake.raw.line")[0]
    assert 0 < loaded < 100_000 and loaded % 40_000 == 0
    assert load(home, made).totals["loaded"] == 100_000 - loaded
    assert rows(home, "SELECT count(DISTINCT line_id) FROM lake.raw.line") == [(100_000,)]


def test_what_goes_wrong_is_one_sentence_without_the_password(tmp_path, postgres, line_url, monkeypatch):
    run(line_url, "INSERT INTO line VALUES (1, 'a', 1)")
    home = company(tmp_path)
    monkeypatch.setenv("ERP_PASSWORD", "hunter2")
    template = line_url.replace(postgres.password, "${env:ERP_PASSWORD}")
    problems = {
        "password authentication failed": lines(template),
        'relation "gone" does not exist': lines(line_url, table="gone"),
        "Connection refused": lines(template.replace(f":{postgres.port}/", ":1/")),
        "no column 'altered_at'": lines(line_url, cursor="altered_at"),
        "was it renamed to 'line_id'": lines(line_url, (Column("lineid", "lineid", "integer", key=True),), "upsert"),
        "syntax error": lines(line_url, query="SELEC 1"),
        "statement timeout": lines(line_url, query="SELECT line_id, item, pg_sleep(5)::text AS price, changed_at FROM line",
                                   statement_timeout_seconds=1),
        "column 'line_id' twice": lines(line_url, query="SELECT a.*, b.line_id FROM line a, line b"),
        "read-only transaction": lines(line_url, query="SELECT nextval('s')::int AS line_id, 'a' AS item"),
        "none that SQLAlchemy knows": lines("what://${env:ERP_PASSWORD}@x/y"),
        "needs the Python package": lines("mysql+mysqldb://u:${env:ERP_PASSWORD}@x/y"),
        "is of times": lines(line_url, cursor="line_id", overlap={"minutes": 5}),
    }  # fmt: skip
    run(line_url, "CREATE SEQUENCE s")
    for sentence, made in problems.items():
        with pytest.raises(SourceFailed) as failure:
            fetched(home, made, {"of": "line by line_id", "cursor": [1]})
        problem = str(failure.value)
        assert sentence in problem, problem
        assert "hunter2" not in problem and postgres.password not in problem
        assert "\n" not in problem


def test_a_password_in_a_contract_is_refused():
    for url in ("postgresql://me:secret@erp/x", "mysql://me:p${env:A}x@erp/x"):
        with pytest.raises(ValueError, match="a password stands in no contract"):
            source(url)
    assert source("postgresql://me:${env:A}@erp/x").url == Secret("postgresql://me:${env:A}@erp/x")
    assert source("postgresql://me@erp/x").url.template


def test_a_fetch_reads_in_a_transaction_that_may_not_write(line_url):
    with Database(source(line_url), "line").session() as session, pytest.raises(Exception, match="read-only"):
        session.run("INSERT INTO line VALUES (1, 'a', 1)")


def test_settings_object_to_what_would_double_or_lose_rows(line_url):
    def problems(**changes) -> list[str]:
        settings = source(line_url, **changes.pop("source", {}))
        made = contract(
            "line", COLUMNS, source=settings, **{"location": {"path": "", "format": "parquet"}} | changes
        )
        return list(settings.problems(made))

    assert "overlap reads rows again" in problems(source={"cursor": "a", "overlap": {"hours": 1}})[0]
    assert "doubles every row" in problems()[0]
    assert "takes it for all" in problems(source={"cursor": "a"}, write_mode="replace")[0]
    assert "deletion_column" in problems(source={"deletes": {"every_runs": 2}}, write_mode="upsert")[0]
    assert "format: parquet" in problems(write_mode="upsert", location={"path": "", "format": "csv"})[0]
    for wrong in ({"overlap": {"minutes": 5}}, {"table": "a", "query": "b"}, {"cursor": "a", "overlap": {}}):
        with pytest.raises(ValueError, match=r"write one of|add `cursor`"):
            source(line_url, **wrong)


def test_a_source_that_fails_leaves_its_position(tmp_path, line_url):
    source_ = DatabaseSource(company(tmp_path), lines(line_url, table="gone", cursor="changed_at"))
    with pytest.raises(SourceFailed):
        next(source_.deliveries({"of": "gone by changed_at", "cursor": ["2024-01-01"]}))
