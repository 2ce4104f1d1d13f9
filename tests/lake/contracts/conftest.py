"""A company in a temporary folder with one good contract, to be spoiled by each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lake.company import Company, load_company

GOOD = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.erp.sales
name: Sales
version: 1.0.0
status: active
domain: erp
description: {purpose: What was sold.}
team: {name: sales operations}
servers:
  - server: export
    type: local
    path: ${INBOX}/sales_*.csv
    format: csv
    customProperties:
      - {property: delimiter, value: ";"}
schema:
  - name: sales
    logicalType: object
    description: One row per order line.
    customProperties:
      - {property: entity, value: sales_order_line}
      - {property: write_mode, value: upsert}
      - {property: duplicates, value: drop}
      - {property: business_date, value: sold_at}
      - {property: known_at, value: {column: sold_at, delay_days: 1}}
      - {property: constants, value: {location_id: MAIN, line_type: null}}
    properties:
      - name: order_id
        physicalName: Order
        logicalType: string
        required: true
        primaryKey: true
        logicalTypeOptions: {pattern: '\\d{5}'}
        customProperties:
          - {property: maps_to, value: order_id}
      - name: line_number
        logicalType: integer
        required: true
        primaryKey: true
        customProperties:
          - {property: maps_to, value: order_line}
      - name: sold_at
        logicalType: timestamp
        required: true
        logicalTypeOptions: {format: '%d.%m.%Y %H:%M'}
        customProperties:
          - {property: maps_to, value: sold_at}
      - name: item
        logicalType: string
        required: true
        customProperties:
          - {property: maps_to, value: item_id}
      - name: quantity
        logicalType: integer
        required: true
        logicalTypeOptions: {minimum: -10, maximum: 10}
        customProperties:
          - {property: unit, value: units}
          - {property: maps_to, value: quantity_units}
      - name: price
        logicalType: number
        physicalType: DECIMAL(12,2)
        customProperties:
          - {property: maps_to, value: unit_price}
      - name: channel
        logicalType: string
        customProperties:
          - {property: allowed, value: [web, shop]}
          - {property: default, value: web}
    quality:
      - {name: no day is missing, type: custom, engine: stocklake, severity: warning, implementation: {kind: no_missing_days}}
"""

ITEM = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.erp.item
version: 1.0.0
status: active
domain: erp
team: {name: master data}
servers:
  - {server: export, type: local, path: "${INBOX}/item.csv", format: csv}
schema:
  - name: item
    customProperties:
      - {property: entity, value: item}
    properties:
      - name: item_id
        logicalType: string
        required: true
        primaryKey: true
        customProperties:
          - {property: maps_to, value: item_id}
      - name: number
        logicalType: integer
"""

Make = Callable[..., Company]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that writes contracts (name -> text or bytes) and returns their company."""
    monkeypatch.setenv("STOCKLAKE_COMPANIES", str(tmp_path))
    folder = tmp_path / "acme"
    (folder / "contracts").mkdir(parents=True)
    (folder / "company.yaml").write_text("title: Acme\ncurrency: EUR\n")

    def company(**contracts: str | bytes) -> Company:
        for name, text in contracts.items():
            path = folder / "contracts" / f"{name}.odcs.yaml"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_company("acme", home=tmp_path / "home")

    return company
