"""What was refused, and to whom: a line of JSON each, in the company's home, beside the log."""

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

LONGEST = 300
FILE_BYTES, FILES = 10 << 20, 5

log = logging.getLogger(__name__)


class Audit:
    """An append-only file of refusals; five files of 10 MB, the oldest goes."""

    def __init__(self, path: Path) -> None:
        """Remember the file; it is opened by the first refusal."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = RotatingFileHandler(
            path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", delay=True
        )

    def refused(self, *, status: int, reason: str, caller: str, address: str, path: str) -> None:
        """Write one refusal; what callers sent is cut, and stands as JSON, so that it cannot pass for a line of its own."""
        line = json.dumps(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "status": status,
                "reason": reason[:LONGEST],
                "caller": caller[:LONGEST],
                "address": address,
                "path": path[:LONGEST],
            }
        )
        log.warning("refused %s", line)
        self._file.emit(
            logging.LogRecord("audit", logging.WARNING, "", 0, line.replace("%", "%%"), None, None)
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
