"""What lies in the inbox beyond what contracts read: files that no contract names, and files still on their way."""

from collections.abc import Sequence
from pathlib import Path

from lake.company import Company
from lake.contracts.model import Contract
from lake.landing import companion_of
from lake.sources.files import find_files, is_unfinished


def unmatched(company: Company, contracts: Sequence[Contract]) -> list[str]:
    """Return the files in the inbox that no contract reads, by their path below it, sorted; hidden ones are left out."""
    known = {
        path for contract in contracts if contract.source is None for _, path in find_files(company, contract)
    }
    known |= {
        companion
        for contract in contracts
        for path in list(known)
        if (companion := companion_of(contract, path))
    }
    return [
        str(path.relative_to(company.inbox))
        for path in _files(company.inbox)
        if path not in known and not is_unfinished(path)
    ]


def unfinished(company: Company) -> list[str]:
    """Return the files in the inbox whose names say that they are still being written, by their path below it."""
    return [str(path.relative_to(company.inbox)) for path in _files(company.inbox) if is_unfinished(path)]


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
