"""Real signals through the ordinary contracts: a weekly fuel price from an old workbook, a city's weather from CSV."""

from pathlib import Path

import fastexcel
import polars as pl
import pytest

from lake.company import Company, load_company
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from tests.lake.loading_kit import rows

FUEL = "Weekly U.S. No 2 Diesel Retail Prices  (Dollars per Gallon)"
HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: planner.signals.{name}
name: {name}
version: 1.0.0
status: active
domain: logistics
team: {{name: planning}}
servers:
  - {server}
schema:
  - name: {name}
    customProperties:
      - {{property: entity, value: signal}}
      - {{property: write_mode, value: replace}}
      - {{property: known_at, value: {{column: day, delay_days: 1}}}}
      - {{property: constants, value: {{{constants}}}}}
    properties:
"""
FUEL_PRICE = HEAD.format(
    name="fuel_price",
    server='{server: eia, type: local, path: "${STOCKLAKE_DATA}/signals/psw18vwall.xls", format: spreadsheet,'
    " customProperties: [{property: sheet, value: Data 1}, {property: header_row, value: 3}]}",
    constants="series: fuel_price, unit: USD/gal, source: EIA",
) + (
    "      - {name: day, physicalName: Date, logicalType: date, required: true,"
    " customProperties: [{property: maps_to, value: observed_for}]}\n"
    f"      - {{name: price, physicalName: '{' '.join(FUEL.split())}', logicalType: number,"
    " physicalType: 'DECIMAL(8,3)',"
    " required: true, customProperties: [{property: maps_to, value: value}]}\n"
)
WEATHER = HEAD.format(
    name="weather",
    server='{server: city, type: local, path: "${STOCKLAKE_DATA}/signals/KNYC.csv", format: csv}',
    constants="series: weather_mean_f, region: New York, unit: F, source: Weather Underground",
) + (
    "      - {name: day, physicalName: date, logicalType: date, required: true,"
    " logicalTypeOptions: {format: '%Y-%m-%d'}, customProperties: [{property: maps_to, value: observed_for}]}\n"
    "      - {name: mean_f, physicalName: actual_mean_temp, logicalType: integer, required: true,"
    " customProperties: [{property: maps_to, value: value}]}\n"
)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    base = tmp_path_factory.mktemp("signals")
    folder = base / "companies" / "planner"
    (folder / "contracts").mkdir(parents=True)
    (folder / "company.yaml").write_text("title: Planner\ncurrency: USD\n", encoding="utf-8")
    for name, text in (("fuel_price", FUEL_PRICE), ("weather", WEATHER)):
        (folder / "contracts" / f"{name}.odcs.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKLAKE_COMPANIES", str(folder.parent))
        found = load_company("planner", base / "home")
    data = Path(found.variables["STOCKLAKE_DATA"]) / "signals"
    if not data.is_dir():
        pytest.skip(f"the real signals are not at {data}: set STOCKLAKE_DATA to the folder that has them")
    found.prepare()
    report = ingest(found, load_contracts(found), run_id="run")
    assert report.is_clean, report.problems
    return found


def test_every_week_of_the_fuel_price_is_there_and_known_the_day_after(company: Company) -> None:
    data = Path(company.variables["STOCKLAKE_DATA"]) / "signals"
    sheet = fastexcel.read_excel(data / "psw18vwall.xls").load_sheet("Data 1", header_row=2).to_polars()
    told = sheet.filter(pl.col("Date").is_not_null())
    [(count, total, late)] = rows(
        company,
        "SELECT count(*), sum(price)::double, count(*) FILTER (_known_at <> day + INTERVAL 1 DAY) FROM lake.raw.fuel_price",
    )
    assert count == told.height > 1000
    assert total == pytest.approx(told[FUEL].cast(pl.Float64).sum(), abs=0.001)
    assert late == 0


def test_every_day_of_the_weather_is_there(company: Company) -> None:
    [(count, first, days)] = rows(
        company, "SELECT count(*), min(day)::varchar, max(day) - min(day) + 1 FROM lake.raw.weather"
    )
    assert (count, first, days) == (365, "2014-07-01", 365)
