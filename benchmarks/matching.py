"""What matching costs as lists grow: CPU seconds and peak memory of the first look, and of a day with ten new codes.

    python -m benchmarks.matching [--items 10000 30000 100000] [--json]

A master list and a foreign list of as many items: 20 % of the codes differ, 5 % of the names are misspelt, 60 % have a GTIN.
Growth is the CPU of the largest list over that of the smallest, divided by the ratio of their sizes: 1 is linear.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lake.company import Company, CompanySettings, Matching
from lake.connection import Lake
from lake.contracts.entities import load_entities
from lake.contracts.model import Column, Contract, Location
from lake.matching.step import match

_BOOKKEEPING = "'d' AS _delivery_id, '{0}.csv' AS _file, NULL::VARCHAR AS _sheet, i + 2 AS _line, NULL::TIMESTAMP AS _known_at"
_WORDS = "['Broom', 'Mop head', 'Sponge set', 'Floor cleaner', 'Padlock', 'Hinge', 'Plant pot', 'Desk lamp', 'Leash', 'Cooler box']"
_MASTER = f"""
SELECT 'ITM-' || (100000 + i) AS item_id,
    {_WORDS}[1 + (hash(i, 1) % 10)::INT] || ' ' || chr(65 + (hash(i, 2) % 26)::INT) || chr(97 + (hash(i, 3) % 26)::INT) || 'ra no. ' || (i % 997) AS item_name,
    'cat' || (hash(i, 4) % 12) AS category, round(0.1 + (hash(i, 5) % 20000) / 1000, 3) AS unit_weight_kg,
    if(hash(i, 6) % 10 < 6, d || (10 - list_sum([d[k]::INT * if(k % 2 = 0, 3, 1) for k in range(1, 13)]) % 10) % 10, NULL) AS gtin, i
FROM (SELECT i, '952' || lpad(i::VARCHAR, 9, '0') AS d FROM range($items) AS t(i))
"""
_FOREIGN = f"""
SELECT * REPLACE (
    CASE WHEN hash(i, 7) % 100 < 15 THEN lower(replace(item_id, '-', '')) WHEN hash(i, 7) % 100 < 20 THEN 'X' || hash(i, 8) % 10000000 ELSE item_id END AS item_id,
    if(hash(i, 9) % 100 < 5, item_name[1:2] || item_name[4:4] || item_name[3:3] || item_name[5:], item_name) AS item_name,
    if(hash(i, 10) % 10 < 7, gtin, NULL) AS gtin)
FROM ({_MASTER})
"""


def contract(dataset: str, system: str) -> Contract:
    """Return the contract of a list of items."""
    columns = load_entities()["item"].columns
    return Contract(
        dataset, Path(dataset), "1.0.0", dataset, dataset, "benchmark", system, Location("unused", "csv"),
        tuple(Column(name, name, "string") for name in columns),
        entity="item", mapping=tuple((name, name) for name in columns),
    )  # fmt: skip


def write(lake: Lake, dataset: str, query: str, items: int) -> None:
    """Replace the raw table of a list."""
    typed = ", ".join(
        f"{name}::{column.type} AS {name}"
        if name in ("item_id", "item_name", "category", "unit_weight_kg", "gtin")
        else f"NULL::{column.type} AS {name}"
        for name, column in load_entities()["item"].columns.items()
    )
    with lake.write() as connection:
        made = query.replace("$items", str(items))
        connection.execute(
            f"CREATE OR REPLACE TABLE lake.raw.{dataset} AS SELECT {typed}, {_BOOKKEEPING.format(dataset)} FROM ({made})"
        )


def measure(items: int) -> dict[str, Any]:
    """Match two lists of `items` rows, then ten more codes; return cost and what was linked."""
    with tempfile.TemporaryDirectory() as folder:
        settings = CompanySettings(title="Matching", currency="EUR", matching=Matching())
        company = Company("matching", Path(folder), Path(folder), settings)
        company.prepare()
        lake = Lake.of(company)
        lake.ensure()
        contracts = [contract("item", "erp"), replace(contract("article", "logistics"))]
        write(lake, "item", _MASTER, items)
        write(lake, "article", _FOREIGN, items)
        import splink  # noqa: F401  -- imports are not counted

        before = time.process_time()
        report = match(company, contracts, run_id="first")
        first_s = time.process_time() - before
        write(
            lake,
            "article",
            f"{_FOREIGN} UNION ALL SELECT * REPLACE ('new' || item_id AS item_id) FROM ({_MASTER}) WHERE i < 10",
            items,
        )
        before = time.process_time()
        match(company, contracts, run_id="day")
        day_s = time.process_time() - before
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "items": items,
        "linked": sum(report.linked.values()),
        "queued": report.queued,
        "cpu_s": round(first_s, 1),
        "day_cpu_s": round(day_s, 1),
        "peak_mb": round(peak_mb),
    }


def main() -> None:
    """Measure each size in a process of its own and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes = sorted(arguments.items)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = [pool.apply(measure, (size,)) for size in sizes]
    growth = (found[-1]["cpu_s"] / found[0]["cpu_s"]) / (sizes[-1] / sizes[0])
    if arguments.json:
        print(json.dumps({"sizes": found, "growth": round(growth, 2)}))
        return
    for one in found:
        print(
            f"{one['items']:>8,} items: {one['cpu_s']:>6} CPU s, a day with 10 new codes {one['day_cpu_s']} CPU s, {one['peak_mb']:,} MB;"
            f" {one['linked']:,} linked, {one['queued']:,} for a steward"
        )
    print(f"growth against size: {growth:.2f} (1 is linear)")


if __name__ == "__main__":
    main()
