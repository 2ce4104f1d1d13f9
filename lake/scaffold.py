"""Making the folder of a new company from `company_template/`. Not here: what its files mean (`company.py`, `contracts/`)."""

import re
import shutil
import tempfile
from pathlib import Path

from lake.errors import InputError

TEMPLATE = Path(__file__).with_name("company_template")
PLACEHOLDER = "COMPANY_NAME"


def init_company(name: str, folder: Path) -> list[Path]:
    """Make `<folder>/<name>` with company.yaml, a sample contract, sample data and a README; return its files.

    `folder` is the one that holds all companies. All of it is made or nothing. Raises `InputError` when the name
    cannot be used, is taken, or the folder cannot be written.
    """
    target = folder / name
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", name):
        raise InputError(
            f"{name!r} cannot be the name of a company: use 2 to 40 lowercase letters, digits and _, a letter first."
        )
    taken = InputError(f"There is already a company {name!r} in {folder}: choose another name, or remove it.")
    if target.exists():
        raise taken
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as making:
            # Made beside and renamed: a half-made company is never seen, and of two at once one is told.
            made = Path(making) / name
            shutil.copytree(TEMPLATE, made, copy_function=shutil.copyfile)
            files = sorted(path for path in made.rglob("*") if path.is_file())
            for path in files:
                path.write_text(
                    path.read_text(encoding="utf-8").replace(PLACEHOLDER, name), encoding="utf-8", newline=""
                )
            try:
                made.rename(target)
            except OSError as error:
                if target.exists():
                    raise taken from error
                raise
            return [target / path.relative_to(made) for path in files]
    except OSError as error:
        raise InputError(
            f"The company {name!r} cannot be made in {folder} ({error.strerror}): correct its permissions or its place."
        ) from error
