"""Personal data that a contract does not keep: dropped or hashed before raw, masked wherever a refused row is told.

A hash is BLAKE2b with the company's key: equal values stay equal, so that they still join, and nobody without the key can
find a value by trying all. The original in landing is its owner's alone.
"""

import json
import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import polars as pl

from lake.contracts.model import Contract
from lake.errors import ContractError
from lake.sources.block import Block

if TYPE_CHECKING:
    from lake.company import Company

MASK = "***"
HASH_BYTES = 16
SHORTEST_KEY_BYTES = 16
_QUOTED = re.compile(r"\A'.*' (?=is |has |does )", re.DOTALL)


def key_of(company: "Company", contracts: Iterable[Contract]) -> bytes | None:
    """Return the company's key for hashing, None where nothing is hashed; `ContractError` where one is needed and missing."""
    hashing = [
        (contract, column)
        for contract in contracts
        for column in contract.columns
        if column.pii_action == "hash"
    ]
    if not hashing:
        return None
    contract, column = hashing[0]
    key = company.settings.pii_key.reveal().encode() if company.settings.pii_key else b""
    if len(key) < SHORTEST_KEY_BYTES:
        raise ContractError(
            f"{contract.path}, column {column.name!r}: its values are to be hashed, and the company's pii_key"
            f" {'is shorter than ' + str(SHORTEST_KEY_BYTES) + ' characters' if key else 'is not there'}: set"
            " `pii_key: ${env:NAME}` or `${file:/path}` in company.yaml to a long random text."
        )
    return key


def hidden(good: pl.DataFrame, contract: Contract, key: bytes | None) -> pl.DataFrame:
    """Return good rows without what the contract hides; `key` is needed where a column is hashed."""
    return good.with_columns(
        hashed(good[column.name], key)
        if column.pii_action == "hash"
        else pl.lit(None, good[column.name].dtype).alias(column.name)
        for column in contract.columns
        if column.is_hidden
    )


def masked(refused: pl.DataFrame, block: Block, contract: Contract) -> pl.DataFrame:
    """Return refused rows of a block (`conforming.py`) with what the contract hides masked in text and messages."""
    names = {column.name for column in contract.columns if column.is_hidden}
    if not names or not refused.height:
        return refused
    rows = _masked_rows(refused["line"].to_list(), block, contract, names)
    return refused.with_columns(
        pl.Series("raw_text", rows, dtype=pl.String),
        pl.Series("messages", _masked_messages(refused, names), dtype=pl.List(pl.String)),
    )


def hashed(values: pl.Series, key: bytes | None) -> pl.Series:
    """Return the keyed hash of each value as 32 hexadecimal digits; null stays null."""
    assert key, "a company without pii_key cannot hash"
    key = key if len(key) <= blake2b.MAX_KEY_SIZE else blake2b(key).digest()
    distinct = values.unique().drop_nulls()
    digests = [blake2b(text.encode(), key=key, digest_size=HASH_BYTES).hexdigest() for text in distinct]
    return values.replace_strict(
        distinct, pl.Series(digests, dtype=pl.String), default=None, return_dtype=pl.String
    )


def _masked_rows(lines: Sequence[int], block: Block, contract: Contract, hidden: set[str]) -> list[str]:
    """Return refused rows as JSON of their fields; one that could not be taken apart may hold anything and is not kept."""
    position = {line: row for row, line in enumerate(block.lines.to_list())}
    titles = [(column.name, column.source_name) for column in contract.columns]
    told = []
    for line in lines:
        if line not in position:
            told.append(
                f"{MASK} (holds personal data and could not be taken apart: see line {line} of the original)"
            )
            continue
        row = block.text.row(position[line], named=True)
        fields = {
            title: MASK if name in hidden and row[name] is not None else row[name] for name, title in titles
        }
        told.append(json.dumps(fields, ensure_ascii=False, default=str))
    return told


def _masked_messages(refused: pl.DataFrame, hidden: set[str]) -> list[list[str]]:
    return [
        [
            _QUOTED.sub(f"'{MASK}' ", message) if column in hidden else message
            for column, message in zip(columns, messages, strict=True)
        ]
        for columns, messages in zip(refused["columns"], refused["messages"], strict=True)
    ]
