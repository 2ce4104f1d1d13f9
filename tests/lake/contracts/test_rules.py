"""Every lint rule, by the smallest spoiling of a good contract: the sentence, the key and the line."""

import pytest

from lake.contracts.linting import examine, lint
from tests.lake.contracts.conftest import GOOD, ITEM, Make

UNITS = "          - {property: unit, value: units}\n"
ORDER = "        primaryKey: true\n        logicalTypeOptions: {pattern: '\\d{5}'}\n"
CHECK = "implementation: {kind: no_missing_days}"
ENTITY = "      - {property: entity, value: sales_order_line}\n"
PRICE = "        physicalType: DECIMAL(12,2)\n"
SERVER = '      - {property: delimiter, value: ";"}\n'

# what stands in the good contract, what replaces it (its first line is where the problem is, unless marked by @),
# the key named and a part of the sentence
RULES = [
    # the head
    ("apiVersion: v3.1.0", "apiVersion: v3.0.2", "apiVersion", "has to be v3.1.0"),
    ("kind: DataContract", "kind: Contract", "kind", "has to be one of DataContract"),
    ("version: 1.0.0", "version: 1.0", "version", "has to be text, not 1.0: put it in quotes"),
    ("version: 1.0.0", "version: one", "version", "write three numbers, e.g. 1.0.0"),
    ("status: active", "status: retired", "status", "write active (or deprecated"),
    ("domain: erp", "domain: finance", "domain", "one of erp, logistics, spreadsheets"),
    ("team: {name: sales operations}", "team: {description: us}", "team", "the owner is missing"),
    ("name: Sales\n", "nmae: Sales\n", "nmae", "did you mean name?"),
    ("{purpose: What was sold.}", "{purpose: What was sold, and to whom.}", "description.and to whom.", "put it in quotes"),
    ("name: Sales\n", "slaProperties: [{property: latency, value: 1}]\n", "slaProperties", "freshness_days"),
    ("name: Sales\n", "customProperties: [{property: entity, value: item}]\n", "entity", "put it below `schema`"),
    # the server
    ("type: local", "type: custom", "servers.export.type", "the source is missing"),
    ("format: csv", "format: protobuf", "servers.export.format", "has to be one of csv, spreadsheet, xlsx"),
    (SERVER, "      - {property: records_path, value: a}\n", "servers.export.records_path", "it is for json"),
    (SERVER, "      - {property: record_path, value: a}\n", "servers.export.record_path", "it is for xml"),
    ("format: csv", "format: xml", "servers.export", "name the element that is a row@server: export"),
    ("format: csv", "format: fixed_width", "schema.sales.properties.item", "needs its place in the line@name: item"),
    (SERVER, "      - {property: maximum_ratio, value: 0}\n", "maximum_ratio", "whole number from 1 up"),
    ("format: csv", "format: xlsx", "servers.export.delimiter", "it is for csv@value: \";\""),
    ("${INBOX}/sales_*.csv", "${INBOXX}/sales_*.csv", "servers.export.path", "did you mean INBOX?"),
    ("${INBOX}/sales_*.csv", "sales_*.csv", "servers.export.path", "begin with ${INBOX}/"),
    ("${INBOX}/sales_*.csv", "${INBOX}/", "servers.export.path", "name the files"),
    ("${INBOX}/sales_*.csv", "${INBOX}/sales.xlsx", "servers.export.path", "does not name csv files"),
    (SERVER, "      - {property: delimiter, value: ''}\n", "servers.export.delimiter", "has to be one to 8 characters"),
    (SERVER, "      - {property: quote, value: '«'}\n", "servers.export.quote", "has to be one ASCII character"),
    (SERVER, "      - {property: escape, value: ','}\n", "servers.export", "delimiter and escape are the same@server: export"),
    (SERVER, "      - {property: header, value: no}\n", "servers.export.header", "one of names, none"),
    (SERVER, "      - {property: footer_lines, value: 2}\n", "servers.export", "needs footer_pattern@server: export"),
    (SERVER, "      - {property: encoding, value: utf-9}\n", "servers.export.encoding", "is no encoding"),
    (SERVER, "      - {property: header_row, value: 0}\n", "servers.export.header_row", "whole number from 1 up"),
    (SERVER, "      - {property: sheet, value: A}\n", "servers.export.sheet", "it is for spreadsheet, xlsx"),
    (SERVER, "      - {property: final_newline, value: maybe}\n", "final_newline", "one of required, optional"),
    (SERVER, "      - {property: qoute, value: x}\n", "servers.export.qoute", "did you mean quote?"),
    (SERVER, '      - {property: delimiter, value: "\\""}\n', "servers.export", "same character@server: export"),
    # the dataset
    ("  - name: sales\n", "  - name: Sales-2024\n", "schema.Sales-2024.name", "use snake_case"),
    ("  - name: sales\n", "  - name: table\n", "schema.table.name", "is a word of SQL"),
    ("  - name: sales\n", "  - name: sold\n", "schema.sold.name", "in a file called sales.odcs.yaml"),
    ("value: sales_order_line", "value: sale_order_line", "schema.sales.entity", "did you mean sales_order_line?"),
    (ENTITY, ENTITY + ENTITY.replace("{", "{ "), "schema.sales.entity", "stands twice@{ property"),
    ("write_mode, value: upsert", "write_mode, value: merge", "write_mode", "append, upsert, replace"),
    ("duplicates, value: drop", "duplicates, value: remove", "duplicates", "one of keep, drop"),
    ("{property: duplicates, value: drop}", "{property: optional, value: yes}", "optional", "has to be true or false"),
    ("{property: duplicates, value: drop}", "{property: limits, value: {memory: 5}}", "limits.memory", "is no part of limits: did you mean memory_mb?"),
    ("{property: duplicates, value: drop}", "{property: limits, value: {seconds: 0}}", "limits.seconds", "whole number from 1 up"),
    ("{property: duplicates, value: drop}", "{property: limits, value: 5}", "limits", "of memory_mb, seconds, output_mb"),
    ("business_date, value: sold_at", "business_date, value: sold_on", "business_date", "did you mean sold_at?"),
    ("business_date, value: sold_at", "business_date, value: item", "business_date", "item is string"),
    ("business_date", "bussiness_date", "schema.sales.bussiness_date", "did you mean business_date?"),
    ("{column: sold_at, delay_days: 1}", "{column: posted_at}", "known_at.column", "no column 'posted_at'"),
    ("{column: sold_at, delay_days: 1}", "{column: item}", "known_at.column", "name a date or timestamp"),
    ("{column: sold_at, delay_days: 1}", "sold_at", "known_at", "has to be {column: ...}"),
    ("delay_days: 1", "delay_days: -1", "known_at.delay_days", "whole number from 0 up"),
    ("delay_days: 1", "delay: 1", "known_at.delay", "did you mean delay_days?"),
    ("{column: sold_at, delay_days: 1}", "{filename_pattern: '_\\d+'}", "filename_pattern", "has no group"),
    ("{column: sold_at, delay_days: 1}", "{filename_pattern: '_(\\d+'}", "filename_pattern", "regular expression"),
    # what a delivery does to raw
    ("{property: duplicates, value: drop}", "{property: deletion_column, value: item}", "deletion_column", "item is string"),
    ("{property: duplicates, value: drop}", "{property: deletion_column, value: itm}", "deletion_column", "did you mean item?"),
    ("{property: duplicates, value: drop}", "{property: partition_by, value: [item]}", "partition_by", "are for `write_mode: replace_partition`"),
    ("write_mode, value: upsert", "write_mode, value: replace_partition", "write_mode", "add `partition_by`"),
    ("{property: duplicates, value: drop}", "{property: history, value: {valid_from: sold_at}}", "history", "is for `write_mode: history`"),
    ("{property: duplicates, value: drop}", "{property: history, value: {valid_from: price}}", "history.valid_from", "required date or timestamp"),
    ("{property: duplicates, value: drop}", "{property: retention_days, value: 0}", "retention_days", "whole number from 1 up"),
    ("{property: duplicates, value: drop}", "{property: schema_policy, value: freeze}", "schema_policy", "has to say what is done"),
    ("{property: duplicates, value: drop}", "{property: schema_policy, value: {new_column: freeze}}", "new_column", "did you mean new_columns?"),
    ("{property: duplicates, value: drop}", "{property: schema_policy, value: {renamed_columns: evolve}}", "renamed_columns", "one of freeze, quarantine, reject"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {severity: warn}}", "control_totals", "{trailer: {...}} or {companion: {...}}"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {trailer: {marker: T, figures: [row]}}}", "figures.0", "'row' is no figure"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {trailer: {marker: T, figures: [null]}}}", "figures", "names no figure"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {trailer: {marker: T, figures: [sum(item)]}}}", "figures.0", "item is string"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {companion: {path: a.ctl, figures: {n: rows}}}}", "companion", "needs `file_column`"),
    ("{property: duplicates, value: drop}", "{property: control_totals, value: {companion: {path: '../{stem}', figures: {n: rows}}}}", "companion", "without a folder"),
    # what feeds the entity
    ("value: quantity_units", "value: quantity", "quantity.maps_to", "did you mean quantity_units?"),
    ("value: quantity_units", "value: order_id", "quantity.maps_to", "is fed twice (also by order_id)"),
    ("{property: maps_to, value: quantity_units}", "{property: unit, value: t}", "quantity.unit", "stands twice"),
    ("{location_id: MAIN, line_type: null}", "{}", "schema.sales.entity", "needs location_id@entity, value"),
    ("{location_id: MAIN, line_type: null}", "{location: MAIN}", "constants.location", "mean location_id?"),
    ("{location_id: MAIN, line_type: null}", "MAIN", "schema.sales.constants", "has to be a mapping"),
    ("location_id: MAIN", "location_id: null", "constants.location_id", "must not be empty"),
    ("location_id: MAIN", "location_id: $lines", "constants.location_id", "did you mean $line?"),
    ("location_id: MAIN", "location_id: MAIN, customer_id: [1]", "constants.customer_id", "cannot stand in customer_id"),
    ("value: unit_price", "value: customer_id", "price.maps_to", "map one that is integer or string"),
    ("DECIMAL(12,2)", "DECIMAL(18,6)", "price.maps_to", "take fewer digits@value: unit_price"),
    ("value: unit_price", "value: item_text", "price.maps_to", "price is number and item_text is VARCHAR"),
    # columns
    ("      - name: item\n", "      - name: Item Code\n", "properties.Item Code.name", "use snake_case"),
    ("      - name: item\n", "      - name: select\n", "properties.select.name", "is a word of SQL"),
    ("      - name: item\n", "      - name: order_id\n", "properties.order_id", "two columns have the name"),
    ("      - name: item\n", "      - physicalName: Order\n        name: item\n", "item", "two columns have the header"),
    ("      - name: item\n", '      - physicalName: " "\n        name: item\n', "item.physicalName", "cannot be blank"),
    ("      - name: channel\n        logicalType: string\n", "      - name: channel\n        logicalType: time\n", "channel.logicalType", "needs a logicalType among string, integer@logicalType: time\n"),
    ("        required: true\n" + ORDER, ORDER, "order_id.primaryKey", "can be empty: add `required: true`"),
    ("        primaryKey: true\n        customProperties", "        unique: maybe\n        customProperties", "line_number.unique", "has to be true or false"),
    ("{pattern: '\\d{5}'}", "{pattern: '(\\d{5}'}", "logicalTypeOptions.pattern", "is no regular expression"),
    ("{pattern: '\\d{5}'}", "{pattern: '(?=1)\\d{5}'}", "logicalTypeOptions.pattern", "leave out look-around"),
    ("{pattern: '\\d{5}'}", "{pattern: x, maxLength: 5}", "logicalTypeOptions", "put the length into the pattern"),
    ("{pattern: '\\d{5}'}", "{minLength: 6, maxLength: 5}", "logicalTypeOptions", "is above maxLength"),
    ("{pattern: '\\d{5}'}", "{maxLength: 5000}", "logicalTypeOptions", "above 1000 is not enforced"),
    ("{pattern: '\\d{5}'}", "{format: email}", "logicalTypeOptions.format", "is not enforced"),
    ("%d.%m.%Y %H:%M", "dd.MM.yyyy", "logicalTypeOptions.format", "is no date format"),
    ("%d.%m.%Y %H:%M", "%d.%m.%Q", "logicalTypeOptions.format", "is no date format"),
    ("%d.%m.%Y %H:%M", "%m.%Y", "logicalTypeOptions.format", "does not give day, month and year"),
    ("minimum: -10, maximum: 10", "minimum: 10, maximum: -10", "logicalTypeOptions", "is above maximum"),
    (PRICE, PRICE + "        logicalTypeOptions: {multipleOf: 0.5}\n", "logicalTypeOptions.multipleOf", "multipleOf 0.5 is not enforced@multipleOf"),
    ("value: unit_price", "value: [unit_price, line_type]", "price.maps_to.1", "price is number and line_type is VARCHAR@value: [unit_price"),
    ("value: unit_price", "value: []", "maps_to", "a text or a list of at least one"),
    ("minimum: -10, maximum: 10", "multipleOf: 5", "logicalTypeOptions.multipleOf", "is not enforced"),
    ("minimum: -10, maximum: 10", "minimum: low", "logicalTypeOptions.minimum", "has to be a number, not 'low'"),
    (PRICE, "", "properties.price", "has to say its digits@name: price"),
    (PRICE, "        physicalType: DECIMAL(2,12)\n", "price.physicalType", "DECIMAL(2,12) cannot be"),
    ("[web, shop]", "[]", "channel.allowed", "list of at least one value"),
    ("[web, shop]", "[web, {a: b}]", "channel.allowed.1", "has to be a single value"),
    ("default, value: web", "default, value: fax", "channel.default", "is not among the allowed values"),
    (UNITS, "          - {property: default, value: none}\n", "quantity.default", "cannot stand in a column of type integer"),
    (UNITS, "          - {property: allowed, value: [1, 2, x]}\n", "quantity.allowed", "'x' cannot stand"),
    (UNITS, "          - {property: until, value: units}\n", "quantity.until", "did you mean unit?"),
    (UNITS, "          - {property: unit, value: 5}\n", "quantity.unit", "has to be a text, not 5"),
    ("      - name: channel\n", "      - quality: []\n        name: channel\n", "channel.quality", "move them"),
    ("      - name: channel\n", "      - classification: customer\n        name: channel\n", "channel.classification", "add `pii_action` keep, drop or hash"),
    ("{property: default, value: web}", "{property: pii_action, value: hash}", "channel.pii_action", "add its class as `classification`"),
    (UNITS, "          - {property: pii_action, value: hash}\n", "quantity.pii_action", "give it logicalType string"),
    (UNITS, "          - {property: pii_action, value: drop}\n", "quantity.pii_action", "it cannot have required, maps_to"),
    (UNITS, "          - {property: schema_policy, value: {new_columns: freeze}}\n", "quantity.schema_policy.new_columns", "no kind of drift"),
    # references
    ("      - name: channel\n", "      - relationships: [{to: color.id}]\n        name: channel\n", "relationships.color.id.to", "no dataset 'color'"),
    ("      - name: channel\n", "      - relationships: [{to: item.id}]\n        name: channel\n", "to", "has no column 'id'"),
    ("      - name: channel\n", "      - relationships: [{to: item.number}]\n        name: channel\n", "to", "give both the same type"),
    ("      - name: channel\n", "      - relationships: [{to: item}]\n        name: channel\n", "to", "write dataset.column"),
    ("      - name: channel\n", "      - relationships: [{to: item.item_id}, {to: item.number}]\n        name: channel\n", "to", "keep one"),
    ("    quality:\n", "    relationships: [{from: sales.item, to: item.item_id}]\n    quality:\n", "relationships", "move them"),
    # checks
    (CHECK, "implementation: {kind: no_gaps}", "implementation.kind", "row_count_between, no_missing_days"),
    (CHECK, "implementation: {columns: [item]}", "implementation", "has no kind"),
    (CHECK, "implementation: no_missing_days", "implementation", "has no kind"),
    (CHECK, "implementation: {kind: no_missing_days, colums: [a]}", "implementation.colums", "did you mean columns?"),
    (CHECK, "implementation: {kind: no_missing_days, columns: [item]}", "implementation.columns", "item is string"),
    (CHECK, "implementation: {kind: unique}", "implementation", "unique needs columns"),
    (CHECK, "implementation: {kind: unique, columns: [itm]}", "implementation.columns", "did you mean item?"),
    (CHECK, "implementation: {kind: freshness_days}", "implementation", "needs `maximum`"),
    (CHECK, "implementation: {kind: row_count_between}", "implementation", "needs `minimum`, `maximum` or both"),
    (CHECK, "implementation: {kind: row_count_between, minimum: 2, maximum: 1}", "implementation", "is above maximum"),
    (CHECK, "implementation: {kind: sql_no_rows, query: select 1}", "implementation", "from {table}"),
    ("severity: warning", "severity: info", "severity", "error (stops) or warning"),
    ("engine: stocklake", "engine: soda", "quality.no day is missing", "is not run here"),
]  # fmt: skip


