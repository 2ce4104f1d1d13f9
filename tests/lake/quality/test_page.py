from datetime import date, datetime
from pathlib import Path

from lake.quality.page import Background, write_page
from lake.releases import GateResult, GateRun


def test_a_page_shows_problems_first_escapes_data_and_needs_no_network(tmp_path: Path) -> None:
    good = GateResult("core", "core.dim_item", "item_id", "is filled", "stop", "passed", "", 0)
    bad = GateResult(
        "raw", "raw.sales", "payment", "is one of card", "stop", "failed", "1 row not one of <card>", 3,
        ({"payment": "<script>alert(1)</script>", "_file": "sales.csv", "_line": 7},), check_id="0a1b2c3d",
    )  # fmt: skip
    run = GateRun("gate-1", 9, datetime(2026, 3, 11), False, date(2026, 3, 10), "f", (good, bad))
    behind = Background(outcomes={"0a1b2c3d": [("gate-0", "passed"), ("gate-1", "failed")]})
    path = write_page(run, tmp_path / "docs", behind)
    text = path.read_text(encoding="utf-8")
    assert text.index("raw.sales") < text.index("core.dim_item")
    assert "1 row not one of &lt;card&gt;" in text
    assert 'title="gate-0: passed"' in text
    rows = (path.parent / "checks" / "0a1b2c3d.html").read_text(encoding="utf-8")
    assert 'href="checks/0a1b2c3d.html"' in text
    assert "&lt;script&gt;alert(1)" in rows
    assert "sales.csv" in rows
    assert "2 more: <code>stocklake gate show 0a1b2c3d --all</code>" in rows
    assert not any(word in page for word in ("<script", "http") for page in (text, rows))
