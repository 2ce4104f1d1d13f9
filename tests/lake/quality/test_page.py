from datetime import date, datetime
from pathlib import Path

from lake.quality.page import write_page
from lake.releases import GateResult, GateRun


def test_a_page_shows_problems_first_escapes_data_and_needs_no_network(tmp_path: Path) -> None:
    good = GateResult("core", "core.dim_item", "item_id", "is filled", "stop", "passed", "", 0)
    bad = GateResult(
        "raw", "raw.sales", "payment", "is one of card", "stop", "failed", "1 row not one of card", 1,
        ({"payment": "<script>alert(1)</script>", "_file": "sales.csv", "_line": 7},),
    )  # fmt: skip
    run = GateRun("gate-1", 9, datetime(2026, 3, 11), False, date(2026, 3, 10), "f", (good, bad))
    text = write_page(run, tmp_path / "docs").read_text(encoding="utf-8")
    assert text.index("raw.sales") < text.index("core.dim_item")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "http" not in text
    assert "sales.csv" in text