def line_of(text: str, place: str) -> int:
    return text[: text.index(place)].count("\n") + 1


@pytest.mark.parametrize(("old", "new", "key", "message"), RULES)
def test_a_spoiled_contract_is_told(make: Make, old: str, new: str, key: str, message: str) -> None:
    assert GOOD.count(old) >= 1, "the rule's test has lost its place in the good contract"
    spoiled = GOOD.replace(old, new, 1)
    message, _, place = message.partition("@")
    line = line_of(spoiled, place) if place else line_of(GOOD, old)
    problems = lint(make(sales=spoiled, item=ITEM))
    told = [p for p in problems if message in p.message and p.key.endswith(key)]
    assert told, f"not told; instead: {[str(p) for p in problems]}"
    assert told[0].path.name == "sales.odcs.yaml"
    assert told[0].line == line
    assert str(told[0]) == f"{told[0].path}, line {line}, {told[0].key}: {told[0].message}"


def test_the_good_contract_is_good(make: Make) -> None:
    assert lint(make(sales=GOOD, item=ITEM)) == []


def test_an_upsert_needs_a_key(make: Make) -> None:
    (problem,) = lint(make(sales=GOOD.replace("        primaryKey: true\n", "")))
    assert (problem.line, problem.key) == (line_of(GOOD, "write_mode"), "schema.sales.write_mode")
    assert "mark the key columns" in problem.message


