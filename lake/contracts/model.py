"""A contract as the platform uses it: plain, frozen, already linted. `reading.py` makes it from ODCS YAML.

One contract describes one dataset: one raw table `raw.<dataset>`, fed by all files its location matches.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

if TYPE_CHECKING:
    from lake.contracts.source_settings import SourceSettings

LogicalType = Literal["string", "integer", "number", "date", "timestamp", "boolean"]
WriteMode = Literal["append", "upsert", "replace", "replace_partition", "insert_only", "history"]
Severity = Literal["stop", "warn"]
Policy = Literal["evolve", "freeze", "quarantine", "reject"]
PiiAction = Literal["keep", "drop", "hash"]
Status = Literal["active", "deprecated"]

_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_INTEGER_DIGITS = 19


@dataclass(frozen=True)
class Column:
    """One column, with everything a reader checks before it casts."""

    name: str
    """Name in raw: snake_case, unique in the dataset."""
    source_name: str
    """Header in the file (ODCS physicalName); compared exactly after trimming white space."""
    type: LogicalType
    description: str = ""
    precision: int = 18
    scale: int = 0
    """Of a number: DECIMAL(precision, scale). More decimals than `scale` is an error of form, never rounded."""
    is_whole: bool = False
    """Of a number: whole, however many decimals it is written with (3.00); it feeds whole units then."""
    format: str | None = None
    """Of a date or timestamp: strptime format; None means ISO 8601. Of a boolean: 'TRUE_TEXT/FALSE_TEXT'."""
    required: bool = False
    key: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    """Regular expression that the whole text has to match."""
    allowed: tuple[str, ...] | None = None
    references: str | None = None
    """'dataset.column' whose values this one must be among (ODCS relationship to another contract)."""
    unit: str | None = None
    pii: str | None = None
    """Class of personal data (ODCS classification), None if it has none."""
    pii_action: PiiAction = "keep"
    """What becomes of personal data before raw: kept, null in every row, or a keyed hash (equal values stay equal)."""
    default: str | None = None
    """Text used where the field is empty."""
    nulls: tuple[str, ...] = ()
    """Texts that say there is no value ('n/a'); the whole field has to be one of them."""
    start: int | None = None
    """fixed_width: its first character in the line, 1-based."""
    width: int | None = None
    """fixed_width: its number of characters."""
    schema_policy: tuple[tuple[str, Policy], ...] = ()
    """What this column says against the dataset's `SchemaPolicy`: (kind of drift, policy)."""

    @property
    def is_hidden(self) -> bool:
        """Whether its values must not stand anywhere but in the original."""
        return self.pii_action != "keep"

    @property
    def duckdb_type(self) -> str:
        """Type of the column in the raw table."""
        return {
            "string": "VARCHAR",
            "integer": "BIGINT",
            "number": f"DECIMAL({self.precision}, {self.scale})",
            "date": "DATE",
            "timestamp": "TIMESTAMP",
            "boolean": "BOOLEAN",
        }[self.type]


