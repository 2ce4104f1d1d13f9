"""Files of arrays and one JSON text (numpy's .npz): nothing in them is executed, and they appear whole or not at all."""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lake.errors import InputError


def write(path: Path, text: str, arrays: Mapping[str, Any]) -> None:
    """Write a file; one that stands already is replaced when the new one is whole. Of two writers at once the last one stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, text=np.array(text), **arrays)
    unfinished.replace(path)


@contextmanager
def reading(path: Path, what: str, make: str, version: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield (what the JSON says, arrays by name). `what` the file is and how to `make` it stand in what it raises.

    Raises `InputError` where there is none, where its "format" is another version, or where the block finds it damaged.
    """
    if not path.exists():
        raise InputError(f"There is no {what} yet ({path} is missing): make it with `{make}`.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            text = json.loads(str(file["text"]))
            arrays = {name: file[name] for name in file.files if name != "text"}
        if text.pop("format") != version:
            raise ValueError("another version wrote it")
        yield text, arrays
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"The {what} {path} cannot be read ({said}): make it again with `{make}`."
        ) from error