def test_what_the_entity_requires_may_not_be_empty(make: Make) -> None:
    spoiled = GOOD.replace(
        "      - name: item\n        logicalType: string\n        required: true\n",
        "      - name: item\n        logicalType: string\n",
    )
    problems = lint(make(sales=spoiled))
    assert [p.key for p in problems] == ["schema.sales.properties.item.maps_to"]
    assert "item_id must not be empty and item can be" in problems[0].message


def test_a_unit_that_nothing_converts_is_told(make: Make) -> None:
    weight = """\
      - name: weight
        logicalType: number
        physicalType: DECIMAL(10,2)
        customProperties:
          - {property: unit, value: g}
          - {property: maps_to, value: unit_weight_kg}
"""
    (problem,) = lint(make(item=ITEM + weight))
    assert "weight is in g and unit_weight_kg in kg" in problem.message
    assert problem.line == ITEM.count("\n") + 6


def test_decimals_need_the_unit_that_they_are_converted_from(make: Make) -> None:
    whole = "      - name: quantity\n        logicalType: integer\n"
    cases = GOOD.replace(whole, whole.replace("integer", "number") + "        physicalType: DECIMAL(12,3)\n")
    (problem,) = lint(make(sales=cases))
    assert "quantity has decimals and sales_order_line.quantity_units counts whole units" in problem.message
    channel = "      - name: channel\n        logicalType: string\n        customProperties:\n"
    assert channel in cases
    assert not lint(
        make(sales=cases.replace(channel, channel + "          - {property: maps_to, value: unit}\n"))
    )


