"""Secrets in configuration: named by reference, read when they are used, and never shown.

A text may hold `${env:NAME}` (an environment variable) and `${file:/path}` (the first line of a file, as mounted secrets
are). A contract never holds the secret itself.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from lake.errors import InputError

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


class Secret:
    """A text with references; only `reveal` gives what they stand for, `repr` and `str` give the references."""

    def __init__(self, template: str) -> None:
        """Keep the text as it was written."""
        self.template = template

    def reveal(self) -> str:
        """Return the text with its references filled in; `InputError` names one that stands for nothing."""
        return _REFERENCE.sub(_value, self.template)

    @property
    def has_reference(self) -> bool:
        """Whether anything in it comes from outside the configuration."""
        return bool(_REFERENCE.search(self.template))

    def __repr__(self) -> str:
        """Return the references, never their values."""
        return f"Secret({self.template!r})"

    def __str__(self) -> str:
        """Return the references, never their values."""
        return self.template

    def __eq__(self, other: object) -> bool:
        """Compare what was written."""
        return isinstance(other, Secret) and other.template == self.template

    def __hash__(self) -> int:
        """Hash what was written."""
        return hash(self.template)


def _value(reference: re.Match[str]) -> str:
    kind, name = reference[1], reference[2].strip()
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise InputError(
                f"The environment variable {name} is not set: set it to the secret it stands for."
            )
        return value
    try:
        return Path(name).read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The secret file {name} cannot be read ({error}): mount it, or correct its path."
        ) from error


def _url(value: Any) -> Any:
    return Secret(value) if isinstance(value, str) else value


def _password(value: Any) -> Any:
    return by_reference(value) if isinstance(value, str) else value


def by_reference(text: str) -> Secret:
    """Return a secret that has to be one reference whole; `ValueError` says so otherwise."""
    if not _REFERENCE.fullmatch(text.strip()):
        raise ValueError("a secret stands in no contract: write ${env:NAME} or ${file:/path}")
    return Secret(text.strip())


SecretText = Annotated[Secret, BeforeValidator(_url), PlainSerializer(str)]
"""A field of settings that may hold references among other text, such as a URL with a password."""
SecretOnly = Annotated[Secret, BeforeValidator(_password), PlainSerializer(str)]
"""A field of settings that is a secret whole: it has to be one reference."""
