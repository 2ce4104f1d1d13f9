"""Servers of every kind and format, as a contract writes them and as the reader gets them."""

import pytest

from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from tests.lake.contracts.conftest import GOOD, ITEM, Make

BEFORE, AFTER = GOOD[: GOOD.index("  - server: export")], GOOD[GOOD.index("schema:\n") :]


def with_server(*lines: str) -> str:
    return BEFORE + "  - server: export\n" + "".join(f"    {line}\n" for line in lines) + AFTER


def test_a_bucket_with_its_secrets_by_reference(make: Make) -> None:
    company = make(
        sales=with_server(
            "type: s3",
            "location: s3://bucket/erp/*.csv",
            "endpointUrl: http://store.example",
            "format: csv",
            "customProperties:",
            "  - {property: storage_options, value: {key: '${env:KEY}', secret: '${file:/run/secret}', client_kwargs: {region_name: x}}}",
        ),
        item=ITEM,
    )
    assert lint(company) == []
    sales = next(one for one in load_contracts(company) if one.dataset == "sales")
    settings = sales.source
    assert settings is not None
    assert settings.kind == "files"
    assert (settings.url, settings.endpoint_url) == ("s3://bucket/erp/*.csv", "http://store.example")
    assert "${env:KEY}" in repr(settings.storage_options)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("type: s3", "location: s3://bucket/a/", "format: csv"), "url: is a folder"),
        (("type: s3", "format: csv"), "'location' is missing: add it"),
        (("type: custom", "location: sftp://me:secret@host/a.csv", "format: csv"), "a user stands in no URL"),
        (("type: custom", "format: csv"), "the source is missing"),
        (
            ("type: s3", "location: s3://b/a.csv", "format: csv", "customProperties:", "  - {property: storage_options, value: {secret: abc}}"),
            "a secret stands in no contract",
        ),
        (("type: local", "path: ${INBOX}/a.txt", "format: fixed_width", "customProperties: [{property: widths, value: [5, 3]}]"), "2 numbers for 7 columns"),
        (("type: local", "path: ${INBOX}/a.txt", "format: fixed_width", "customProperties: [{property: widths, value: [5, x]}]"), "whole number from 1 up"),
        (("type: local", "path: ${INBOX}/a.xml", "format: xml", "customProperties: [{property: record_path, value: 'e:Order'}]"), "names of elements like Orders/Order"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_is_told(make: Make, lines: tuple[str, ...], message: str) -> None:
    problems = lint(make(sales=with_server(*lines), item=ITEM))
    assert any(message in problem.message for problem in problems), problems
    assert not any("abc" in problem.message or "me:secret" in problem.message for problem in problems)


def test_widths_place_the_columns_side_by_side(make: Make) -> None:
    widths = "customProperties: [{property: widths, value: [5, 3, 16, 8, 6, 9, 4]}]"
    company = make(
        sales=with_server("type: local", "path: ${INBOX}/a.txt", "format: fixed_width", widths), item=ITEM
    )
    assert lint(company) == []
    sales = next(one for one in load_contracts(company) if one.dataset == "sales")
    assert [(column.start, column.width) for column in sales.columns][:3] == [(1, 5), (6, 3), (9, 16)]
