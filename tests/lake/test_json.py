"""JSON lines and documents: values exactly as written, one bad line is one row, one bad document is one file."""

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import json_files, json_uniform, text
from lake.sources.conforming import conform
from lake.sources.json_files import read_json, read_jsonl
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("item_id", "item", "string", required=True, key=True),
    Column("quantity", "qty", "integer"),
    Column("price", "price", "number", precision=30, scale=4),
    Column("sold_on", "sold.on", "date"),
    Column("is_open", "open", "boolean"),
)


def feed(file_format="jsonl", columns=COLUMNS, **location):
    suffix = location.pop("suffix", file_format)
    return contract(
        "feed", columns, location={"path": "${INBOX}/feed*." + suffix, "format": file_format} | location
    )


def read(tmp_path, content, reader=read_jsonl, name="feed.jsonl", **location):
    path = tmp_path / "landed"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    made = feed("json" if reader is read_json else "jsonl", **location)
    return [conform(block, made, {}) for block in reader(path, name, made)]


def test_a_feed_loads_and_its_bad_lines_stand_in_quarantine(tmp_path):
    home = company(tmp_path)
    deliver(
        home,
        "feed_1.jsonl",
        '\ufeff{"item":"A","qty":12345678901234567,"price":1.10,"sold":{"on":"2024-01-31"},"open":true}\r\n'
        "\n"
        '{"item": "B", "qty": null, "price": 123456789012345678901234.5, "open": false}\n'
        '{"item": 7, "qty": "8", "price": "0.50", "sold": null}\n'
        '{"item": "C", "qty": 1.0}\n'
        '{"item": "", "qty": 1e3}\n'
        '{"item": "D", "qty": [1, 2], "sold": {"on": {"day": 1}}}\n'
        '{"item": "E", "colour": "red"}\n'
        '{"item": "F", "sold": {"at": "x"}}\n'
        '{"item": "G", "sold": "2024-01-31"}\n'
        '{"item": "H", "item": "I"}\n'
        '{"item": "J"} {"item": "K"}\n'
        '["item"]\n'
        '{"item": "L", "price": NaN}\n'
        '{"item": "M"',
    )
    report = load(home, feed())
    assert report.is_clean
    assert report.totals | {"rows_read": 14, "loaded": 3, "quarantined": 11} == report.totals
    assert rows(
        home, "SELECT item_id, quantity, price, sold_on, is_open, _line FROM lake.raw.feed ORDER BY _line"
    ) == [
        ("A", 12345678901234567, Decimal("1.1000"), date(2024, 1, 31), True, 1),
        ("B", None, Decimal("123456789012345678901234.5000"), None, False, 3),
        ("7", 8, Decimal("0.5000"), None, None, 4),
    ]
    refused = {row.line: row for row in quarantine.show(Lake.of(home))}
    assert {line: set(row.rules) for line, row in refused.items()} == {
        5: {"type"}, 6: {"required", "type"}, 7: {"nested"}, 8: {"unknown_field"}, 9: {"unknown_field"},
        10: {"unknown_field"}, 11: {"json"}, 12: {"json"}, 13: {"json"}, 14: {"json"}, 15: {"json"},
    }  # fmt: skip
    assert refused[5].raw_text == '{"item": "C", "qty": 1.0}'
    assert refused[15].raw_text == '{"item": "M"'
    assert "'sold.at': no column of the contract reads it" in refused[9].messages[0]
    assert "the key 'item' stands in one object twice" in refused[11].messages[0]


def test_fields_nobody_reads_may_be_passed_over_by_the_contract(tmp_path):
    [found] = read(tmp_path, '{"item": "A", "colour": "red", "sold": {"at": 1}}\n', other_fields="ignore")
    assert (found.good.height, found.refused.height) == (1, 0)


def test_bytes_that_are_no_text_cost_their_row_only(tmp_path):
    [found] = read(
        tmp_path,
        b'{"item": "A\xff"}\n{"item": "B\\ud800"}\n{"item": "C\\u0000"}\n{"item": "D\\ud83d\\ude00"}\n{"it\xffm": 1}\n',
    )
    assert found.good["item_id"].to_list() == ["D\U0001f600"]
    refused = {line: (set(rules), raw) for line, raw, rules, *_ in found.refused.rows()}
    assert refused[1] == ({"encoding", "required"}, '{"item": "A\\xff"}')
    assert "encoding" in refused[2][0]
    assert refused[3][0] == {"nul_byte"}
    assert "unknown_field" in refused[5][0]


def test_a_nul_sign_as_a_key_is_a_key_like_others(tmp_path):
    odd = ['{"item": {"\\u0000": {"x": 1}}}', '{"item": {"\\u0000": "B"}}', '{"item": "C", "\\u0000": "D"}']
    [found] = read(tmp_path, "\n".join(['{"item": "A"}', *odd]) + "\n")
    assert found.good["item_id"].to_list() == ["A"]
    assert found.refused["line"].to_list() == [2, 3, 4]
    assert "nested" in found.refused["rules"][0]
    assert "unknown_field" in found.refused["rules"][2]


