"""The part of the ledger that decides about a delivery decides as the whole of it would."""

import random
import subprocess
import sys

import pytest

from lake import ledger
from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.landing import LandedFile
from lake.ledger import Delivery
from lake.loading import _is_news, _numbered, repeated_delivery
from tests.lake.loading_kit import company, contract, rows


@pytest.mark.parametrize("write_mode", ["append", "upsert"])
def test_what_is_asked_about_a_delivery_has_the_answer_of_the_whole_ledger(tmp_path, write_mode):
    chance, lake = random.Random(3), Lake.of(company(tmp_path))
    datasets, names, contents = ("sales", "item"), ("a", "b", "c"), ("x", "y", "z")

    def delivery(status="loaded"):
        return Delivery(
            chance.choice(datasets), chance.choice(names), chance.choice([*contents, None]), 1, status
        )

    with lake.write() as connection:
        ledger.create_tables(connection)
        for _ in range(40):
            status = chance.choice(["loaded", "duplicate_delivery", "refused"])
            ledger.write_deliveries(connection, "run", [delivery(status)])
            asked = [one for one in (delivery(), delivery()) if one.content_sha256]
            whole, part = ledger.noted(connection), ledger.noted(connection, asked)
            for one in asked:
                described = contract(one.dataset, write_mode=write_mode)
                landed = LandedFile(one.dataset, one.file_name, tmp_path, one.content_sha256, 1)
                answers = [
                    (repeated_delivery(held, described, landed), _numbered(held, one), _is_news(held, landed))
                    for held in (ledger.held(rows.get(one.dataset, ())) for rows in (whole, part))
                ]
                assert answers[0] == answers[1]
            assert all(len(part.get(name, [])) <= len(whole.get(name, [])) for name in datasets)


PROGRAM = """
import sys
from pathlib import Path
from lake import ledger
from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.ledger import Delivery
from lake.sources.control import Reconciled
from lake.sources.drift import Drift
from tests.lake.loading_kit import company
lake = Lake.of(company(Path(sys.argv[1])))
one = Delivery("sales", "it's.csv", "c", 1, delivery_id="d")
one.drift = [Drift("new", "x" * 300, "it's new"), Drift("swapped", None, "both")]
one.control = [Reconciled("rows", "2", "3", False), Reconciled("sum(price)", "1.5", "1.5", True)]
with lake.write() as connection:
    ledger.create_tables(connection)
    ledger.write_deliveries(connection, "run", [one])
    ledger.write_findings(connection, "run", [one])
print("pandas" in sys.modules)
"""


def test_what_a_loader_writes_imports_no_pandas(tmp_path):
    """It costs .3 CPU s and 60 MB of every process that loads."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    home = company(tmp_path)
    assert rows(home, "SELECT kind, length(column_name), message FROM lake.meta.drift ORDER BY 1") == [
        ("new", 200, "it's new"), ("swapped", None, "both"),
    ]  # fmt: skip
    assert rows(home, "SELECT file_name, figure, expected, found, ties FROM lake.meta.control ORDER BY 2") == [
        ("it's.csv", "rows", "2", "3", False), ("it's.csv", "sum(price)", "1.5", "1.5", True),
    ]  # fmt: skip
