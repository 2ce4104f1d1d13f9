"""What may heal by itself is tried again; bad data and bugs are not. And any resource can be swapped."""

from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from lake.errors import GateFailed, InputError, LakeBusy
from orchestration.defs.raw.assets import raw_assets
from orchestration.house import RETRIES, House, HouseResource, stage
from tests.lake.loading_kit import HEADER, deliver, rows
from tests.orchestration.kit import failures, open_tiny, resource_over, retries


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_tiny(tmp_path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.house.RETRY_AFTER_S", 0)


def run_step(house: House, error: Exception | None, times: int) -> tuple[dg.ExecuteInProcessResult, int]:
    """Run an asset that raises `error` the first `times` times, and return the result and how often it ran."""
    calls = 0

    @dg.asset
    def work(context: dg.AssetExecutionContext, house: HouseResource) -> None:
        nonlocal calls
        with stage(context, house.open(), "work"):
            calls += 1
            if error and calls <= times:
                raise error

    with dg.instance_for_test() as instance:
        result = dg.materialize(
            [work], resources={"house": resource_over(house)}, instance=instance, raise_on_error=False
        )
    return result, calls


@pytest.mark.parametrize(
    "error", [LakeBusy("Another process writes."), OSError(28, "No space left on device")]
)
def test_a_busy_lake_and_a_full_disk_are_tried_again(house: House, error: Exception) -> None:
    result, calls = run_step(house, error, times=1)
    assert result.success
    assert (calls, retries(result)) == (2, 1)


def test_a_lake_that_stays_busy_fails_in_its_own_words(house: House) -> None:
    result, calls = run_step(house, LakeBusy("Another process writes."), times=9)
    assert (calls, retries(result)) == (1 + RETRIES, RETRIES)
    assert failures(result) == ["Another process writes."]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("sales_1.csv has no column Qty."), 2),
        (GateFailed("3 rows below 0."), 3),
        (ValueError("a bug"), 1),
    ],
)
def test_bad_data_and_bugs_are_not(house: House, error: Exception, code: int) -> None:
    result, calls = run_step(house, error, times=9)
    assert (calls, retries(result)) == (1, 0)
    [said] = failures(result)
    assert str(error) in said
    [failed] = [event for event in result.all_events if event.is_step_failure]
    metadata = failed.step_failure_data.user_failure_data.metadata
    assert metadata["exit_code"].value == code
    journal = rows(house.company, "SELECT stage, succeeded, message FROM lake.meta.run_step")
    assert journal == [("work", False, str(error))]


def test_a_lock_that_is_held_too_long_is_lake_busy(house: House) -> None:
    house.lake.ensure()
    held = FileLock(house.company.writer_lock)
    with (
        held,
        pytest.raises(LakeBusy, match="wait for it, or stop it"),
        house.lake.writer_lock(timeout_s=0.1),
    ):
        pytest.fail("two writers at once")


def test_a_refused_file_fails_its_blocking_check_once_and_loads_the_others(house: House) -> None:
    deliver(house.company, "sales_1.csv", HEADER + "A,1,2.00,2026-01-01\n")
    deliver(house.company, "sales_2.csv", "Item,Day\nA,2026-01-01\n")
    reached = []

    @dg.asset(deps=[["raw", "sales"]])
    def downstream() -> None:
        reached.append("downstream")

    with dg.instance_for_test() as instance:
        result = dg.materialize(
            [raw_assets(house), downstream],
            resources={"house": resource_over(house)},
            instance=instance,
            raise_on_error=False,
        )
    assert not result.success
    assert retries(result) == 0
    assert reached == []
    [check] = result.get_asset_check_evaluations()
    assert (check.passed, check.blocking) == (False, True)
    assert "sales_2.csv" in (check.description or "")
    assert rows(house.company, "SELECT count(*) FROM lake.raw.sales") == [(1,)]
