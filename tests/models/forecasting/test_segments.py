from datetime import timedelta

import numpy as np

from models.forecasting.history import read_history
from models.forecasting.segments import segment_series
from tests.models.forecasting.panels import FIRST_DAY, future_of, panel_of

DAYS = 140
PATTERNS = {
    "erratic": np.tile([1, 1, 1, 9], DAYS // 4),  # every day; mean 3, variance 12: CV² 1.33
    "intermittent": np.tile([0, 3], DAYS // 2),  # ADI 2, always 3
    "lumpy": np.tile([0, 1, 0, 9], DAYS // 4),  # ADI 2, mean 5, variance 16: CV² .64
    "new": np.full(40, 3),
    "smooth": np.tile([4, 5], DAYS // 2),
    "zero": np.zeros(DAYS, dtype=int),
}
AS_OF = FIRST_DAY + timedelta(days=DAYS - 1)
PANEL = panel_of({(name, "S"): units for name, units in PATTERNS.items()}, AS_OF)


def test_each_pattern_is_told():
    history = read_history(PANEL, future_of(PANEL), AS_OF)
    found = dict(zip(history.series["item_id"], segment_series(history, DAYS).tolist(), strict=True))
    assert found == {**{name: name for name in PATTERNS}, "zero": "new"}


def test_only_the_past_decides():
    history = read_history(PANEL, future_of(PANEL), AS_OF)
    before = segment_series(history, 84).tolist()
    history.demand[84:] = 1000
    assert segment_series(history, 84).tolist() == before


def test_nothing_known_is_new():
    history = read_history(PANEL, future_of(PANEL), AS_OF)
    assert set(segment_series(history, 0).tolist()) == {"new"}
