"""Files made to harm, through the real ingest: each is refused or its rows quarantined with a reason; its neighbours load.

One ingest takes them all, so that no attack spoils what stands beside it; nothing is written outside the home.
"""

import gzip
import io
import json
import os
import tarfile
import zipfile
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.contracts.model import Column
from lake.ingest import IngestReport
from lake.parsing import process
from tests.lake.loading_kit import company, contract, load, rows

COLUMNS = (
    Column("item", "Item", "string", required=True),
    Column("units", "Units", "integer"),
)
FIXED = (
    Column("item", "Item", "string", required=True, start=1, width=4),
    Column("units", "Units", "integer", start=5, width=4),
)
EXTRA = {"json": {"records_path": "items"}, "xml": {"record_path": "Row"}}
DROP = "x'; DROP TABLE lake.raw.csv; --\" "


def csv_of(*lines):
    return "\n".join(("Item,Units", *lines, "")).encode("utf-8", "surrogatepass")


def parquet_of(**columns):
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data)
    return data.getvalue()


def zip_of(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def tar_of(name, content, **changes):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in changes.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def nested_zip(levels):
    """A zip in a zip in a zip, as 42.zip is."""
    data = zip_of(**{"0.csv": bytes(1 << 20)})
    for level in range(levels):
        data = zip_of(**{f"{level}-{i}.zip": data for i in range(4)})
    return data


def workbook_of(sheet_xml, sheet="Sheet1"):
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="{sheet}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<?xml version="1.0"?>{sheet_xml}',
    }
    return zip_of(**parts)


def text_cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
HEAD = f'<row r="1">{text_cell("A1", "Item")}{text_cell("B1", "Units")}</row>'
ABSURD = f'<worksheet {MAIN}><sheetData>{HEAD}<row r="2">{text_cell("A2", "a")}</row><row r="1048576">{text_cell("XFD1048576", "x")}</row></sheetData></worksheet>'
FORMULAS = f'<worksheet {MAIN}><sheetData>{HEAD}<row r="2">{text_cell("A2", "=1+1")}<c r="B2"><f>HYPERLINK("http://x")</f><v>3</v></c></row></sheetData></worksheet>'
LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
DEEP = 100_000

GOOD = {
    "csv_good.csv": csv_of("good,1"),
    "fixed_width_good.txt": b"good0001\n",
    "json_good.json": b'{"items": [{"Item": "good", "Units": 1}]}',
    "jsonl_good.jsonl": b'{"Item": "good", "Units": 1}\n',
    "parquet_good.parquet": parquet_of(Item=["good"], Units=[1]),
    "xlsx_good.xlsx": workbook_of(f'<worksheet {MAIN}><sheetData>{HEAD}<row r="2">{text_cell("A2", "good")}</row></sheetData></worksheet>'),
    "xml_good.xml": b"<a><Row><Item>good</Item><Units>1</Units></Row></a>",
}  # fmt: skip
"""A good neighbour for each format; the name up to the last underscore is the dataset."""

