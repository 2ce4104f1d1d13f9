"""The stream trial at the suite's size; in full it is `python -m benchmarks.crashes_stream`."""

from benchmarks.crashes_stream import stream_trial


def test_every_event_stands_once_whoever_dies(tmp_path):
    found = stream_trial(20_000, tmp_path, kills=6, batch_rows=7_000, judges_waits=False)
    assert found["problems"] == []
    assert (found["kills"], found["broker_kills"]) == (6, 2)
    assert found["published_again_after_wipe"] > 0
    assert found["reader_looks"] > 3