@dataclass(frozen=True)
class Location:
    """Where the files of a dataset lie and how they are written (ODCS `servers[0]`)."""

    path: str
    """Glob with variables: '${INBOX}/erp/sales_*.csv'. Compression is told by .gz or .xz."""
    format: str
    """One of `lake.sources.readers.READERS`."""
    delimiter: str = ","
    """csv: one to eight characters."""
    quote: str = '"'
    """csv: '' if fields are never quoted. Within quotes it is doubled, or escaped."""
    escape: str = ""
    """csv: before a delimiter, a quote or itself it makes data of it; '' if nothing is escaped."""
    comment: str = ""
    """csv: a line that begins with it is no row."""
    encoding: str = "utf-8"
    final_newline: Literal["required", "optional"] = "optional"
    """'required': a last line without a line end was cut off and is quarantined (rule `final_newline`)."""
    header: Literal["names", "none"] = "names"
    """csv: 'none': there is no header, the columns stand in the contract's order (`header_row`: the first row)."""
    footer_pattern: str | None = None
    """csv: regular expression that each of the last `footer_lines` lines has to match; they are no rows."""
    footer_lines: int = 1
    thousands: str = ""
    """Text files: sign between groups of three digits; a number has it everywhere or nowhere."""
    header_row: int = 1
    """1-based line or row of the (first) header row; rows above are titles."""
    header_rows: int = 1
    """csv, workbook: rows of the header; their parts join as 'Upper / Lower'. Workbook: merged cells spread to the right."""
    sheet: str | None = None
    """Workbook: the sheet's name. Without any of the three, the first sheet with cells."""
    sheet_position: int | None = None
    """Workbook: the sheet's place among the tabs, from 1, charts and hidden sheets counted."""
    sheet_pattern: str | None = None
    """Workbook: regular expression for the whole name; all sheets that match are read, in their order."""
    range: str | None = None
    """Workbook: the cells of the table, header first: 'B4:H200', or 'B4:H' for all rows from the fourth."""
    table_anchor: str | None = None
    """Workbook: text of the first cell of the header; the table goes right to the first column without a title and down
    to the first empty row."""
    totals_label: tuple[str, ...] = ()
    """Workbook: a row whose first filled cell is one of these texts is a totals row: not data, not counted."""
    hidden_rows: Literal["read", "skip"] = "read"
    """Workbook: whether rows that the sheet hides (or filters out) are data."""
    decimal: Literal[".", ","] | None = None
    """Decimal sign of numbers written as text; None: a point. In a workbook thousands may be separated besides."""
    transaction: str | None = None
    """x12: the transaction set whose rows are read: 856, 214 or 846."""
    level: str = "item"
    """x12, of an 856: what a row is: item, package, order or shipment."""
    records_path: str | None = None
    """json: dotted path to the list of objects, `data.items`; None: the document is the list."""
    other_fields: Literal["quarantine", "ignore"] = "quarantine"
    """json, jsonl, xml: what becomes of a row with a field that no column reads (rule `unknown_field`)."""
    record_path: str | None = None
    """xml: the element that is a row, by local names: `Order`, or `Orders/Order` for those in an `Orders` only."""
    widths: tuple[int, ...] | None = None
    """fixed_width: characters of each column, side by side; None: each column has its own start and width."""
    header_lines: int = 0
    """fixed_width: lines at the top that are no rows."""
    short_lines: Literal["quarantine", "pad"] = "quarantine"
    """fixed_width: what a line means that ends before its last column: it was cut off, or trailing blanks were."""
    member: str | None = None
    """Of an archive: glob of the members to read; None: those with the format's suffix."""
    maximum_members: int = 10_000
    maximum_unpacked_mb: int = 50_000
    """Of a compressed file or an archive. More is refused: a disk is not to be filled by one delivery."""
    maximum_ratio: int = 250
    """Unpacked bytes per packed byte, beyond the first 100 MB. Exports reach 10 to 100; deflate's bombs reach 1,000."""


@dataclass(frozen=True)
class KnownAt:
    """When the world could know a row (never the clock). One of column or filename_pattern; else `business_date`."""

    column: str | None = None
    """A date or timestamp column, plus `delay_days`."""
    filename_pattern: str | None = None
    """Regular expression whose group 1 is an ISO date (or YYYYMMDD) in the file's name, plus `delay_days`."""
    delay_days: int = 0


@dataclass(frozen=True)
class Limits:
    """What reading one file may take; a file that needs more is refused."""

    memory_mb: int = 1500
    seconds: int = 900
    output_mb: int = 20_000
    """Of the checked rows, as Parquet."""


@dataclass(frozen=True)
class Figure:
    """A control total: the number of rows, or something of a column."""

    kind: Literal["rows", "sum", "min", "max"]
    column: str | None = None

    def __str__(self) -> str:
        """Return it as a contract writes it."""
        return f"{self.kind}({self.column})" if self.column else self.kind


@dataclass(frozen=True)
class Check:
    """A rule on the dataset as a whole, for the gate (the reader does not look at it)."""

    name: str
    kind: Literal[
        "row_count_between", "no_missing_days", "freshness_days", "unique", "sql_no_rows", "ties_with"
    ]
    severity: Severity = "stop"
    columns: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    query: str | None = None
    """sql_no_rows: a query on `{table}` that returns the offending rows."""
    description: str = ""
    dataset: str | None = None
    """ties_with: the dataset in which the source says, for each period, what it sent."""
    on: tuple[tuple[str, str], ...] = ()
    """ties_with: (column here, column there) that name the period: a day, or a day and a store."""
    figures: tuple[tuple[str, Figure], ...] = ()
    """ties_with: (column there, what it says of the rows here)."""


@dataclass(frozen=True)
class SchemaPolicy:
    """What is done when a file does not have the schema of its contract. All drift is named in the report.

    freeze: the contract's columns load as they are, what is new is passed over and what is missing is null.
    evolve: a new column is loaded as text into a column of its own; a changed type may widen raw to text.
    quarantine: every row of such a file is quarantined under the rule `schema`. reject: the file is refused.
    """

    new_columns: Policy = "freeze"
    missing_columns: Policy = "freeze"
    """Of columns that may be empty; a file without a required column is refused."""
    renamed_columns: Policy = "reject"
    """One is missing while a new one has a similar name: passing over it would lose its values."""
    changed_types: Policy = "freeze"
    """Most values of a column no longer have its form: each such row is quarantined for it in any case."""
    swapped_columns: Policy = "freeze"
    """Most values of two columns fit each other's rules and not their own."""


@dataclass(frozen=True)
class Trailer:
    """The last record of a file, which is no data but says what the file has to hold."""

    marker: str
    """Regular expression that its first field matches whole."""
    figures: tuple[Figure | None, ...]
    """What the fields after the marker say, in order; None is passed over."""