REFUSED = {
    "csv_a_million_columns.csv": (("c," * 1_000_000 + "c\n1\n").encode(), "1,000,001 columns"),
    "csv_a_long_name.csv": (b"Item,Units," + b"x" * 10_000 + b"\n1,2,3\n", "a name of 10,000 characters"),
    "csv_nul.csv": (bytes(5000), "NUL bytes"),
    "csv_endless_line.csv": (csv_of("a,1") + bytes(80 << 20), "goes on for more than 64 MB"),
    "csv_utf16.csv": (csv_of("a,1").decode().encode("utf-16"), "utf-16"),
    "csv_cut_off.csv.gz": (gzip.compress(csv_of("a,1"))[:-5], "cannot be decompressed"),
    "csv_bomb.csv.gz": (gzip.compress(bytes(90 << 20)), "goes on for more than 64 MB"),
    "csv_nested_bomb.zip": (nested_zip(3), "is an archive itself"),
    "csv_path_out.zip": (zip_of(**{"../../../../evil.csv": csv_of("a,1")}), "leads out of the archive"),
    "csv_path_root.tar": (tar_of("/evil.csv", csv_of("a,1")), "leads out of the archive"),
    "csv_link.tar": (tar_of("a.csv", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
    "csv_hard_link.tar": (tar_of("a.csv", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
    "csv_pipe.tar": (tar_of("a.csv", b"", type=tarfile.FIFOTYPE), "is a link, a device"),
    "csv_member_name.zip": (zip_of(**{"a\x1b[31m.csv": csv_of("a,1")}), "has no usable name"),
    "csv_cut_off.zip": (zip_of(**{"a.csv": csv_of("a,1")})[:-10], "cannot be decompressed"),
    "json_deep.json": (b'{"items": ' + b"[" * DEEP + b"]" * DEEP + b"}", "too deeply"),
    "json_deep_sibling.json": (b'{"x": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "too deeply"),
    "json_nan.json": (b'{"items": [{"Item": NaN}]}', "NaN is no number"),
    "json_cut_off.json": (b'{"items": [{"Item": "a"}', "it was cut off"),
    "parquet_cut_off.parquet": (parquet_of(Item=["a"], Units=[1])[:-9], "cannot be read as a Parquet file"),
    "parquet_huge_claims.parquet": (b"PAR1" + b"\x15\xfe\xff\xff\xff\x0f" * 50 + b"\x2c\x01\0\0PAR1", "cannot be read as a Parquet file"),
    "parquet_columns.parquet": (parquet_of(**{f"c{i}": [1] for i in range(10_001)}), "10001 columns"),
    "parquet_bad_text.parquet": (parquet_of(Item=pa.array([b"\xff"]).view(pa.string()), Units=[1]), "cannot be read"),
    "xlsx_absurd.xlsx": (workbook_of(ABSURD), ""),
    "xlsx_laughs.xlsx": (workbook_of(LAUGHS + f'<worksheet {MAIN}><sheetData><row r="1">{text_cell("A1", "&c;")}</row></sheetData></worksheet>'), ""),
    "xlsx_cut_off.xlsx": (GOOD["xlsx_good.xlsx"][:-20], ""),
    "xml_laughs.xml": (LAUGHS.encode() + b"<a><Row><Item>&c;</Item></Row></a>", "entities"),
    "xml_external.xml": (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><Row><Item>&x;</Item></Row></a>', "entities"),
    "xml_deep.xml": (b"<a>" * DEEP + b"</a>" * DEEP, "cannot be read"),
    "xml_huge_text.xml": (b"<a><Row><Item>" + b"x" * (11 << 20) + b"</Item></Row></a>", "cannot be read"),
    "xml_name.xml": (b"<a><Row><" + b"x" * 60_000 + b"/></Row></a>", "cannot be read"),
    "csv_na\nme.csv": (csv_of("a,1"), "no usable name"),
    "csv_na\x1b[31mme.csv": (csv_of("a,1"), "no usable name"),
    os.fsdecode(b"csv_na\xffme.csv"): (csv_of("a,1"), "no usable name"),
}  # fmt: skip
"""File -> (content, part of the sentence that refuses it; '' where only the reason's presence counts)."""

QUARANTINED = {
    "csv_bytes.csv": (csv_of("a\0,1", "\udcff,1", "\ud800,1").replace(b"\xed\xb3\xbf", b"\xff"), {"nul_byte": 1, "encoding": 2}),
    "csv_numbers.csv": (csv_of("a,NaN", "b,Infinity", "c,1e3", "d," + "9" * 5000), {"type": 3, "range": 1}),
    "fixed_width_bytes.txt": (b"a\xff  0001\nb\0  0001\ntoo long a line\n", {"encoding": 1, "nul_byte": 1, "field_count": 1}),
    "jsonl_deep.jsonl": (b'{"Item": ' + b"[" * DEEP + b"]" * DEEP + b"}\n" + b"[" * DEEP + b"\n", {"json": 2}),
    "jsonl_odd.jsonl": (b'{"Item": "a", "Units": NaN}\n{"Item": "b\\ud800"}\n{"Item": "c\\u0000"}\n{"Item": "\xff"}\n{"Item":"d","Item":"e"}\n', {"json": 2, "encoding": 2, "required": 2, "nul_byte": 1}),
    "jsonl_numbers.jsonl": (b'{"Item": "a", "Units": 1e99}\n{"Item": "b", "Units": ' + b"9" * 100_000 + b"}\n", {"type": 1, "range": 1}),
    "parquet_odd.parquet": (parquet_of(Item=["a", "b\0", "c"], Units=[float("nan"), 1.0, float("inf")]), {"type": 2, "nul_byte": 1}),
}  # fmt: skip
"""File -> (content, quarantined rows per rule)."""

HARMLESS = {
    "csv_formulas.csv": (csv_of('"=HYPERLINK(""http://x"")",1', "@SUM(A1),2", "-2+3,3"), 3),
    "csv_sql.csv": (csv_of(f'"{DROP.replace(chr(34), chr(34) * 2)}",1'), 1),
    "csv_quote's \"; DROP TABLE.csv": (csv_of("a,1"), 1),
    "csv_sql_member.zip": (zip_of(**{"x'; DROP TABLE lake.raw.csv; --.csv": csv_of("a,1")}), 1),
    "xlsx_formulas.xlsx": (workbook_of(FORMULAS), 1),
    "xlsx_sheet_name.xlsx": (workbook_of(FORMULAS, "x'; DROP TABLE y; --"), 1),
}
"""File -> (content, rows that load just as they are: what is dangerous elsewhere is data here)."""


@dataclass
class Attacked:
    report: IngestReport
    company: object
    outside: list[str]
    left_over: list[str]

    def file(self, name):
        return next(one for one in self.report.files if one.file_name == name)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    base = tmp_path_factory.mktemp("hostile")
    home, temporary = company(base), base / "temporary"
    temporary.mkdir()
    for name, content in GOOD.items():
        (home.inbox / name).write_bytes(content)
    for name, (content, _) in (REFUSED | QUARANTINED | HARMLESS).items():
        (home.inbox / name).write_bytes(content)
    kinds = ("csv", "fixed_width", "json", "jsonl", "parquet", "xlsx", "xml")
    contracts = [
        contract(
            kind,
            FIXED if kind == "fixed_width" else COLUMNS,
            location={"path": "${INBOX}/" + kind + "_*", "format": kind} | EXTRA.get(kind, {}),
        )
        for kind in kinds
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        process.close()  # the next one starts with this environment
        report = load(home, *contracts)
        process.close()
    outside = [str(path.relative_to(base)) for path in base.rglob("*") if not path.is_relative_to(home.home)]
    left_over = [
        path.name for path in home.home.rglob("*") if "unpacking" in path.name or path.name == "evil.csv"
    ]
    return Attacked(report, home, outside, left_over)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_made_to_harm_is_refused_with_its_reason(attacked, name):
    shown = name.encode("utf-8", "backslashreplace").decode() if "\udcff" not in name else "csv_na\\xffme.csv"
    delivery = attacked.file(shown)
    assert delivery.status == "refused", delivery
    assert REFUSED[name][1] in delivery.reason
    assert delivery.reason.isprintable()
    assert len(delivery.reason) < 900
    assert "Traceback" not in delivery.reason


@pytest.mark.parametrize("name", QUARANTINED)
def test_rows_made_to_harm_stand_in_quarantine(attacked, name):
    delivery = attacked.file(name)
    assert (delivery.status, delivery.rules) == ("loaded", QUARANTINED[name][1]), delivery.reason
    assert delivery.loaded == 0


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_dangerous_is_data(attacked, name):
    delivery = attacked.file(name)
    assert (delivery.status, delivery.loaded) == ("loaded", HARMLESS[name][1]), (
        delivery.reason,
        delivery.rules,
    )


@pytest.mark.parametrize("name", GOOD)
def test_its_good_neighbour_loads(attacked, name):
    assert (attacked.file(name).status, attacked.file(name).loaded) == ("loaded", 1)
    assert rows(
        attacked.company, f"SELECT count(*) FROM lake.raw.{name.rpartition('_')[0]} WHERE item = 'good'"
    ) == [(1,)]


def test_dangerous_text_stands_in_raw_as_it_came(attacked):
    found = {item for (item,) in rows(attacked.company, "SELECT item FROM lake.raw.csv")}
    assert {DROP, '=HYPERLINK("http://x")', "@SUM(A1)", "-2+3"} <= found
    sheets = {
        sheet
        for (sheet,) in rows(attacked.company, "SELECT _sheet FROM lake.raw.csv WHERE _sheet IS NOT NULL")
    }
    assert sheets == {"x'; DROP TABLE lake.raw.csv; --.csv"}


def test_nothing_is_written_outside_the_home(attacked):
    assert attacked.outside == ["temporary"]
    assert attacked.left_over == []


def test_the_report_holds_together(attacked):
    refused = [one for one in attacked.report.files if one.status == "refused"]
    assert len(refused) == len(REFUSED)
    assert all(one.is_balanced for one in attacked.report.files)
    assert json.dumps(attacked.report.problems)
    assert pl.Series(attacked.report.problems).str.contains("\x1b", literal=True).sum() == 0
