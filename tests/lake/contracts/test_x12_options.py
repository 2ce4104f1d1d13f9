"""Contracts of X12: the transaction set is named, and columns are those that it has."""

import pytest

from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from tests.lake.contracts.conftest import ITEM

STATUS = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.logistics.carrier_status
version: 1.0.0
status: active
domain: logistics
team: {name: transport}
servers:
  - server: carrier
    type: local
    path: ${INBOX}/edi/*.x12
    format: x12
    customProperties:
      - {property: transaction, value: "214"}
schema:
  - name: carrier_status
    customProperties:
      - {property: entity, value: shipment_event}
      - {property: duplicates, value: drop}
      - {property: business_date, value: event_at}
    properties:
      - {name: shipment_id, logicalType: string, required: true, primaryKey: true, customProperties: [{property: maps_to, value: shipment_id}]}
      - {name: event_type, logicalType: string, required: true, primaryKey: true, customProperties: [{property: maps_to, value: event_type}]}
      - {name: event_at, logicalType: timestamp, required: true, primaryKey: true, customProperties: [{property: maps_to, value: event_at}]}
      - {name: carrier_code, physicalName: carrier, logicalType: string, customProperties: [{property: maps_to, value: carrier}]}
"""


def test_a_carriers_status_feeds_shipment_events(make):
    company = make(carrier_status=STATUS, item=ITEM)
    assert lint(company) == []
    [status] = [one for one in load_contracts(company) if one.dataset == "carrier_status"]
    assert (status.location.transaction, status.location.level, status.entity) == (
        "214",
        "item",
        "shipment_event",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('value: "214"', 'value: "850"', "one of 856, 214, 846"),
        ('- {property: transaction, value: "214"}', "- {property: encoding, value: ascii}", "the transaction is missing"),
        ("physicalName: carrier,", "physicalName: carier,", "did you mean carrier?"),
        ('value: "214"}', 'value: "856"}', "'event_type' is no column of 856 by item"),
        ('value: "214"}', 'value: "214"}\n      - {property: level, value: box}', "one of item, package, order, shipment"),
        ("format: x12", "format: csv", "it is for x12"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told(make, old, new, message):
    assert old in STATUS
    problems = lint(make(carrier_status=STATUS.replace(old, new, 1), item=ITEM))
    assert any(message in problem.message for problem in problems), problems
