"""One lake through a week of gate runs: new rows alone, a failure, its rows, a waiver, its end; and what may not be waived."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from lake.contracts.model import Check
from lake.errors import GateFailed, GateNotRun, InputError
from lake.failures import failing_rows
from lake.quality import waivers
from lake.quality.waivers import grant, list_waivers, revoke, today
from lake.releases import GateRun, current_release
from tests.lake.quality.house import SALES, House, new_house, problem

SOON = today() + timedelta(days=10)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return new_house(tmp_path_factory.mktemp("waived"))


def asked_of(run: GateRun, table: str, check: str) -> set[str]:
    return {r.asked_of for r in run.results if r.table_name == table and r.check_name == check}


def test_a_failure_is_kept_whole_and_a_person_may_let_it_pass_for_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.gate().passed

    # 30 bad rows of 120, by an update: only changed rows are asked, and tables that did not change are not.
    house.execute("UPDATE lake.raw.sales SET quantity = 9000 WHERE _line < 32")
    failed = house.gate()
    assert [p.line() for p in failed.problems()] == [
        "raw.sales.quantity: 30 rows below -500 or above 5,000 (stop)"
    ]
    assert asked_of(failed, "raw.sales", "is -500 to 5,000") == {"new rows"}
    assert asked_of(failed, "raw.sales", "has one newest version in a delivery") <= {"new rows"}
    assert asked_of(failed, "core.dim_item", "is unique") == {"gate-1"}
    bad = failed.problems()[0]
    kept = list(failing_rows(house.lake, bad.check_id))
    assert len(kept) == 30
    assert {row["quantity"] for row in kept} == {9000}
    assert {"order_id", "item_id", "_file", "_line"} <= set(kept[0])
    again = list(failing_rows(house.lake, bad.check_id, everything=True))
    assert sorted(row["_line"] for row in again) == sorted(row["_line"] for row in kept)
    page = house.company.data_docs / "checks" / f"{bad.check_id}.html"
    assert page.read_text(encoding="utf-8").count("9000") >= 30
    with pytest.raises(GateFailed):
        current_release(house.lake)

    for check, by, reason, until, says in (
        ("*", "Ann", "why", SOON, "no check"),
        ("", "Ann", "why", SOON, "no check"),
        (bad.check_id, " ", "why", SOON, "person and a reason"),
        (bad.check_id, "Ann", "", SOON, "person and a reason"),
        (bad.check_id, "Ann", "why", today() - timedelta(days=1), "not possible"),
        (bad.check_id, "Ann", "why", date(2099, 1, 1), "not possible"),
    ):
        with pytest.raises(InputError, match=says):
            grant(house.lake, check, by=by, reason=reason, until=until)
    good = next(r for r in failed.results if r.outcome == "passed")
    with pytest.raises(InputError, match="nothing to waive"):
        grant(house.lake, good.check_id, by="Ann", reason="in case", until=SOON)
    with pytest.raises(InputError, match="No failing row"):
        grant(house.lake, bad.check_id, by="Ann", reason="why", until=SOON, only_rows={"item_id": "I7"})

    # For some rows: the others still stop, and are counted.
    part = grant(house.lake, bad.check_id, by="Ann", reason="known", until=SOON, only_rows={"item_id": "I0"})
    still = house.gate()
    assert not still.passed
    assert f"(beyond {part.waiver_id}: 14)" in problem(still, "raw.sales", "is -500 to 5,000").observed

    whole = grant(house.lake, bad.check_id, by="Bea", reason="a wholesale day <b>", until=SOON)
    passed = house.gate()
    assert passed.passed
    assert problem(passed, "raw.sales", "is -500 to 5,000").outcome == "waived"
    assert set(current_release(house.lake).waivers) == {part.waiver_id, whole.waiver_id}
    assert "1 waived" in passed.summary()[0]
    assert "a wholesale day &lt;b&gt;" in (house.company.data_docs / "index.html").read_text(encoding="utf-8")
    assert house.gate().is_standing

    # Its last day is over: the same data stops again, without anybody doing anything.
    monkeypatch.setattr("lake.quality.gate.today", lambda: SOON + timedelta(days=1))
    over = house.gate()
    assert not over.passed
    assert not over.is_standing
    monkeypatch.undo()

    revoke(house.lake, whole.waiver_id, by="Cem", reason="too wide")
    with pytest.raises(InputError, match="no waiver"):
        revoke(house.lake, whole.waiver_id, by="Cem", reason="twice")
    assert not house.gate().passed
    with house.lake.read() as connection:
        kinds = {w.waiver_id: w.status(today()) for w in list_waivers(connection)}
        assert connection.execute("SELECT count(*) FROM lake.meta.gate_waiver").fetchone() == (3,)
    assert kinds == {part.waiver_id: "active", whole.waiver_id: "revoked"}
    json.dumps([waivers.Waiver.line(w) for w in (part, whole)])


def test_what_could_not_run_is_not_bad_data_and_cannot_be_waived(tmp_path: Path) -> None:
    house = new_house(tmp_path)
    broken = Check("asks too much", "sql_no_rows", query="select * from {table} where error('no') = 1")
    strange = replace(house, contracts=(replace(SALES, checks=(broken,)), house.contracts[1]))
    run = strange.gate()
    assert (run.status, run.exit_code, run.count("failed")) == ("could not run", 4, 0)
    with pytest.raises(GateNotRun, match="nobody knows"):
        current_release(house.lake)
    with pytest.raises(InputError, match="cannot be waived"):
        grant(house.lake, run.problems()[0].check_id, by="Ann", reason="why", until=SOON)
