"""Writes the example company's exports: `python companies/example/generate.py --out INBOX [--truth FOLDER] ...`.

A simulated distributor, day by day, and what its ERP, its carriers and its planners would export of it, with dirt at
the rates of README.md. What is true goes to the truth folder (default: `truth` beside the inbox), which only tests
read. Equal arguments give equal bytes; a second run with the same arguments writes nothing.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent))

from generator.demand import make_demand
from generator.dirt import Dirt
from generator.hubs import make_scans, scan_exports
from generator.invoices import invoice_exports, make_invoices
from generator.ledger import ledger_exports, make_ledger
from generator.master import log_exports, master_exports
from generator.operations import operations_exports
from generator.sales import sales_exports, sales_lines, with_corrections
from generator.signals import signal_exports
from generator.simulation import simulate
from generator.spelling import Spelling
from generator.supply_truth import Supply, write_supply
from generator.truth import write_truth
from generator.workbooks import workbook_bytes
from generator.world import Sizes, make_world
from generator.writing import Export, Folder, csv_bytes, jsonl_bytes

MARKER = ".complete"


def main() -> int:
    """Make the exports unless the marker says that they are there; return the exit code."""
    arguments = _arguments()
    inbox, truth = Folder(arguments.out), Folder(arguments.truth or arguments.out.parent / "truth")
    sizes = Sizes(
        seed=arguments.seed,
        items=arguments.items,
        stores=arguments.stores,
        centres=arguments.centres,
        suppliers=arguments.suppliers,
        days=arguments.days,
        sales_lines=arguments.sales_lines,
        dirt=arguments.dirt,
        spelling=arguments.spelling,
        discrepancies=arguments.discrepancies,
        end_date=arguments.end_date,
    )
    mark = json.dumps({"program": _program(), "truth": str(truth.path.resolve()), **vars(sizes)}, default=str)
    if _is_complete(inbox, mark) and _is_complete(truth, mark):
        print(f"{arguments.out} is complete already: nothing written")
        return 0
    for folder in (inbox, truth):
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / MARKER).unlink(missing_ok=True)
        folder.clear()
    _make(sizes, inbox, truth)
    for folder in (inbox, truth):
        (folder.path / MARKER).write_text(mark + "\n", encoding="utf-8")
    print(f"{arguments.out}: {len(inbox.names())} files")
    return 0


def _make(sizes: Sizes, inbox: Folder, truth: Folder) -> None:
    world = make_world(sizes)
    demand = make_demand(world)
    history = simulate(world, demand)
    lines = sales_lines(world, demand, history)
    dirt = Dirt(world)
    spelling = Spelling(world, sizes.spelling)
    supply = Supply(
        make_ledger(world, history, dirt.missing, sizes.discrepancies),
        make_invoices(world, history, sizes.discrepancies),
        make_scans(world, history),
    )

    def exports() -> Iterator[Export]:
        yield from master_exports(world)
        yield from spelling.lists()
        yield from sales_exports(world, with_corrections(world, lines, sizes.dirt))
        yield from operations_exports(world, history, dirt.missing)
        # What came to the company later stands last: it takes no draw of dirt from the files above.
        yield from log_exports(world)
        yield from ledger_exports(world, supply.ledger)
        yield from invoice_exports(world, supply.invoices)
        yield from scan_exports(world, supply.scans)
        yield from signal_exports(world, demand)  # last: the dirt of all others is drawn as it was

    for clean in exports():
        export = dirt.spoil(spelling.respell(clean))
        content = _content(export)
        inbox.write(export.path, content)
        again = dirt.redelivery(export)
        if again:
            inbox.write(again, content)
    write_truth(truth, world, demand, history, lines, dirt)
    truth.write("code.csv", spelling.codes().write_csv().encode())
    write_supply(truth, world, supply)


def _content(export: Export) -> bytes:
    if export.path.endswith(".xlsx"):
        return workbook_bytes(export)
    return jsonl_bytes(export) if export.path.endswith(".jsonl") else csv_bytes(export)


def _is_complete(folder: Folder, mark: str) -> bool:
    marker = folder.path / MARKER
    if not marker.exists() or marker.read_text(encoding="utf-8") != mark + "\n":
        return False
    return all((folder.path / name).exists() for name in folder.names())


def _program() -> str:
    """Return a hash of this program: when it changes, what it made before is not complete any more."""
    digest = hashlib.sha256(pl.__version__.encode())
    here = Path(__file__).resolve().parent
    for path in [Path(__file__), *sorted((here / "generator").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the exports (the company's inbox)")
    parser.add_argument("--truth", type=Path, help="folder of what is true (default: truth, beside OUT)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--items", type=int, default=250)
    parser.add_argument("--stores", type=int, default=12)
    parser.add_argument("--centres", type=int, default=3)
    parser.add_argument("--suppliers", type=int, default=20)
    parser.add_argument(
        "--days", type=int, default=546, help="546 days end whole months: 18 files of each kind"
    )
    parser.add_argument(
        "--sales-lines", type=int, default=1_000_000, help="demand lines; about 95 %% become sales"
    )
    parser.add_argument(
        "--dirt", type=float, default=1.0, help="factor on the rates of README.md; 0: clean files"
    )
    parser.add_argument(
        "--spelling",
        type=float,
        default=1.0,
        help="factor on what systems spell differently; 0: all as the ERP",
    )
    parser.add_argument(
        "--discrepancies",
        type=float,
        default=1.0,
        help="factor on the numbers of wrong postings and invoices in README.md; 0: none",
    )
    parser.add_argument("--end-date", type=date.fromisoformat, default=date(2026, 6, 30))
    arguments = parser.parse_args()
    smallest = {
        "items": 1,
        "stores": 1,
        "centres": 1,
        "suppliers": 1,
        "days": 2,
        "sales_lines": 1,
        "dirt": 0,
        "spelling": 0,
        "discrepancies": 0,
        "seed": 0,
    }
    for name, least in smallest.items():
        if getattr(arguments, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
