"""One delivery starts one run; a file that is still being written starts none."""

import os
import time
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.landing.sensor import SETTLED_AFTER_S, inbox_sensor
from orchestration.house import House
from tests.lake.loading_kit import HEADER, deliver
from tests.orchestration.kit import open_tiny

ROW = HEADER + "A,1,2.00,2026-01-01\n"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_tiny(tmp_path)


def tick(house: House, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    answer = inbox_sensor(house)(dg.build_sensor_context(cursor=cursor))
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def settled(path: Path, seconds_ago: float = 60) -> Path:
    os.utime(path, times=(time.time() - seconds_ago,) * 2)
    return path


def started(answer: dg.SensorResult | dg.SkipReason) -> tuple[str, str]:
    """Return run key and cursor of the one run that a tick asks for."""
    assert isinstance(answer, dg.SensorResult), answer
    [request] = answer.run_requests or []
    assert request.run_key and answer.cursor
    return request.run_key, answer.cursor


def test_an_empty_inbox_skips(house: House) -> None:
    assert isinstance(tick(house), dg.SkipReason)


def test_a_new_file_starts_one_run_and_the_same_inbox_no_second(house: House) -> None:
    settled(deliver(house.company, "sales_1.csv", ROW))
    key, cursor = started(tick(house))
    assert isinstance(tick(house, cursor), dg.SkipReason)
    # Where the cursor is lost, the run key still keeps the same inbox from starting twice.
    assert started(tick(house))[0] == key
    settled(deliver(house.company, "sales_2.csv", ROW))
    assert started(tick(house, cursor))[0] != key


def test_a_corrected_file_of_the_same_name_is_news_and_what_no_contract_matches_is_not(house: House) -> None:
    path = settled(deliver(house.company, "sales_1.csv", ROW))
    key, cursor = started(tick(house))
    deliver(house.company, "readme.txt", "nothing")
    assert isinstance(tick(house, cursor), dg.SkipReason)
    path.write_text(ROW + "B,1,2.00,2026-01-01\n")
    settled(path, 30)
    assert started(tick(house, cursor))[0] != key


def test_a_file_that_may_still_be_written_waits_until_it_is_left_alone(house: House) -> None:
    settled(deliver(house.company, "sales_1.csv", ROW))
    _, cursor = started(tick(house))
    path = deliver(house.company, "sales_2.csv", ROW)
    answer = tick(house, cursor)
    assert isinstance(answer, dg.SkipReason)
    assert "sales_2.csv" in str(answer.skip_message)
    settled(path, SETTLED_AFTER_S + 1)
    started(tick(house, cursor))


def test_a_clock_that_is_ahead_does_not_hold_the_inbox_for_ever(house: House) -> None:
    settled(deliver(house.company, "sales_1.csv", ROW), seconds_ago=-86_400)
    started(tick(house))