def test_a_built_in_has_to_fit(make: Make) -> None:
    constants = "      - {property: constants, value: {list_price: $line, item_name: $file}}\n"
    spoiled = ITEM.replace("    properties:\n", constants + "    properties:\n")
    (problem,) = lint(make(item=spoiled))
    assert problem.message.startswith("$line cannot stand in list_price, DECIMAL(18,4)")
    assert (problem.line, problem.key) == (line_of(spoiled, "$line"), "schema.item.constants.list_price")


def test_a_circle_of_references_is_told_once(make: Make) -> None:
    there = "        logicalType: string\n        relationships: [{to: sales.item}]\n        required: true\n        primary"
    back = "      - name: item\n        relationships: [{to: item.item_id}]\n"
    sales = GOOD.replace("      - name: item\n", back)
    item = ITEM.replace("        logicalType: string\n        required: true\n        primary", there)
    (problem,) = lint(make(sales=sales, item=item))
    assert "item -> sales -> item" in problem.message or "sales -> item -> sales" in problem.message
    assert problem.key.endswith(".to")


def test_a_dataset_may_refer_to_itself(make: Make) -> None:
    itself = "      - name: channel\n        relationships: [{to: sales.item}]\n"
    (contract,), problems = examine(make(sales=GOOD.replace("      - name: channel\n", itself)))
    assert (contract.column("channel").references, problems) == ("sales.item", [])


