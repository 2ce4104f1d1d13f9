"""Bad input through the real command line: one sentence, its exit code, no traceback, and no harm to what is good."""

import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.end_to_end.house import House, assert_one_sentence, make_house

TINY = {"items": 5, "stores": 1, "centres": 1, "suppliers": 2, "days": 70, "sales_lines": 600, "dirt": 0}
BAD_FILES = {
    "empty": ("sales_order_line_9901.csv", b"", "is empty"),
    "header only": ("sales_order_line_9902.csv", None, "has a header but no rows"),
    "wrong delimiter": ("sales_order_line_9903.csv", b"order_id;order_line\nA;1\n", "the delimiter ',' is not there"),
    "missing column": ("sales_order_line_9904.csv", b"order_id,posted_at\nA,1\n", "the required columns 'order_line'"),
    "random bytes": ("stock_count_9901.xlsx", os.urandom(5000), "is damaged"),
    "truncated zip": ("stock_count_9902.xlsx", None, "is damaged"),
}  # fmt: skip

BUILT = ("group:staging", "group:core", "group:marts")
"""What dbt builds, as one step."""


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, bytes]]:
    """A house whose inbox holds good files, and one bad file of each kind."""
    house = make_house(tmp_path_factory.mktemp("bad"), exports=TINY)
    inbox = house.company.inbox
    contents = {name: content for name, content, _ in BAD_FILES.values()}
    header = min((inbox / "erp").glob("sales_order_line_*.csv")).read_bytes().split(b"\n")[0] + b"\n"
    contents["sales_order_line_9902.csv"] = header
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", os.urandom(2000))
    contents["stock_count_9902.xlsx"] = packed.getvalue()[:1500]
    for name, content in contents.items():
        (inbox / ("spreadsheets" if name.endswith("xlsx") else "erp") / name).write_bytes(content)
    return house, contents


def test_bad_files_are_refused_one_by_one_and_their_neighbours_load(delivered) -> None:
    house, contents = delivered
    done = house.cli("ingest", "--json")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["files_refused"] == len(BAD_FILES)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == len(report["problems"]) == len(BAD_FILES)
    for name, _, words in BAD_FILES.values():
        said = [line for line in lines if name in line]
        assert len(said) == 1
        assert said[0].startswith("stocklake: ")
        assert words in said[0]
    good = len([path for path in house.company.inbox.rglob("*.*") if path.is_file()]) - len(BAD_FILES)
    hidden = len([path for path in house.company.inbox.rglob(".*") if path.is_file()])
    assert report["files_loaded"] == good - hidden
    refused = "SELECT file_name, rows_read, loaded FROM lake.meta.delivery WHERE status = 'refused'"
    assert set(house.ask(refused)) == {(name, 0, 0) for name in contents}
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'raw'"
    for (table,) in house.ask(tables):
        assert house.ask(f"SELECT count(*) FROM lake.raw.{table} WHERE _file LIKE '%_99__.%'") == [(0,)]


