"""Claim: of the sheets of real problem workbooks, 99 % are read with every displayed value right; none crashes or hangs.

    python -m benchmarks.spreadsheets [--json] [--dir DIR] [--out DIR]

297 workbooks (xls, xlsx, xlsm, xlsb) from bug reports, each a folder with `workbook.*` and, for each sheet, the
`sheet_N.csv` that Excel exported. Read by `lake/sources/workbooks`, which the contracts' reader uses, each workbook in a
process of its own with limits on time and memory. What counts as right is defined in `displayed.py`.

    sheets_right_share    sheets of which every cell is right; a formula whose saved result was read counts as right where
                          the export shows another, which Excel calculated when it opened the workbook (`saved_results.py`)
    comparable_right_share  the same, of the sheets whose export is of this version of the workbook: those in
                          `not_comparable` are left out, each with the evidence that is looked for anew (`other_versions.py`)
    as_exported_share     without any allowance
    crashed               workbooks that ended their process or the time limit; refused: those not read, with a reason

`--dir` takes another folder of this layout; `--out` also writes what was read, one CSV per sheet, named as the expected.
"""

import json
import multiprocessing
import os
import resource
import tarfile
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.other_versions import evidence
from benchmarks.workbook_reading import read_workbook
from lake.company import PROJECT_ROOT

ARCHIVE = "robustness/workbooks_with_expected_sheets.tar.xz"
SECONDS = 30
MEMORY_BYTES = 4 << 30


def _child(connection: Connection, folder: Path, out: Path | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    connection.send(read_workbook(folder, out))


def run_limited(folder: Path, out: Path | None) -> dict[str, Any] | None:
    """Read one workbook in a process of its own; None if that process crashes or takes too long."""
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, folder, out))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(SECONDS) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def measure(folder: Path, out: Path | None) -> dict[str, Any]:
    """Read every workbook below a folder; returns the figures, and the sheets that are wrong."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["benchmarks.workbook_reading"])
    sheets, as_exported, crashed, refused, wrong, other = 0, 0, [], {}, {}, {}
    workbooks = sorted(path.parent for path in folder.rglob("workbook.*"))
    for workbook in workbooks:
        result = run_limited(workbook, out)
        expected = [path.name for path in workbook.glob("sheet_*.csv")]
        sheets += len(expected)
        if result is None:
            crashed.append(workbook.name)
            wrong |= {f"{workbook.name}/{name}": ["crashed"] for name in expected}
            continue
        other |= {f"{workbook.name}/{name}": why for name in expected if (why := evidence(workbook, name))}
        if result["refused"]:
            refused[workbook.name] = result["refused"]
        for name, sheet in sorted(result["sheets"].items()):
            as_exported += sheet["as_exported"]
            if not sheet["right"]:
                wrong[f"{workbook.name}/{name}"] = sheet["differences"]
    return {
        "workbooks": len(workbooks),
        "sheets": sheets,
        "sheets_right_share": round(1 - len(wrong) / max(sheets, 1), 4),
        "comparable_right_share": round(
            1 - len(wrong.keys() - other.keys()) / max(sheets - len(other), 1), 4
        ),
        "as_exported_share": round(as_exported / max(sheets, 1), 4),
        "crashed": len(crashed),
        "crashed_workbooks": crashed,
        "refused": refused,
        "not_comparable": [{"sheet": name, "evidence": why} for name, why in other.items()],
        "wrong": wrong,
    }


def main(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    folder: Annotated[Path | None, typer.Option("--dir", help="Workbooks and their expected sheets.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write what was read.")] = None,
) -> None:
    """Print how many sheets are read right, and which are not."""
    with tempfile.TemporaryDirectory() as unpacked:
        if folder is None:
            archive = (
                Path(os.environ.get("STOCKLAKE_DATA") or PROJECT_ROOT.parent / "shared" / "data") / ARCHIVE
            )
            if not archive.exists():
                raise SystemExit(f"{archive} is not there: set STOCKLAKE_DATA to the folder with {ARCHIVE}.")
            with tarfile.open(archive) as tar:
                tar.extractall(unpacked, filter="data")
        result = measure(folder or Path(unpacked), out)
    if as_json:
        print(json.dumps(result))
        return
    for one in (others := result.pop("not_comparable")):
        print(f"not comparable: {one['sheet']}: {one['evidence']}")
    others = {one["sheet"] for one in others}
    for name, found in result.pop("wrong").items():
        if name not in others:
            print(f"wrong: {name}", *found, sep="\n    ")
    result["not_comparable"] = len(others)
    for key, value in result.items():
        print(f"{key:20} {value}")


if __name__ == "__main__":
    typer.run(main)