def test_objects_in_each_other_without_end_are_one_bad_row(tmp_path):
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    [found] = read(tmp_path, f'{{"item": "A"}}\n{deep}\n{"[" * 100_000}\n{{"item": "B"}}\n')
    assert found.good["item_id"].to_list() == ["A", "B"]
    assert found.refused["line"].to_list() == [2, 3]
    assert "too deeply" in found.refused["messages"][0][0]


def test_an_endless_line_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MAXIMUM_LINE_CHARACTERS", 1000)
    with pytest.raises(FileRefused, match="line 2: a row goes on for more than"):
        read(tmp_path, '{"item": "A"}\n{"item": "' + "x" * 2000)


def test_utf_16_is_read_as_the_contract_says(tmp_path):
    [found] = read(tmp_path, '{"item": "Zürich"}\n{"item": "B"}\n'.encode("utf-16"), encoding="utf-16")
    assert found.good["item_id"].to_list() == ["Zürich", "B"]


@pytest.mark.parametrize("content", ["", "\n\n", "[]", '{"data": {"items": []}}'])
def test_a_feed_without_rows_is_refused(tmp_path, content):
    reader = read_json if content.startswith(("[", "{")) else read_jsonl
    path = "data.items" if content.startswith("{") else None
    with pytest.raises(FileRefused, match="has no rows"):
        read(tmp_path, content, reader, records_path=path)


DOCUMENT = '{"total": 3, "next": {"x": [1, "}"]},\n "data": {"page": 1, "items": [\n  {"item": "A", "price": 1.10},\n 5, {"item": "B", "qty": 2}\n], "more": []},\n "z": null}'


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_a_document_is_read_in_pieces_of_any_size(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    [found] = read(tmp_path, DOCUMENT, read_json, records_path="data.items")
    assert found.good.select("item_id", "quantity", "price", "_line").rows() == [
        ("A", None, Decimal("1.1000"), 1),
        ("B", 2, None, 3),
    ]
    assert found.refused.select("line", "raw_text").rows() == [(2, "5")]
    assert found.rows == 3


@pytest.mark.parametrize(
    ("content", "path", "sentence"),
    [
        (DOCUMENT[:-1], "data.items", "line 6: the JSON document cannot be read: it was cut off"),
        (DOCUMENT[:100], "data.items", "cannot be read"),
        (DOCUMENT + "x", "data.items", "more stands after its end"),
        (DOCUMENT, "data.rows", "there is no 'data.rows'"),
        (DOCUMENT, "data.page", "there is no list at 'data.page'"),
        (DOCUMENT, "total.items", "there is no object at 'total'"),
        (DOCUMENT, None, "there is no list as the document"),
        ('[{"item": "A"} {"item": "B"}]', None, "',' or ']' is missing"),
        ('[{"item": "A"},]', None, "a value is missing"),
        ('[{"item": "A", "item": "B"}]', None, "the key 'item' stands in one object twice"),
        ('{"data": [], "data": []}', "data", "the key 'data' stands in one object twice"),
        ("[" * 100_000, None, "too deeply"),
        ("[NaN]", None, "NaN is no number"),
    ],
)
def test_a_broken_document_is_refused_whole(tmp_path, content, path, sentence):
    with pytest.raises(FileRefused) as refusal:
        read(tmp_path, content, read_json, name="feed.json", records_path=path)
    assert sentence in str(refusal.value)
    assert "feed.json, line" in str(refusal.value)


def test_a_long_value_that_never_ends_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MAXIMUM_LINE_CHARACTERS", 1000)
    monkeypatch.setattr(text, "CHUNK_BYTES", 500)
    with pytest.raises(FileRefused, match="broken or longer than"):
        read(tmp_path, '[{"item": "' + "x" * 5000, read_json, name="feed.json")


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()
)


def as_json(value):
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)


def as_text(value):
    """The oracle: what a person reads in the JSON text."""
    if value is None or value == "":
        return None
    return as_json(value) if not isinstance(value, str) else value


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=5), st.booleans())
def test_every_scalar_comes_out_as_it_was_written(tmp_path_factory, pairs, is_document):
    columns = (Column("a", "a", "string"), Column("b", "in.b", "string"))
    lines = [f'{{"a": {as_json(a)}, "in": {{"b": {as_json(b)}}}}}' for a, b in pairs]
    path = tmp_path_factory.mktemp("json") / "x"
    path.write_text("[" + ",".join(lines) + "]" if is_document else "\n".join(lines), encoding="utf-8")
    made = feed("json" if is_document else "jsonl", columns)
    blocks = list((read_json if is_document else read_jsonl)(path, "x", made))
    expected = [(as_text(a), as_text(b)) for a, b in pairs]
    assert [row for block in blocks for row in block.text.rows()] == expected
    assert [line for block in blocks for line in block.lines] == list(range(1, len(pairs) + 1))


def words(*told):
    return [json.dumps(word, ensure_ascii=False) for word in told]


