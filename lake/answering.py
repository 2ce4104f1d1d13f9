"""Answers to EDI: once the rows of a file are committed, its interchanges are acknowledged in the company's exports.

The answers are made where files are read, in the process with walls; here they are only put where people take them from.
"""

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.company import Company
from lake.contracts.model import Column, Contract
from lake.errors import FileRefused, InputError
from lake.landing import LandedFile
from lake.parsing import process
from lake.parsing.job import Job

_NAME = re.compile(r"997_[A-Za-z0-9_-]{1,120}\.x12")
_COLUMNS = (
    Column("file", "file", "string", required=True),
    Column("answer", "answer", "string", required=True),
)


def answer_interchanges(company: Company, contract: Contract, landed: LandedFile) -> list[Path]:
    """Write the answer to every interchange of a landed file to `exports/edi`, and return where they lie.

    The same file again gives the same answers: nothing is written twice. Raises `InputError` where other content was
    answered before under the same sender and control number.
    """
    of = Contract(
        dataset="answers", path=contract.path, version=contract.version, title="", description="", owner="", domain="",
        location=replace(contract.location, format="x12_answers"), columns=_COLUMNS, limits=contract.limits,
    )  # fmt: skip
    written = []
    with tempfile.TemporaryDirectory(dir=_folder(company.home / "answering")) as name:
        folder = Path(name).absolute()
        try:
            parsed = process.parse(Job(of, landed.path.absolute(), landed.name, "", folder), lambda _: None)
        except FileRefused:
            return []  # it was refused when it was loaded, and is told there
        for part in parsed.parts:
            for file, answer in pl.read_parquet(folder / part, columns=["file", "answer"]).rows():
                written.append(_put(_folder(company.exports / "edi"), file, answer, landed.name))
    return written


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _put(folder: Path, file: str, answer: str, name: str) -> Path:
    """Write a file at once, so that who takes it has all of it."""
    if not _NAME.fullmatch(file):
        raise InputError(
            f"{name} names its sender or control number so that no answer can be filed: ask for a clean one."
        )
    path = folder / file
    if path.exists():
        if path.read_text(encoding="utf-8") == answer:
            return path
        raise InputError(
            f"{name} has a control number that was answered before for other content ({path.name}): ask the sender which"
            " of the two counts."
        )
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        stream.write(answer)
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).replace(path)
    return path