def test_two_files_cannot_describe_one_dataset_or_share_an_id(make: Make) -> None:
    problems = lint(make(sales=GOOD, sales_copy=GOOD))
    assert [(p.path.name, p.line, p.key) for p in problems] == [
        ("sales_copy.odcs.yaml", 3, "id"),
        ("sales_copy.odcs.yaml", 18, "schema.sales.name"),
    ]
    assert "is also described by sales.odcs.yaml" in problems[1].message


def test_a_file_that_would_not_be_read_is_told(make: Make) -> None:
    company = make(sales=GOOD)
    (company.contracts / "item.yaml").write_text(ITEM)
    (problem,) = lint(company)
    assert problem.path.name == "item.yaml"
    assert "name it item.odcs.yaml" in problem.message


def test_a_company_without_contracts_is_told(make: Make) -> None:
    company = make()
    assert "there is no contract" in lint(company)[0].message
    company.contracts.rmdir()
    assert "there is no contract" in lint(company)[0].message


def test_every_problem_of_a_file_is_told_at_once(make: Make) -> None:
    spoiled = GOOD.replace("domain: erp", "domain: x").replace("value: unit_price", "value: price_unit")
    spoiled = spoiled.replace("engine: stocklake", "engine: soda")
    places = ("domain", "price_unit", "engine: soda")
    assert [p.line for p in lint(make(sales=spoiled))] == [line_of(spoiled, place) for place in places]


def test_a_broken_neighbour_is_not_told_as_missing(make: Make) -> None:
    sales = GOOD.replace(
        "      - name: channel\n", "      - relationships: [{to: item.item_id}]\n        name: channel\n"
    )
    problems = lint(make(sales=sales, item="schema: ["))
    assert {p.path.name for p in problems} == {"item.odcs.yaml"}


def test_a_history_needs_to_know_when(make: Make) -> None:
    timeless = ITEM.replace(
        "customProperties:\n", "customProperties:\n      - {property: write_mode, value: history}\n", 1
    )
    [problem] = lint(make(item=timeless))
    assert "from when a version counts" in problem.message
    dated = timeless.replace(
        "      - name: number\n",
        "      - {name: since, logicalType: date, required: true}\n      - name: number\n",
    )
    assert (
        lint(
            make(
                item=dated.replace(
                    "history}\n", "history}\n      - {property: history, value: {valid_from: since}}\n"
                )
            )
        )
        == []
    )
    assert (
        lint(
            make(
                item=dated.replace(
                    "history}\n", "history}\n      - {property: business_date, value: since}\n"
                )
            )
        )
        == []
    )
