"""Time travel: which snapshot a person means, and what differs between two."""

import pytest

from lake.connection import Lake
from lake.errors import InputError
from lake.releases import create_tables
from lake.snapshots import diff, list_snapshots, resolve
from orchestration.shell import ask
from tests.lake.loading_kit import HEADER, company, contract, deliver, load


def change(lake, *statements):
    """Commit statements as one snapshot, and return its id."""
    with lake.write() as connection:
        for statement in statements:
            connection.execute(statement)
    return lake.snapshot()


def release(lake, name, snapshot):
    with lake.write() as connection:
        create_tables(connection)
        connection.execute(
            f"INSERT INTO lake.meta.release VALUES ('{name}', {snapshot}, 'gate', now()::TIMESTAMP, '2024-01-05', [])"
        )


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A lake with a history: (company, lake, snapshots by name)."""
    home = company(tmp_path_factory.mktemp("lived"))
    lake, at = Lake.of(home), {}
    deliver(home, "sales_1.csv", HEADER + "A,1,2.50,2024-01-05\nB,2,2.50,2024-01-05\nbad,x,,\n")
    load(home, contract())
    at["loaded"] = lake.snapshot()
    at["mart"] = change(lake, "CREATE TABLE lake.marts.m AS SELECT 'A' AS item_id, .1 + .2::DOUBLE AS share")
    release(lake, "2024-01-05-s3-1", at["mart"])
    deliver(home, "sales_2.csv", HEADER + "C,3,2.50,2024-01-06\n")
    load(home, contract())
    at["more"] = lake.snapshot()
    at["anew"] = change(
        lake, "CREATE OR REPLACE TABLE lake.marts.m AS SELECT 'A' AS item_id, .3 + 1e-16::DOUBLE AS share"
    )
    at["changed"] = change(
        lake,
        "UPDATE lake.raw.sales SET quantity = 9 WHERE item_id = 'C'",
        "CREATE TABLE lake.marts.n AS SELECT 1 AS a",
    )
    return home, lake, at


def test_the_list_says_what_each_commit_did_and_which_release_pins_it(lived):
    _, lake, at = lived
    known = {one.snapshot_id: one for one in list_snapshots(lake)}
    assert "made raw.sales" in known[at["loaded"]].changes
    assert "added to raw.sales" in known[at["more"]].changes
    assert known[at["mart"]].releases == ("2024-01-05-s3-1",)
    assert list(known) == sorted(known, reverse=True)


def test_a_snapshot_is_meant_by_its_id_its_release_or_its_day(lived):
    _, lake, at = lived
    today = f"{list_snapshots(lake)[0].made_at:%Y-%m-%d}"
    assert resolve(lake, str(at["loaded"])) == at["loaded"]
    assert resolve(lake, "2024-01-05-s3-1") == at["mart"]
    assert resolve(lake, today) == at["changed"]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("99", "There is no snapshot 99"),
        ("2001-02-03", "The lake knew nothing on 2001-02-03"),
        ("2999-01-01", "yet to come"),
        ("2024-02-30", "no day of the calendar"),
        ("yesterday", "no snapshot, release or day"),
        ("-1", "no snapshot, release or day"),
        ("1; drop table x", "no snapshot, release or day"),
    ],
)
def test_what_is_not_there_is_told_in_one_sentence(lived, at, said):
    with pytest.raises(InputError, match=said):
        resolve(lived[1], at)


def test_the_difference_is_counted_by_table(lived):
    _, lake, at = lived
    sales = {one.table: one for one in diff(lake, at["loaded"], at["more"])}
    assert (sales["raw.sales"].inserted, sales["raw.sales"].deleted) == (1, 0)
    assert (sales["marts.m"].what, sales["marts.m"].inserted) == ("made", 1)
    last = {one.table: one for one in diff(lake, at["anew"], at["changed"])}
    assert (last["raw.sales"].inserted, last["raw.sales"].deleted) == (1, 1)
    assert set(last) == {"raw.sales", "marts.n"}
    assert diff(lake, at["more"], at["more"]) == []


def test_a_table_made_anew_is_compared_by_its_contents_and_noise_of_doubles_is_none(lived):
    _, lake, at = lived
    (made_anew,) = diff(lake, at["more"], at["anew"])
    assert (made_anew.what, made_anew.inserted, made_anew.deleted) == ("made anew", 0, 0)
    assert made_anew.how == "contents compared"


def test_the_older_snapshot_comes_first(lived):
    _, lake, at = lived
    with pytest.raises(InputError, match="name the older one first"):
        diff(lake, at["more"], at["loaded"])


def test_a_query_sees_the_lake_as_it_stood_and_writes_nothing(lived, capsys):
    _, lake, at = lived
    ask(
        lake,
        "SELECT sum(quantity)::INTEGER AS n FROM raw.sales",
        resolve(lake, "2024-01-05-s3-1"),
        as_json=True,
    )
    assert '"n": 3' in capsys.readouterr().out
    with pytest.raises(InputError, match="refused"):
        ask(lake, "DELETE FROM raw.sales", at["mart"], as_json=True)
