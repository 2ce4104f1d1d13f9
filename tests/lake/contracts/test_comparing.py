"""Every change of a contract gets the class that a table of expectations gives it, whatever contract it is done to."""

import copy
import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.contracts import changes, comparing, versioning
from lake.contracts.document import read_document
from lake.contracts.model import Column, Contract
from lake.contracts.versioning import compare_texts
from tests.lake.contracts.mutations import EVERYTHING, EXPECTED, columns

COMPANIES = Path(__file__).parents[3] / "companies"
REAL = [
    COMPANIES / "example" / "contracts" / f"{name}.odcs.yaml"
    for name in ("sales_order_line", "carrier_event", "supplier_price_list", "stock_count")
] + [COMPANIES / "adventureworks" / "contracts" / "vendor.odcs.yaml"]


@cache
def bases() -> list[dict[str, Any]]:
    found = [read_document(path).data for path in REAL]
    return [read_document(Path("everything"), EVERYTHING.encode()).data, *found]


def text(document: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(document, sort_keys=False).encode()


@cache
def contract(index: int) -> Contract:
    return read(text(bases()[index]))[0]


def read(said: bytes) -> tuple[Contract, bool]:
    """Return a contract, and whether it lints by itself; one that does not is compared all the same."""
    found, problems = versioning._read("c", said)
    assert found is not None, problems
    return found, not problems


def assert_weight(name: str, before: Contract, after: Contract) -> None:
    """Hold a comparison to the table, and what version it asks for to semantic versioning."""
    expected = EXPECTED[name][0]
    found = tuple(comparing.compare(before, after))
    weights = {change.weight for change in found}
    strongest = next((one for one in changes.WEIGHTS if one in weights), "none")
    assert strongest == expected, f"{name}: {found}"
    numbers = [int(part) for part in before.version.split(".")]
    verdicts = {"breaking": ("refused", "refused", "sound"), "compatible": ("advised", "sound", "sound"),
                "wording": ("sound", "sound", "sound"), "none": ("sound", "sound", "sound")}[expected]  # fmt: skip
    for place, verdict in zip((2, 1, 0), verdicts, strict=True):
        version = ".".join(str(n + 1 if i == place else n if i < place else 0) for i, n in enumerate(numbers))
        assert versioning.judge(before.version, version, found)[0] == verdict
    unchanged = {"breaking": "refused", "compatible": "advised", "wording": "advised", "none": "same"}
    assert versioning.judge(before.version, before.version, found)[0] == unchanged[expected]


NEVER_SOUND = {"feeds its entity no more"}
"""Its columns then feed nothing, and the linter refuses that before anything is compared."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_change_has_the_weight_that_it_has_to_people(name: str) -> None:
    is_asked = False
    for index, base in enumerate(bases()):
        for turn in (-1, -2, 0, 3):
            after = copy.deepcopy(base)
            if not EXPECTED[name][1](after, lambda choices, turn=turn: choices[turn % len(choices)]):
                break
            new, is_sound = read(text(after))
            is_asked = True
            if is_sound or name in NEVER_SOUND:
                assert_weight(name, contract(index), new)
                assert is_sound == (name not in NEVER_SOUND)
                return
    assert is_asked, "this mutation fits no contract at all"
    raise AssertionError("no contract stays sound under this mutation")


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_weight_is_the_same_for_any_column_of_any_contract(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EXPECTED)))
    index = data.draw(st.sampled_from(range(len(bases()))))
    after = copy.deepcopy(bases()[index])
    if EXPECTED[name][1](after, lambda choices: data.draw(st.sampled_from(choices))):
        new, is_sound = read(text(after))
        if is_sound:
            assert_weight(name, contract(index), new)


OF_THE_WHOLE = (
    "another delimiter",
    "less memory",
    "another place",
    "a check that stops",
    "control totals stop",
)
OF_A_COLUMN = ("minimum raised", "more digits", "a description", "a value is allowed as well", "longer texts")


@pytest.mark.parametrize("whole", OF_THE_WHOLE)
@pytest.mark.parametrize("part", OF_A_COLUMN)
def test_changes_of_different_things_are_all_told(whole: str, part: str) -> None:
    base = bases()[0]
    singly: set[changes.Change] = set()
    both = copy.deepcopy(base)
    for name in (whole, part):
        alone = copy.deepcopy(base)
        for document in (alone, both):
            assert EXPECTED[name][1](document, lambda choices: choices[-1])
        singly |= set(compare_texts("c", text(base), text(alone)).changes)
    found = compare_texts("c", text(base), text(both))
    assert set(found.changes) == singly
    assert found.verdict == "refused"


def test_the_same_contract_written_otherwise_is_the_same() -> None:
    for base in bases():
        otherwise = yaml.safe_dump(base, sort_keys=True, default_flow_style=True, width=40).encode()
        assert compare_texts("c", text(base), b"# a comment\n" + otherwise).verdict == "same"


def test_no_property_of_a_contract_is_forgotten() -> None:
    """What has no rule is breaking; a rule that silences a property has another place that tells of it."""
    told_elsewhere = {"columns", "location", "source", "entity", "mapping", "domain", "code_system", "schema_policy",
                      "control_totals", "limits", "checks", "path", "version"}  # fmt: skip
    silent = {name for name, rule in comparing._CONTRACT_RULES.items() if rule is comparing._nothing}
    assert silent == told_elsewhere
    assert {name for name, rule in changes.COLUMN_RULES.items() if rule is changes._nothing} == {
        "name", "key", "schema_policy",
    }  # fmt: skip
    assert set(comparing._CONTRACT_RULES) <= {field.name for field in dataclasses.fields(Contract)}
    assert set(changes.COLUMN_RULES) <= {field.name for field in dataclasses.fields(Column)}


def test_a_version_does_not_go_back_and_below_1_the_second_number_breaks() -> None:
    base = bases()[0]
    after = {**base, "version": "1.4.1"}
    assert "does not go back" in compare_texts("c", text(base), text(after)).message
    young, broken = {**base, "version": "0.3.1"}, copy.deepcopy({**base, "version": "0.4.0"})
    columns(broken)[-1]["required"] = True
    assert compare_texts("c", text(young), text(broken)).verdict == "sound"
    broken["version"] = "0.3.2"
    refused = compare_texts("c", text(young), text(broken))
    assert refused.verdict == "refused"
    assert "write `version: 0.4.0`" in refused.message


def test_a_contract_goes_only_after_it_was_deprecated() -> None:
    base = bases()[0]
    assert compare_texts("c", text(base), None).verdict == "refused"
    assert compare_texts("c", text({**base, "status": "deprecated"}), None).verdict == "removed"


def test_what_was_no_contract_binds_nobody_and_what_is_none_is_refused() -> None:
    base = text(bases()[0])
    assert compare_texts("c", b"{]", base).verdict == "sound"
    assert compare_texts("c", None, base).verdict == "new"
    refused = compare_texts("c", base, base + b"surprise: 1\n")
    assert (refused.verdict, "line" in refused.message) == ("refused", True)
