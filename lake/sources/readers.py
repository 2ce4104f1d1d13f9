"""Which reader takes a landed file apart, by the contract's format. Each is imported when it is first needed.

A reader is `read(path, name, contract) -> Iterator[Block]`; it raises `FileRefused` for a file that cannot be read to
its contract as a whole, at the first block or later.
"""

from lake.contracts.model import Contract
from lake.contracts.source_settings import load
from lake.sources.archives import Reader, with_packing

READERS = {
    "csv": "lake.sources.files:read_csv",
    "fixed_width": "lake.sources.fixed_width:read_fixed_width",
    "json": "lake.sources.json_files:read_json",
    "jsonl": "lake.sources.json_files:read_jsonl",
    "parquet": "lake.sources.parquet:read_parquet",
    "xml": "lake.sources.xml:read_xml",
    "spreadsheet": "lake.sources.spreadsheets:read_spreadsheet",
    "x12": "lake.sources.edi.reading:read_x12",
    "x12_answers": "lake.sources.edi.acknowledgement:read_answers",  # of no contract: see `lake/answering.py`
    "xlsx": "lake.sources.spreadsheets:read_spreadsheet",
}


def reader(contract: Contract) -> Reader:
    """Return the reader of a contract's format; archives and compressed files are unpacked for it."""
    found: Reader = load(READERS[contract.location.format])
    return with_packing(found)