FIGURES = ["0", "-0", "1.10", "1e3", "-1.5E-7", "12345678901234567890.5"]
LIKE = {
    "item": words("A", "", " x ", "null", "true", "1e3", "ü", "\u2028", "\x7f", "},{"),
    "qty": [*FIGURES, "null"],
    "price": FIGURES,
    "sold": ['{"on": "2024-01-31"}', '{"on": null}', '{"on":"x"}'],
    "open": ["true", "false", "null"],
}
"""By field what has the form of the usual line, and what has not."""
UNLIKE = {
    "item": [*words('a"b', "a\\b", "\t", "\0"), "7", '"\\u0041"', '"\t"', '"\0"', "[]"],
    "qty": ["01", "+1", ".5", "1.", "NaN", '"8"'],
    "price": ["-", "1e", "Infinity", "true"],
    "sold": ["null", "{}", '{"on": "x", "at": 1}', '"2024"'],
    "open": ['"x"', "1", "True"],
}


@st.composite
def like_the_others(draw):
    """A line of the usual keys in the usual order, now and then with other white space, one more or one that is missing."""
    names, odd = list(LIKE), draw(st.sampled_from([*LIKE, *["none"] * 10]))
    if draw(st.integers(0, 9)) == 0:
        names = draw(st.sampled_from([names[:-1], [*names, "item"], [*names, "more"], names[::-1]]))
    colon, comma = draw(st.sampled_from([(": ", ", ")] * 8 + [(":", ","), (" :\t", " , ")]))
    values = (draw(st.sampled_from((UNLIKE if name == odd else LIKE).get(name, ["1"]))) for name in names)
    line = (
        "{" + comma.join(f'"{name}"{colon}{value}' for name, value in zip(names, values, strict=True)) + "}"
    )
    return draw(st.sampled_from([line] * 12 + [f" {line}\r", line + "]", line[:-1], f"[{line}]", ""]))


def usual(**changed):
    fields = {name: changed.get(name, values[0]) for name, values in LIKE.items()}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def same_by_form_and_by_a_closer_look(folder, lines, other_fields):
    path = folder / "x"
    path.write_text("\n".join([*[usual()] * len(lines), *lines, ""]), encoding="utf-8", newline="")
    made = feed(other_fields=other_fields)
    quick = list(read_jsonl(path, "x", made))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_uniform, "ATTEMPTS", 0)
        closer = list(read_jsonl(path, "x", made))
    for one, other in zip(quick, closer, strict=True):
        assert one.lines.to_list() == other.lines.to_list()
        assert one.text.rows() == other.text.rows()
        every = range(one.text.height)
        assert one.raw_text(every) == other.raw_text(every)
        assert sorted(one.marks, key=repr) == sorted(other.marks, key=repr)
        assert one.refused == other.refused


@settings(max_examples=50, deadline=None)
@given(st.lists(like_the_others(), min_size=1, max_size=12), st.sampled_from(["refuse", "ignore"]))
def test_lines_of_one_form_are_what_a_closer_look_finds(tmp_path_factory, lines, other_fields):
    same_by_form_and_by_a_closer_look(tmp_path_factory.mktemp("json"), lines, other_fields)


@pytest.mark.parametrize("other_fields", ["refuse", "ignore"])
def test_every_value_is_what_a_closer_look_finds(tmp_path, other_fields):
    lines = [
        usual(**{name: value}) for kind in (LIKE, UNLIKE) for name, some in kind.items() for value in some
    ]
    same_by_form_and_by_a_closer_look(tmp_path, lines, other_fields)


def test_what_machines_write_is_taken_apart_by_its_form(monkeypatch, tmp_path):
    lines = [usual(item=f'"A{number}"') for number in range(100)]
    lines[50] = lines[50].replace("A50", "A\\u0035")
    looked = []
    monkeypatch.setattr(json_files, "_line_block", lambda lines, shape: looked.extend(lines))
    monkeypatch.setattr(json_files, "in_order", lambda one, other: one)
    [found] = read(tmp_path, "\n".join(lines) + "\n")
    assert [number for number, _ in looked] == [51], "others are looked at closely, and they alone"
    assert found.good.height == 99


def test_lines_that_only_together_are_json_are_each_refused(tmp_path):
    content = '{"item": "A", "open": [1\n2]}\n{"item": "B"},{"item": "C"}\n{"item": "D"}\n'
    [found] = read(tmp_path, content)
    assert found.good["item_id"].to_list() == ["D"]
    assert found.refused["line"].to_list() == [1, 2, 3]


@pytest.mark.parametrize(
    "line",
    [
        '{"item": "A", "item": "B"}',
        '{"item" : "A", "item": "B"}',
        '{"item"\t:"A","open":true,"open":false}',
        '{"item": "A", "sold": {"on": "2024-01-31", "on": "2024-02-01"}}',
        '{"item": "A", "colour": {"x": 1, "x": 2}}',
        '{"item": "\\":", "open": true, "open": true}',
    ],
)
def test_a_key_twice_is_found_however_it_is_written(tmp_path, line):
    [found] = read(tmp_path, '{"item": "good"}\n' + line + "\n", other_fields="ignore")
    assert found.good["item_id"].to_list() == ["good"]
    assert "stands in one object twice" in found.refused["messages"][0][0]
