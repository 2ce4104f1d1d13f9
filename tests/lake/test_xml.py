"""XML: records by path, values exactly as written, and every known trick refused with its reason."""

from datetime import date
from decimal import Decimal

import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import xml
from lake.sources.conforming import conform
from lake.sources.xml import read_xml
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("order_id", "@id", "string", required=True),
    Column("city", "Customer/City", "string"),
    Column("price", "Price", "number", scale=2),
    Column("currency", "Price/@currency", "string"),
    Column("sold_on", "Day", "date"),
)


def made(columns=COLUMNS, **location):
    return contract(
        "orders",
        columns,
        location={"path": "${INBOX}/*.xml", "format": "xml", "record_path": "Order"} | location,
    )


def read(tmp_path, content, columns=COLUMNS, **location):
    (tmp_path / "a").write_bytes(content.encode() if isinstance(content, str) else content)
    chosen = made(columns, **location)
    return [conform(block, chosen, {}) for block in read_xml(tmp_path / "a", "a.xml", chosen)]


DOCUMENT = """<?xml version="1.0" encoding="ISO-8859-1"?>
<e:Export xmlns:e="urn:e" xmlns="urn:o" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <Head><Order>no row of ours</Order></Head>
 <Orders>
  <Order id="1"><Customer><City> Zürich<!-- a comment --> West </City></Customer><Price currency="EUR">1.10</Price><Day>2024-01-31</Day></Order>
  <o:Order xmlns:o="urn:x" id="2" xsi:type="o:Rush"><Price><![CDATA[2.50]]></Price><Day xsi:nil="true"/><Customer/></o:Order>
  <Order id="3"><Price>1</Price><Price>2</Price></Order>
  <Order id="4"><Colour>red</Colour></Order>
  <Order id="5"><Price unit="kg">7</Price></Order>
  <Order id="6"><Customer>A name</Customer></Order>
  <Order id="7">stray text</Order>
  <Order><Day><y>2024</y></Day></Order>
 </Orders>
</e:Export>
"""


def test_a_document_loads_and_its_odd_records_stand_in_quarantine(tmp_path):
    home = company(tmp_path)
    deliver(home, "orders.xml", DOCUMENT.encode("latin-1"))
    report = load(home, made(record_path="Orders/Order"))
    assert report.is_clean
    assert report.totals | {"rows_read": 8, "loaded": 2, "quarantined": 6} == report.totals
    assert rows(
        home, "SELECT * EXCLUDE (_delivery_id, _file, _sheet, _known_at) FROM lake.raw.orders ORDER BY _line"
    ) == [
        ("1", "Zürich West", Decimal("1.10"), "EUR", date(2024, 1, 31), 1),
        ("2", None, Decimal("2.50"), None, None, 2),
    ]
    refused = {row.line: row for row in quarantine.show(Lake.of(home))}
    assert {line: set(row.rules) for line, row in refused.items()} == {
        3: {"nested"}, 4: {"unknown_field"}, 5: {"unknown_field"}, 6: {"unknown_field"}, 7: {"unknown_field"},
        8: {"required", "nested"},
    }  # fmt: skip
    assert "'Price/@unit'" in refused[5].messages[0]
    assert refused[4].raw_text.endswith('id="4"><Colour>red</Colour></Order>')


def test_fields_nobody_reads_may_be_passed_over(tmp_path):
    [found] = read(tmp_path, '<a><Order id="1" x="2"><Colour>red</Colour></Order></a>', other_fields="ignore")
    assert (found.good.height, found.refused.height) == (1, 0)


def test_the_text_of_a_record_itself_is_a_field(tmp_path):
    columns = (Column("rate", ".", "number", scale=4), Column("currency", "@currency", "string"))
    content = '<Rates><Rate currency="USD">1.0956</Rate><Rate currency="JPY">162.3</Rate></Rates>'
    [found] = read(tmp_path, content, columns, record_path="Rate")
    assert found.good.rows() == [(Decimal("1.0956"), "USD", 1), (Decimal("162.3000"), "JPY", 2)]


def test_records_come_in_blocks_and_the_tree_does_not_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(xml, "BLOCK_RECORDS", 100)
    content = "<a>" + "".join(f'<x/><Order id="{i}"/>' for i in range(250)) + "</a>"
    found = read(tmp_path, content)
    assert [one.rows for one in found] == [100, 100, 50]
    assert [i for one in found for i in one.good["order_id"]] == [str(i) for i in range(250)]
    assert found[2].good["_line"].to_list() == list(range(201, 251))


LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha">' + "".join(
    f'<!ENTITY x{i} "{"&x;" if i == 0 else f"&x{i - 1};" * 10}">' for i in range(10)
)
ORDER = '<a><Order id="1"><Day>%s</Day></Order></a>'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LAUGHS + "]>" + ORDER % "&x9;", "entity amplification"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + ORDER % "&x;", "declares entities"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]>' + ORDER % "1", "declares entities"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">' + ORDER % "&x;", "the entity &x; stands in a row"),
        (ORDER % "&x;", "the XML document cannot be read"),
        ('<a><Order id="1"></a>', "cannot be read"),
        ('<a><Order id="1"/>', "cannot be read"),
        ('<a><Order id="1" id="2"/></a>', "cannot be read"),
        ('<a><Order id="1"/></a><b/>', "cannot be read"),
        ("<a>" * 1000 + '<Order id="1"/>' + "</a>" * 1000, "cannot be read"),
        ('<a><Order id="' + "x" * 11_000_000 + '"/></a>', "cannot be read"),
        ('<a><Order id="1"/>\0</a>', "cannot be read"),
        (b'<a><Order id="\xff"/></a>', "cannot be read"),
        ("", "cannot be read"),
        ("<a/>", "has no element 'Order'"),
        ('<a><Order id="1">' + "<x/>" * 10_001 + "</Order></a>", "holds more than 10000 elements"),
    ],
)
def test_a_trick_or_a_broken_document_is_refused(tmp_path, content, sentence):
    with pytest.raises(FileRefused) as refusal:
        read(tmp_path, content)
    assert sentence in str(refusal.value)
    assert "a.xml" in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_a_document_type_alone_is_no_trick(tmp_path):
    [found] = read(tmp_path, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a><Order id="1"/></a>')
    assert found.good.height == 1
