"""The part of the ledger that decides about a delivery decides as the whole of it would."""

import random

import pytest

from lake import ledger
from lake.connection import Lake
from lake.landing import LandedFile
from lake.ledger import Delivery
from lake.loading import _is_news, _numbered, repeated_delivery
from tests.lake.loading_kit import company, contract


@pytest.mark.parametrize("write_mode", ["append", "upsert"])
def test_what_is_asked_about_a_delivery_has_the_answer_of_the_whole_ledger(tmp_path, write_mode):
    chance, lake = random.Random(3), Lake.of(company(tmp_path))
    datasets, names, contents = ("sales", "item"), ("a", "b", "c"), ("x", "y", "z")

    def delivery(status="loaded"):
        return Delivery(
            chance.choice(datasets), chance.choice(names), chance.choice([*contents, None]), 1, status
        )

    with lake.write() as connection:
        ledger.create_tables(connection)
        for _ in range(40):
            status = chance.choice(["loaded", "duplicate_delivery", "refused"])
            ledger.write_deliveries(connection, "run", [delivery(status)])
            asked = [one for one in (delivery(), delivery()) if one.content_sha256]
            whole, part = ledger.noted(connection), ledger.noted(connection, asked)
            for one in asked:
                described = contract(one.dataset, write_mode=write_mode)
                landed = LandedFile(one.dataset, one.file_name, tmp_path, one.content_sha256, 1)
                answers = [
                    (repeated_delivery(held, described, landed), _numbered(held, one), _is_news(held, landed))
                    for held in (ledger.held(rows.get(one.dataset, ())) for rows in (whole, part))
                ]
                assert answers[0] == answers[1]
            assert all(len(part.get(name, [])) <= len(whole.get(name, [])) for name in datasets)
