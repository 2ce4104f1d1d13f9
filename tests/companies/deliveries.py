"""Reads the example company's deliveries by its contracts' plain YAML, independently of the platform's own reader."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

import openpyxl
import polars as pl
import yaml

COMPANY = Path(__file__).resolve().parents[2] / "companies" / "example"
PROGRAM = COMPANY / "generate.py"
SMALL = {"items": 40, "stores": 4, "centres": 2, "suppliers": 6, "days": 150, "sales_lines": 20_000}


def generate(out: Path, truth: Path | None = None, **arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program as the platform does: in a process of its own."""
    command = [sys.executable, "-W", "error", str(PROGRAM), "--out", str(out)]
    command += ["--truth", str(truth)] if truth else []
    for name, value in arguments.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


@dataclass(frozen=True)
class Made:
    """One run's folders, and the truth's tables."""

    inbox: Path
    truth: Path

    def table(self, name: str) -> pl.DataFrame:
        parquet = self.truth / f"{name}.parquet"
        if parquet.exists():
            return pl.read_parquet(parquet)
        return pl.read_csv(self.truth / f"{name}.csv", infer_schema_length=None)


@dataclass
class Dataset:
    """A contract's dataset: its rows as texts by (file, line), without what was cut off."""

    name: str
    contract: dict
    files: list[Path]
    headers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def columns(self) -> list[dict]:
        return self.contract["schema"][0]["properties"]

    @property
    def server(self) -> dict:
        return self.contract["servers"][0]

    def setting(self, name: str, default: object = None) -> object:
        found = {p["property"]: p["value"] for p in self.server.get("customProperties", [])}
        return found.get(name, default)

    def schema_setting(self, name: str) -> object:
        found = {p["property"]: p["value"] for p in self.contract["schema"][0]["customProperties"]}
        return found.get(name)

    def rows(self) -> Iterator[tuple[str, int, dict[str, str] | None]]:
        """Yield file name, line and fields by header; None where fields are missing or too many."""
        for path in self.files:
            if path.name.split(".")[0].endswith("_resent"):
                continue
            if self.server["format"] == "xlsx":
                yield from self._sheet_rows(path)
            elif self.server["format"] == "jsonl":
                yield from self._json_rows(path)
            else:
                yield from self._csv_rows(path)

    def _csv_rows(self, path: Path) -> Iterator[tuple[str, int, dict[str, str] | None]]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = content.decode(self.server.get("encoding", "utf-8"))
        lines = text.splitlines()
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.server.get("delimiter", ","))
        header = next(reader)
        self.headers[path.name] = header
        for line, fields in enumerate(reader, start=2):
            cut = line == len(lines) and not text.endswith("\n")
            whole = len(fields) == len(header) and not cut
            texts = [self._point(name, field) for name, field in zip(header, fields, strict=False)]
            yield path.name, line, dict(zip(header, texts, strict=True)) if whole else None

    def _point(self, header: str, text: str) -> str:
        """Return a number's text with a decimal point, where the contract says another decimal sign."""
        sign = self.setting("decimal", ".")
        kinds = {c.get("physicalName", c["name"]): c["logicalType"] for c in self.columns}
        if sign == "." or kinds.get(header) != "number":
            return text
        is_local = re.fullmatch(r"-?\d{1,3}(\.\d{3})*(,\d+)?|-?\d+(,\d+)?", text)
        return text.replace(".", "").replace(",", ".") if is_local else text.replace(".", "?")

    def _json_rows(self, path: Path) -> Iterator[tuple[str, int, dict[str, str] | None]]:
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            fields = dict(_flat(json.loads(text, parse_float=str)))
            paths = [column.get("physicalName", column["name"]) for column in self.columns]
            yield path.name, line, {name: fields.get(name, "") for name in paths}

    def _sheet_rows(self, path: Path) -> Iterator[tuple[str, int, dict[str, str] | None]]:
        sheet = openpyxl.load_workbook(path)[str(self.setting("sheet"))]
        top, depth = int(self.setting("header_row", 1)), int(self.setting("header_rows", 1))
        head = [[sheet.cell(top + d, c).value for c in range(1, sheet.max_column + 1)] for d in range(depth)]
        merged = {
            (m.min_row, c): m.min_col
            for m in sheet.merged_cells.ranges
            for c in range(m.min_col, m.max_col + 1)
        }
        for d in range(depth):
            head[d] = [
                sheet.cell(top + d, merged.get((top + d, c), c)).value for c in range(1, sheet.max_column + 1)
            ]
        header = [" / ".join(parts) for parts in zip(*head, strict=True)]
        self.headers[path.name] = header
        for line, cells in enumerate(
            sheet.iter_rows(min_row=top + depth, values_only=True), start=top + depth
        ):
            if cells[0] == self.setting("totals_label"):
                continue
            texts = [str(c.date()) if isinstance(c, datetime) else "" if c is None else str(c) for c in cells]
            yield path.name, line, dict(zip(header, texts, strict=True))


def _flat(record: dict, above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, str(value)


def datasets(inbox: Path) -> dict[str, Dataset]:
    """Return every dataset by name with the files that its path matches."""
    everything = [path for path in inbox.rglob("*") if path.is_file()]
    found = {}
    for path in sorted((COMPANY / "contracts").glob("*.yaml")):
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        pattern = contract["servers"][0]["path"].removeprefix("${INBOX}/")
        files = sorted(p for p in everything if fnmatch(p.relative_to(inbox).as_posix(), pattern))
        name = contract["schema"][0]["name"]
        found[name] = Dataset(name, contract, files)
    return found


def broken_rules(column: dict, text: str, known: set[str] | None) -> set[str]:
    """Return the rules that a field breaks, as docs/architecture.md names them."""
    options = column.get("logicalTypeOptions", {})
    allowed = next(
        (p["value"] for p in column.get("customProperties", []) if p["property"] == "allowed"), None
    )
    if text == "":
        return {"required"} if column.get("required") else set()
    found = set()
    if not _has_type(column["logicalType"], text, options, str(column.get("physicalType", ""))):
        found.add("type")
    elif column["logicalType"] in ("integer", "number"):
        low, high = options.get("minimum", -1e18), options.get("maximum", 1e18)
        found |= set() if low <= float(text) <= high else {"range"}
    if "pattern" in options and not re.fullmatch(options["pattern"], text):
        found.add("pattern")
    if allowed and text not in allowed:
        found.add("allowed")
    if known is not None and text not in known:
        found.add("references")
    return found


def _has_type(kind: str, text: str, options: dict, physical: str) -> bool:
    try:
        match kind:
            case "integer":
                return bool(re.fullmatch(r"[+-]?\d+", text))
            case "number":
                scale = int(re.search(r",\s*(\d+)", physical)[1])
                return bool(re.fullmatch(rf"[+-]?\d+(\.\d{{1,{scale}}})?", text))
            case "boolean":
                return text in options["format"].split("/")
            case "date" | "timestamp" if "format" in options:
                datetime.strptime(text, options["format"])
            case "date" | "timestamp":
                datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
