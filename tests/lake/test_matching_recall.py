"""Precision and recall against what is true, for five made-up worlds. The truth is read here only; matching never sees it."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lake.company import Company, CompanySettings, Matching
from lake.connection import Lake
from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from lake.matching.step import match
from tests.companies.deliveries import COMPANY, PROGRAM

SIZES = {"items": 200, "suppliers": 100, "stores": 3, "centres": 1, "days": 2, "sales-lines": 1, "dirt": 0}
RATES = {"spelling": 1.0}
"""20 % of codes differ, 5 % of names are misspelt, 2 % of suppliers are doubled: companies/example/README.md."""
LISTS = [
    "item",
    "supplier",
    "location",
    "supplier_item",
    "article",
    "shipper",
    "planner_item",
    "planner_location",
]


@dataclass(frozen=True)
class Score:
    """Of the codes that are not the master's own: how many there are, were linked, and linked rightly."""

    codes: int
    linked: int
    right: int


def _score(folder: Path, seed: int) -> dict[str, Score]:
    settings = CompanySettings(title="World", currency="USD", matching=Matching())
    company = Company("world", COMPANY, folder / "world", settings)
    company.prepare()
    sizes = [text for name, size in (SIZES | RATES).items() for text in (f"--{name}", str(size))]
    command = [sys.executable, str(PROGRAM), "--out", str(company.inbox), "--truth", str(folder / "truth")]
    subprocess.run([*command, *sizes, "--seed", str(seed)], check=True, capture_output=True)
    contracts = [one for one in load_contracts(company) if one.dataset in LISTS]
    report = ingest(company, contracts, run_id="load")
    assert report.is_clean, report.problems
    match(company, contracts, run_id="match")
    with (folder / "truth" / "code.csv").open(encoding="utf-8") as lines:
        truth = {(r["kind"], r["system"], r["code"]): r["true_id"] for r in csv.DictReader(lines)}
    with Lake.of(company).read() as connection:
        found = connection.execute(
            "SELECT kind, system, code, conformed_id, event_id IS NOT NULL FROM lake.staging.crosswalk"
        ).fetchall()
    scores = {}
    for kind in ("item", "supplier", "location"):
        wanted = {
            key: true for key, true in truth.items() if key[0] == kind and (key[1] != "erp" or key[2] != true)
        }
        linked = {(k, s, c): to for k, s, c, to, is_linked in found if k == kind and is_linked}
        right = sum(truth.get(key) == to for key, to in linked.items())
        scores[kind] = Score(len(wanted), len(linked), right)
        assert set(linked) <= set(truth), "a code was linked that is in no list"
    return scores


def test_links_are_right_and_few_are_missing(tmp_path: Path) -> None:
    worlds = [_score(tmp_path / str(seed), seed) for seed in (1, 2, 3, 4, 5)]
    for kind in ("item", "supplier", "location"):
        for world in worlds:
            assert world[kind].right >= 0.995 * world[kind].linked, (kind, world)
            assert world[kind].right >= 0.97 * world[kind].codes, (kind, world)
    assert sum(world["item"].codes for world in worlds) == 5 * 400
    assert sum(world["supplier"].codes for world in worlds) == 5 * 102