def test_dbt_launched_alone_waits_for_the_files_and_no_longer(delivered) -> None:
    house, contents = delivered
    house.cli("ingest")
    done = house.python("-m", "tests.end_to_end.launch", *BUILT)
    said = json.loads(done.stdout.splitlines()[-1])
    assert not said["success"]
    assert said["exit_codes"] == [2]
    assert "is empty" in said["descriptions"][0]
    assert house.ask("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'staging'") == [
        (0,)
    ]
    for name in contents:
        (house.company.inbox / ("spreadsheets" if name.endswith("xlsx") else "erp") / name).unlink()
    again = house.cli("ingest", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["problems"] == []


def test_a_run_with_a_bad_file_stops_before_staging(own_home: House) -> None:
    before = own_home.ask("SELECT count(*) FROM lake.orders.proposal")
    bad = own_home.company.inbox / "erp" / "price_new.csv"
    contract = own_home.companies / "example" / "contracts" / "price.odcs.yaml"
    written = contract.read_text(encoding="utf-8")
    contract.write_text(written.replace("erp/price.csv", "erp/price*.csv"), encoding="utf-8")
    bad.write_bytes(b"")
    try:
        done = own_home.cli("run")
        assert_one_sentence(done, 2, "raw: price_new.csv is empty")
        stages = "SELECT stage FROM lake.meta.run_step WHERE run_id = (SELECT run_id FROM lake.meta.run_step ORDER BY started_at DESC LIMIT 1)"
        assert own_home.ask(stages) == [("raw",)]
        assert own_home.json("status")["files_refused"] == 1
        assert own_home.ask("SELECT count(*) FROM lake.orders.proposal") == before
    finally:
        bad.unlink()
        contract.write_text(written, encoding="utf-8")
    again = own_home.cli("ingest")
    assert again.returncode == 0, again.stderr


def _contract(house: House, name: str, old: str, new: str) -> None:
    path = house.companies / "example" / "contracts" / f"{name}.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("command", [("ingest",), ("run",)], ids=" ".join)
def test_a_contract_with_an_error_names_file_and_line(
    empty_house: House, stocklake, command: tuple[str, ...]
) -> None:
    _contract(empty_house, "item", "logicalType: string", "logicalType: strnig")
    assert_one_sentence(stocklake(*command), 2, "item.odcs.yaml", "line", "strnig")
    linted = stocklake("contract", "lint", "--json")
    assert linted.returncode == 2
    assert [Path(one["path"]).name for one in json.loads(linted.stdout)] == ["item.odcs.yaml"]


COMMANDS = [
    ("run",), ("ingest",), ("status",), ("sql", "select 1"), ("contract", "lint"), ("quarantine", "list"),
    ("quarantine", "show"), ("releases", "list"), ("orders", "list"), ("orders", "explain", "X"),
]  # fmt: skip
"""What opens a company; every one says the same of a company that is not there."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unknown_company(stocklake, command: tuple[str, ...]) -> None:
    done = stocklake(*command, "--company", "nobody")
    assert_one_sentence(done, 2, "no company 'nobody'", "known: example", "stocklake init nobody")
    assert done.stdout == ""


def test_a_home_below_a_file_cannot_be_written(stocklake, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = stocklake("run", "--home", str(tmp_path / "file" / "home"))
    assert_one_sentence(done, 2, "cannot be written (Not a directory)", "--home")


BROKEN = {
    "no yaml": ("title: [", "is not valid YAML"),
    "not a mapping": ("- a\n- b\n", "valid dictionary"),
    "empty": ("", "key 'title': Field required"),
    "unknown key": ("title: A\ncurrency: USD\ncolour: red\n", "key 'colour'"),
    "no currency": ("title: A\ncurrency: dollars\n", "key 'currency'"),
    "no day": ("title: A\ncurrency: USD\ncalendar: {holidays: {'02-30': X}}\n", "'02-30' is no day"),
    "no weekday": ("title: A\ncurrency: USD\ncalendar: {countries: {DE: {weekend: [8]}}}\n", "less than or equal to 7"),
    "country twice": ("title: A\ncurrency: USD\ncalendar: {countries: {DE: {}, de: {}}}\n", "stands there twice"),
    "no zone": ("title: A\ncurrency: USD\ntimezone: Mars/Phobos\n", "'Mars/Phobos' is no time zone"),
    "no zone of sales": (
        "title: A\ncurrency: USD\nbusiness_rules: {sold_at_time_zone: America}\n", "'America' is no time zone"
    ),
    "no text": (b"title: \xff\xfe\x00", "cannot be read"),
    "program": ("title: A\ncurrency: USD\ndata_program: gone.py\n", "data_program gone.py, which is not there"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_company_yaml(empty_house: House, stocklake, kind: str) -> None:
    content, words = BROKEN[kind]
    path = empty_house.companies / "example" / "company.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert_one_sentence(stocklake("ingest"), 2, str(path), words)
