"""`init_company`: what it makes is a company that lints and whose sample keeps its own rules."""

import csv
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lake.company import load_company
from lake.contracts.reading import load_contracts
from lake.errors import InputError
from lake.scaffold import PLACEHOLDER, init_company


def test_a_new_company_lints_and_its_sample_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKLAKE_COMPANIES", str(tmp_path))
    files = init_company("acme_2", tmp_path)
    assert sorted(files) == sorted(path for path in (tmp_path / "acme_2").rglob("*") if path.is_file())
    assert all(PLACEHOLDER not in path.read_text() for path in files)
    company = load_company("acme_2", home=tmp_path / "home")
    (contract,) = load_contracts(company)
    folder = Path(contract.location.path.replace("${COMPANY}", company.variables["COMPANY"]))
    (sample,) = folder.parent.glob(folder.name)
    with sample.open(encoding=contract.location.encoding, newline="") as file:
        rows = list(csv.DictReader(file, delimiter=contract.location.delimiter))
    assert len(rows) == 12
    for row in rows:
        assert list(row) == [column.source_name for column in contract.columns]
        datetime.strptime(row["Date"], contract.column("sold_on").format or "")
        assert -1000 <= int(row["Quantity"]) <= 1000
        assert Decimal(row["Price"]).as_tuple().exponent == -2
    assert len({(row["Order"], row["Line"]) for row in rows}) == 12


@pytest.mark.parametrize(
    "name", ["", "A", "a", "Acme", "1st", "a b", "../up", "a/b", "a" * 41, "é", ".hidden", "a.b"]
)
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a company"):
        init_company(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_and_untouched(tmp_path: Path) -> None:
    init_company("acme", tmp_path)
    (tmp_path / "acme" / "company.yaml").write_text("mine")
    with pytest.raises(InputError, match="already a company 'acme'"):
        init_company("acme", tmp_path)
    assert (tmp_path / "acme" / "company.yaml").read_text() == "mine"


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "companies").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be made in .*companies"):
        init_company("acme", tmp_path / "companies")


def test_of_several_at_once_one_makes_it(tmp_path: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            init_company("acme", tmp_path)
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["acme"]
    assert (tmp_path / "acme" / "contracts" / "sales.odcs.yaml").exists()


def test_a_holiday_may_stand_without_quotes(tmp_path, monkeypatch):
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "company.yaml").write_text(
        "title: A\ncurrency: EUR\ncalendar: {holidays: {2026-04-03: Good Friday, 12-25: Christmas Day}}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("STOCKLAKE_COMPANIES", str(tmp_path))
    holidays = load_company("acme", tmp_path / "home").settings.calendar.holidays
    assert holidays == {"2026-04-03": "Good Friday", "12-25": "Christmas Day"}


def test_a_home_is_prepared_by_many_at_once(tmp_path: Path) -> None:
    company = load_company("example", home=tmp_path / "home")
    with ThreadPoolExecutor(16) as threads:
        done = [threads.submit(company.prepare) for _ in range(400)]
    assert [one.exception() for one in done] == [None] * 400
    assert [path.name for path in company.home.iterdir() if path.is_file()] == []
