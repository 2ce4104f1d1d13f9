"""Files that are no contracts: each gives one clear sentence with file and line, and never a traceback."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from lake.errors import ContractError
from tests.lake.contracts.conftest import GOOD, ITEM, Make

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)

# name -> (bytes of the file, line, part of the sentence)
MALFORMED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 1, "the file is empty"),
    "only blanks": (b"\n\n  \n", 1, "the file is empty"),
    "only a comment": (b"# later\n", 1, "the file is empty"),
    "null": (b"null\n", 1, "is not a contract"),
    "a list": (b"- a\n- b\n", 1, "is not a contract"),
    "a word": (b"hello\n", 1, "is not a contract"),
    "a number": (b"12\n", 1, "is not a contract"),
    "JSON cut off": (b'{"kind": "DataContract",\n "id"', 2, "is not valid YAML"),
    "a tab": (b"kind: DataContract\nid:\n\t- x\n", 3, "is not valid YAML"),
    "bad indentation": (b"kind: DataContract\n  id: x\n", 2, "is not valid YAML"),
    "an open quote": (b'kind: DataContract\nid: "x\n', 3, "is not valid YAML"),
    "an open bracket": (b"kind: DataContract\nschema: [\n", 3, "is not valid YAML"),
    "two documents": (GOOD.encode() + b"---\n" + ITEM.encode(), GOOD.count("\n") + 1, "expected a single document"),
    "an unknown alias": (b"kind: *no\n", 1, "is not valid YAML"),
    "an unknown tag": (b"kind: DataContract\nid: !!python/object/apply:os.system [x]\n", 2, "is not known here"),
    "a tag that lies": (b"kind: DataContract\nid: !!int x\nversion: !!float y\n", 2, "'x' is no int"),
    "a tagged word": (b"kind: DataContract\nid: !secret x\n", 2, "the tag '!secret' is not known"),
    "a key twice": (b"kind: DataContract\nid: x\nid: y\n", 3, "'id' stands twice"),
    "a list as key": (b"kind: DataContract\n? [a, b]\n: c\n", 2, "a key has to be a plain word"),
    "a mapping as key": (b"kind: DataContract\n{a: b}: c\n", 2, "a key has to be a plain word"),
    "Latin-1": ("kind: DataContract\nid: café\n".encode("latin-1"), 2, "is not UTF-8 text"),
    "UTF-16": (GOOD.encode("utf-16"), 1, "is not UTF-8 text"),
    "binary": (bytes(range(256)), 2, "is not UTF-8 text"),
    "a control character": (b"kind: Data\x07Contract\n", 1, "is not valid YAML"),
    "a workbook": (b"PK\x03\x04" + bytes(100), 1, ""),
    "nested deeply": (b"[" * 400 + b"]" * 400, 1, "nested too deeply"),
    "nested a little too deeply": (b"a: " + b"[" * 40 + b"]" * 40, 1, "nested too deeply"),
    "an alias bomb": (BOMB.encode(), 1, "too large or nested too deeply"),
    "an alias of itself": (b"a: &a [*a]\n", 1, "nested too deeply"),
    "too large": (b"# " + b"x" * 4_000_001, 1, "too large"),
    "schema is text": (GOOD[: GOOD.index("schema:")].encode() + b"schema: sales\n", 17, "has to be a list, not 'sales'"),
    "schema is missing": (GOOD[: GOOD.index("schema:")].encode(), 1, "0 datasets are described"),
    "schema is empty": (GOOD[: GOOD.index("schema:")].encode() + b"schema: []\n", 17, "0 datasets are described"),
    "a schema of nothing": (GOOD[: GOOD.index("schema:")].encode() + b"schema: [null]\n", 17, "has to be a mapping"),
    "two datasets": (GOOD.encode() + b"  - name: b\n", 17, "2 datasets are described: write one per file"),
    "no columns": (GOOD[: GOOD.index("    properties:")].encode(), 18, "no columns are described"),
    "no servers": (GOOD.replace("servers:", "roles:").encode(), 11, ""),
    "a huge number": (GOOD.replace("minimum: -10", "minimum: " + "9" * 5000).encode(), 57, "has to be a number"),
    "custom properties as a mapping": (GOOD.replace('      - {property: delimiter, value: ";"}', '      delimiter: ";"').encode(), 15, "has to be a list"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_contract_is_one_clear_sentence(make: Make, name: str) -> None:
    content, line, message = MALFORMED[name]
    company = make(sales=content)
    problems = lint(company)
    assert problems
    first = problems[0]
    assert (first.path.name, first.line) == ("sales.odcs.yaml", line), str(first)
    assert message in first.message
    assert len(str(first)) < 600
    assert "\n" not in str(first)
    with pytest.raises(ContractError) as caught:
        load_contracts(company)
    assert str(first) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_folder_called_like_a_contract(make: Make) -> None:
    company = make(sales=GOOD)
    (company.contracts / "item.odcs.yaml").mkdir()
    (problem,) = lint(company)
    assert "cannot be read (Is a directory)" in problem.message


def test_a_link_to_nowhere(make: Make, tmp_path: Path) -> None:
    company = make(sales=GOOD)
    (company.contracts / "item.odcs.yaml").symlink_to(tmp_path / "gone")
    (problem,) = lint(company)
    assert "cannot be read (No such file or directory)" in problem.message


def test_a_good_contract_of_another_spelling(make: Make) -> None:
    """A byte order mark, Windows line ends and JSON are all YAML."""
    assert lint(make(sales=b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in inside for place in places(item, (*path, key))]


PLACES = places(yaml.safe_load(GOOD))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["%", "(", "$line", "a.b", "sales"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NOTHING = object()


@settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES | st.just(NOTHING)), min_size=1, max_size=3))
def test_no_value_anywhere_makes_lint_fall(make: Make, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Any value in any place of a contract is either good or told; a contract without a problem loads."""
    data = yaml.safe_load(GOOD)
    for path, value in changes:
        try:
            around = data
            for part in path[:-1]:
                around = around[part]
            if value is NOTHING:
                del around[path[-1]]
            else:
                around[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    company = make(sales=yaml.safe_dump(data, allow_unicode=True))
    problems = lint(company)
    for problem in problems:
        assert problem.line >= 1
        assert "\n" not in str(problem)
    if not problems:
        assert load_contracts(company)[0].columns
