"""Pages as deliveries: several in one archive, each a member as it was received, because a delivery costs a transaction."""

import tarfile
import time
from io import BytesIO
from pathlib import Path

BUNDLE_BYTES = 32 << 20
BUNDLE_PAGES = 1000
BUNDLE_S = 60
"""A bundle is delivered when it holds so much, or began so long ago: a slow server's pages do not wait for its last."""


class Bundle:
    """An archive that grows page by page; the same pages in the same order make the same file."""

    def __init__(self, folder: Path, number: int) -> None:
        """Open `pages-<number>.tar` in the folder."""
        self.path = folder / f"pages-{number:06}.tar"
        self._archive = tarfile.open(self.path, "w")  # noqa: SIM115
        self._began = time.monotonic()
        self.pages = self.size_bytes = 0

    def add(self, body: bytes) -> None:
        """Add a page behind the others."""
        self.pages += 1
        self.size_bytes += len(body)
        member = tarfile.TarInfo(f"page-{self.pages:06}.json")
        member.size = len(body)
        self._archive.addfile(member, BytesIO(body))

    @property
    def is_full(self) -> bool:
        """Whether it is time to deliver it."""
        age_s = time.monotonic() - self._began
        return self.pages > 0 and (
            self.size_bytes >= BUNDLE_BYTES or self.pages >= BUNDLE_PAGES or age_s >= BUNDLE_S
        )

    def close(self) -> Path:
        """Finish the file."""
        self._archive.close()
        return self.path
