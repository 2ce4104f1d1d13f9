"""The commands that report: JSON and nothing else, sense before the first run, and a shell that only reads."""

import json

import pytest

from tests.end_to_end.house import assert_one_sentence

REPORTS = {
    ("status",): "no release yet",
    ("quarantine", "list"): "Nothing is in quarantine.",
    ("quarantine", "show"): "Nothing in quarantine answers to that.",
    ("releases", "list"): "There is no release yet",
    ("orders", "list"): "No proposal is open.",
    ("contract", "lint"): "All contracts of example are sound.",
}


@pytest.mark.parametrize("command", REPORTS, ids=" ".join)
def test_before_the_first_run_every_report_says_something_sensible(stocklake, command) -> None:
    plain = stocklake(*command)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert REPORTS[command] in plain.stdout
    machine = stocklake(*command, "--json")
    assert (machine.returncode, machine.stderr) == (0, "")
    json.loads(machine.stdout)


def test_before_the_first_run_no_order_can_be_explained(stocklake) -> None:
    assert_one_sentence(stocklake("orders", "explain", "X"), 2, "No order has been proposed yet")


def test_ingest_of_an_empty_inbox_names_what_never_arrived(stocklake) -> None:
    done = stocklake("ingest", "--json")
    assert done.returncode == 2
    problems = json.loads(done.stdout)["problems"]
    assert done.stderr.splitlines() == [f"stocklake: {problem}" for problem in problems]
    assert all("has ever arrived: put it at" in problem for problem in problems)
    assert_one_sentence(stocklake("ingest", "--dataset", "nothing"), 2, "No contract has dataset nothing")


WRONG = [
    ("nonsense",), ("status", "extra"), ("orders", "explain"), ("sql", "--snapshot", "x"), ("quarantine", "show", "--limit", "0"),
]  # fmt: skip


@pytest.mark.parametrize("command", WRONG, ids=" ".join)
def test_wrong_arguments_are_told_with_exit_code_2(stocklake, command) -> None:
    done = stocklake(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage" in done.stderr
    assert "Traceback" not in done.stderr


def test_sql_answers_a_query(stocklake) -> None:
    done = stocklake(
        "sql", "select count(*) as n from information_schema.schemata where catalog_name = 'lake'", "--json"
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["n"] >= 8
    assert stocklake("sql", "select 1", "--snapshot", "0").returncode == 0
    assert_one_sentence(stocklake("sql", "select 1", "--snapshot", "99"), 2, "There is no snapshot 99")


REFUSED = [
    "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "select * from read_text('FILE')",
    "select * from glob('/etc/*')", "select * from sqlite_scan('FILE', 'ducklake_table')",
    "select * from \"sqlite_scan\"('FILE', 'ducklake_table')", "select * from query('select 1')",
    "select * from ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "copy (select 1) to 'FILE.csv'", "explain analyze copy (select 1) to 'FILE.csv'", "export database 'FILE'",
    "attach 'FILE.db'", "install httpfs", "load httpfs", "create table lake.raw.x as select 1", "create temp table x as select 1",
    "insert into lake.meta.guard select 1", "drop schema lake.raw", "set enable_external_access = true", "use memory",
    "call ducklake_expire_snapshots('lake', versions => [1])", "select 1; drop schema lake.raw", "selec 1",
    "select * from nowhere", "", "select 'unfinished",
]  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_sql_neither_writes_nor_leaves_the_lake(stocklake, tmp_path, query) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret\n", encoding="utf-8")
    done = stocklake("sql", query.replace("FILE", str(outside)))
    assert_one_sentence(done, 2)
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.glob("outside*")) == ["outside"]


def test_an_unexpected_error_is_one_sentence_and_a_traceback_on_request(stocklake, empty_house) -> None:
    assert stocklake("status").returncode == 0
    empty_house.company.catalog.write_bytes(b"no catalogue at all" * 100)
    assert_one_sentence(stocklake("status"), 1, "something unexpected failed", "--debug")
    done = empty_house.cli("--debug", "status")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
