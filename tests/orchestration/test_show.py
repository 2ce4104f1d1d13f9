"""What people read at the end of a run."""

from pathlib import Path

from lake.company import Company, CompanySettings
from lake.connection import Lake
from orchestration.show import status_lines
from orchestration.status import status


def test_a_forecast_that_could_not_be_scored_is_told_as_such(tmp_path: Path) -> None:
    company = Company("new", tmp_path, tmp_path / "home", CompanySettings(title="New", currency="EUR"))
    company.prepare()
    lake = Lake.of(company)
    state = status(lake) | {"series_forecast": 4, "skill_vs_seasonal_naive": None}
    said = "\n".join(status_lines(company, lake, state))
    assert "4 series, 28 days ahead; too little history" in said