@dataclass(frozen=True)
class Companion:
    """A control file beside the data file: delimited text with a header."""

    path: str
    """Its name, in which {stem} and {name} stand for those of the data file."""
    figures: tuple[tuple[str, Figure], ...]
    """(its column, what it says)."""
    delimiter: str = ","
    file_column: str | None = None
    """Its column that names the data file; None: its one row is for the one file."""


@dataclass(frozen=True)
class ControlTotals:
    """What the source itself says a file holds. Rows are all that were read, quarantined ones too."""

    trailer: Trailer | None = None
    companion: Companion | None = None
    severity: Severity = "stop"
    """'stop': a file that does not tie is refused whole; 'warn': it loads, and the report says so."""

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Return what the source says of each file."""
        if self.trailer is not None:
            return tuple(figure for figure in self.trailer.figures if figure is not None)
        return tuple(figure for _, figure in self.companion.figures) if self.companion else ()


@dataclass(frozen=True)
class History:
    """How the versions of a key follow each other in time (write mode `history`)."""

    valid_from: str | None = None
    """A date or timestamp column; None: `_known_at`."""
    close_missing: bool = False
    """Every delivery holds all keys: one that is missing from it ended when the delivery was known."""


@dataclass(frozen=True)
class Contract:
    """One dataset: how it arrives, what a row is, whom it feeds."""

    dataset: str
    """snake_case; the raw table's name, unique in the company."""
    path: Path
    version: str
    title: str
    description: str
    owner: str
    domain: str
    """erp, logistics or spreadsheets: the kind of system it comes from."""
    location: Location
    columns: tuple[Column, ...]
    status: Status = "active"
    """'deprecated': in force, and to be removed with a later change (`stocklake contract diff`)."""
    write_mode: WriteMode = "append"
    duplicates: Literal["keep", "drop"] = "keep"
    """'drop': a row that repeats a whole row already read or loaded is counted as duplicate, not loaded."""
    entity: str | None = None
    """The entity of `entities.yaml` that it feeds; None for a dataset that only stands in raw."""
    mapping: tuple[tuple[str, str], ...] = ()
    """(entity column, SQL over the raw columns) pairs: a column name, a constant, `null`, `_line` or `_file`."""
    business_date: str | None = None
    """The column that says which day a row is about."""
    known_at: KnownAt = KnownAt()
    checks: tuple[Check, ...] = ()
    partition_by: tuple[str, ...] = ()
    """replace_partition: the columns that name a partition; those that a delivery holds are replaced whole."""
    deletion_column: str | None = None
    """Boolean column; true says that the key is gone at its source. Staging never sees such a row."""
    history: History = History()
    schema_policy: SchemaPolicy = SchemaPolicy()
    control_totals: ControlTotals | None = None
    key_scope: Literal["dataset", "business_date"] = "dataset"
    """insert_only: where a key is looked for; 'business_date': a row that comes again has the date that it had."""
    retention_days: int | None = None
    """Days after loading until `stocklake landing purge` may delete the original; None: it is kept."""
    optional: bool = False
    """True: that no file has arrived is no error."""
    limits: Limits = Limits()
    code_system: str | None = None
    """Whose codes of items, suppliers and locations it uses; None: those of its domain."""
    source: Union["SourceSettings", None] = None
    """How it is fetched, where it is not simply a file; then `location` says only how what lands is written."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key columns, in order."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def system(self) -> str:
        """Whose codes of items, suppliers and locations it uses."""
        return self.code_system or self.domain

    @property
    def live_condition(self) -> str | None:
        """SQL that is true of the raw rows that count now; None where all do."""
        conditions = ["_is_current"] if self.write_mode == "history" else []
        if self.deletion_column:
            conditions.append(f'"{self.deletion_column}" is not true')
        return " and ".join(conditions) or None

    def policy(self, kind: str, column: str | None = None) -> Policy:
        """Return what is done about a kind of drift (a field of `SchemaPolicy`), of a column if it is about one."""
        own = dict(self.column(column).schema_policy) if column else {}
        policy: Policy = own.get(kind) or getattr(self.schema_policy, kind)
        return policy

    def column(self, name: str) -> Column:
        """Return the column `name`; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def is_wider(old: str, new: str) -> bool:
    """Whether every value of one DuckDB type of a column is one of the other."""
    decimal = _DECIMAL.fullmatch(new)
    if decimal is None:
        return (old, new) == ("DATE", "TIMESTAMP")
    digits, scale = int(decimal[1]), int(decimal[2])
    if old == "BIGINT":
        return digits - scale >= _INTEGER_DIGITS
    before = _DECIMAL.fullmatch(old)
    return (
        before is not None and scale >= int(before[2]) and digits - scale >= int(before[1]) - int(before[2])
    )
