"""What a whole document means: `Document` -> `Contract`, with every rule that one contract has by itself.

Here: the file's location, known_at. Not here: columns (`columns.py`), what decides about loading (`loading_options.py`), checks
(`checks.py`), the mapping to an entity (`entities.py`), what needs the other contracts (`linting.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from lake.contracts import values
from lake.contracts.checks import check_day, read_checks
from lake.contracts.columns import read_column
from lake.contracts.csv_options import CSV, check_dialect
from lake.contracts.document import Document, Node
from lake.contracts.entities import read_mapping
from lake.contracts.layout import place_columns
from lake.contracts.loading_options import LOADING, property_node, read_loading
from lake.contracts.model import Column, Contract, KnownAt, Limits, Location, Status
from lake.contracts.source_settings import SourceSettings, make_settings, read_settings
from lake.contracts.standard import API_VERSION, suggest
from lake.contracts.workbook_options import WORKBOOK, check_options, names_workbook
from lake.contracts.x12_options import X12, check_columns

DOMAINS = ("erp", "logistics", "spreadsheets")


_ANY_FORMAT = re.compile(r"(?i)(?:\*|\.zip|\.tar|\.tgz|\.tar\.\w+)$")
"""Ends of paths that do not tell a file's format."""


def _as_is(node: Node) -> Node:
    return node


SERVER: dict[str, dict[str, values.Parser]] = {
    "csv": CSV,
    "spreadsheet": WORKBOOK,
    "xlsx": WORKBOOK,
    "jsonl": {"encoding": values.encoding, "other_fields": values.one_of("quarantine", "ignore")},
    "json": {
        "encoding": values.encoding,
        "records_path": values.text,
        "other_fields": values.one_of("quarantine", "ignore"),
    },
    "parquet": {},
    "xml": {"record_path": values.element_path, "other_fields": values.one_of("quarantine", "ignore")},
    "fixed_width": {
        "encoding": values.encoding,
        "header_lines": values.whole(0),
        "short_lines": values.one_of("quarantine", "pad"),
        "widths": values.list_of_whole(1),
    },
    "x12": X12,
}
"""Custom properties of the server, by format; each is a field of `Location`."""

for _format in ("csv", "fixed_width", "json", "jsonl", "xml"):
    SERVER[_format] |= {
        "decimal": values.one_of(".", ","),
        "thousands": values.one_of(".", ",", "'", " ", "\u00a0", "\u202f"),
    }

PACKED: dict[str, values.Parser] = {
    "member": values.text,
    "maximum_members": values.whole(1),
    "maximum_unpacked_mb": values.whole(1),
    "maximum_ratio": values.whole(1),
}
"""Custom properties of the server that any format has: what a compressed file or an archive may grow to."""

FETCHED: dict[str, values.Parser] = {"source": read_settings, "storage_options": values.mapping}
"""Custom properties of a server whose data is fetched."""

DATASET: dict[str, values.Parser] = {
    "entity": values.text,
    **LOADING,
    "duplicates": values.one_of("keep", "drop"),
    "business_date": values.text,
    "known_at": _as_is,
    "constants": _as_is,
    "optional": values.flag,
    "limits": _as_is,
    "system": values.sql_name,
}
"""Custom properties of the schema object."""


def read_contract(document: Document, variables: Mapping[str, str]) -> Contract | None:
    """Return the contract that a document of right form describes; problems are noted in the document.

    `variables` are the names that paths may use. None if there is not exactly one dataset in it.
    """
    root = document.root
    _check_head(root)
    location, source = _location(root, variables)
    schemas = list(root.items("schema"))
    if len(schemas) != 1:
        document.reject(("schema",), f"{len(schemas)} datasets are described: write one per file")
        return None
    contract = _contract(root, schemas[0], location, source)
    for problem in source.problems(contract) if source else ():
        document.reject(("servers", 0), problem)
    return contract


def _contract(root: Node, schema: Node, location: Location | None, source: SourceSettings | None) -> Contract:
    name = schema.child("name")
    assert name is not None
    custom = values.custom_properties(schema, DATASET)
    properties = list(schema.items("properties"))
    columns = {node.value["name"]: column for node in properties if (column := read_column(node))}
    _check_schema(schema, properties)
    check_columns(schema, columns.values(), location)
    entity, mapping = read_mapping(schema, custom.get("entity"), columns, custom.get("constants"))
    if "business_date" in custom:
        check_day(property_node(schema, "business_date"), custom["business_date"], schema, columns)
    purpose = (root.value.get("description") or {}).get("purpose", "")
    return Contract(
        dataset=values.sql_name(name),
        path=root.document.path,
        version=root.value["version"],
        status="deprecated" if root.value["status"] == "deprecated" else "active",
        title=root.value.get("name", name.value),
        description=" ".join(part for part in (purpose, schema.value.get("description", "")) if part),
        owner=_owner(root),
        domain=root.value.get("domain", ""),
        location=location or Location(path="", format="csv"),
        columns=place_columns(schema, columns.values(), location),
        duplicates=custom.get("duplicates", "keep"),
        entity=entity,
        mapping=mapping,
        business_date=custom.get("business_date"),
        known_at=_known_at(custom["known_at"], schema, columns) if "known_at" in custom else KnownAt(),
        checks=read_checks(schema, columns, custom.get("business_date")),
        optional=custom.get("optional", False),
        limits=_limits(custom["limits"]) if "limits" in custom else Limits(),
        code_system=custom.get("system"),
        source=source,
        **read_loading(schema, columns, custom),
    )


def _check_head(root: Node) -> None:
    """Judge what stands above servers and schema."""
    version, api, status, domain = (root.child(key) for key in ("version", "apiVersion", "status", "domain"))
    assert version and api and status
    if api.value != API_VERSION:
        api.reject(f"is {api.value} and has to be {API_VERSION}: this is what is read here")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version.value):
        version.reject(f"{version.value!r} is no version: write three numbers, e.g. 1.0.0")
    if status.value not in get_args(Status):
        status.reject(
            f"is {status.value!r}, but every contract in this folder is in force: write active (or deprecated, before it"
            " is removed), or move it"
        )
    if domain is None or domain.value not in DOMAINS:
        (domain or root).reject(
            f"domain has to be one of {', '.join(DOMAINS)}: the kind of system it comes from"
        )
    if not _owner(root):
        (root.child("team") or root).reject("the owner is missing: add `team: {name: ...}`")
    if sla := root.child("slaProperties"):
        sla.reject("service levels are not enforced: write a check of kind freshness_days in `quality`")
    values.custom_properties(root, {}, dict.fromkeys(DATASET, "put it below `schema`"))


def _owner(root: Node) -> str:
    team = root.value.get("team")
    return str(team.get("name", "")).strip() if isinstance(team, dict) else ""


def _location(root: Node, variables: Mapping[str, str]) -> tuple[Location | None, SourceSettings | None]:
    """Return where the files lie and how they are written, and how they are fetched, from the one server."""
    servers = list(root.items("servers"))
    if len(servers) != 1:
        root.document.reject(
            ("servers",), f"{len(servers)} servers are described: write one, where the files lie"
        )
        return None, None
    server = servers[0]
    kind, path, file_format = server.child("type"), server.child("path"), server.child("format")
    is_fetched = kind is not None and kind.value in ("custom", "s3")
    if kind is None or kind.value not in ("local", "custom", "s3") or file_format is None:
        (kind or server).reject(
            "write `type: local` with path and format for files, `type: s3` with location and format, or `type: custom`"
            " with format and source (or location) for the rest"
        )
        return None, None
    if path is None and not is_fetched:
        server.reject("the path is missing: name the files")
        return None, None
    if file_format.value not in SERVER:
        file_format.reject(f"is {file_format.value!r} and has to be one of {', '.join(SERVER)}")
        return None, None
    known = SERVER[file_format.value] | PACKED | (FETCHED if is_fetched else {})
    others = {name: f"it is for {_formats_with(name)}" for names in SERVER.values() for name in names}
    found = values.custom_properties(server, known, others)
    for key in ("delimiter", "encoding"):
        if short := server.child(key):
            if key not in known:
                short.reject(f"{key} is for {_formats_with(key)}: remove it")
            elif parsed := known[key](short):
                found[key] = parsed
    if file_format.value == "csv":
        check_dialect(server, found)
    check_options(server, found)
    _check_signs(server, found)
    source = _source(server, found)
    if is_fetched and source is None and not server.is_rejected:
        kind.reject("the source is missing: add the custom property `source` with its kind, or a location")
    elif path is not None:
        _check_path(path, file_format.value, variables)
    if file_format.value == "xml" and "record_path" not in found:
        server.reject("the record_path is missing: name the element that is a row, e.g. Orders/Order")
    return Location(path=path.value if path else "", format=file_format.value, **found), source


def _source(server: Node, found: dict[str, Any]) -> SourceSettings | None:
    """Return how a server is fetched: by the property `source`, or as files at its `location`."""
    source: SourceSettings | None = found.pop("source", None)
    options, location, endpoint = (
        found.pop("storage_options", {}),
        server.child("location"),
        server.child("endpointUrl"),
    )
    if source is not None or location is None:
        return source
    given = {"kind": "files", "url": location.value, "storage_options": options}
    return make_settings(server, given | ({"endpoint_url": endpoint.value} if endpoint else {}))


def _check_signs(server: Node, found: Mapping[str, Any]) -> None:
    if found.get("decimal", ".") == found.get("thousands"):
        server.reject("decimal and thousands are the same sign: correct one")


def _formats_with(name: str) -> str:
    return ", ".join(kind for kind, names in SERVER.items() if name in names)


def _check_path(node: Node, file_format: str, variables: Mapping[str, str]) -> None:
    path = str(node.value)
    unknown = [name for name in re.findall(r"\$\{([^}]*)\}", path) if name not in variables]
    if unknown:
        node.reject(f"${{{unknown[0]}}} stands for nothing: {suggest(unknown[0], variables)}")
    elif not path.startswith(("/", "${")):
        node.reject("is relative to nowhere: begin with ${INBOX}/, ${COMPANY}/ or ${STOCKLAKE_DATA}/")
    elif path.endswith("/"):
        node.reject("is a folder: name the files, e.g. with /*.csv at the end")
    elif (file_format in ("spreadsheet", "xlsx")) != names_workbook(path) and not _ANY_FORMAT.search(path):
        node.reject(f"does not name {file_format} files: correct it, or the format")


def _check_schema(schema: Node, properties: list[Node]) -> None:
    """Judge what stands in the schema object besides custom properties: names, and what is not enforced."""
    if not properties:
        schema.reject("no columns are described: add `properties`")
    if relationships := schema.child("relationships"):
        relationships.reject("references stand with their column: move them to its `relationships`")
    _check_twice(properties, "name", [str(node.value["name"]) for node in properties])
    headers = [str(node.value.get("physicalName") or node.value["name"]).strip() for node in properties]
    _check_twice(properties, "header", headers)


def _check_twice(properties: list[Node], what: str, words: list[str]) -> None:
    """Judge that no two columns share a name or header."""
    for node, word, index in zip(properties, words, range(len(words)), strict=True):
        first = properties[words.index(word)]
        same_name = first.value["name"] == node.value["name"]
        if words.index(word) < index and same_name == (what == "name"):
            line = node.document.line(first.keypath)
            node.reject(
                f"two columns have the {what} {word!r} (the other in line {line}): correct or remove one"
            )


def _known_at(node: Node, schema: Node, columns: Mapping[str, Column]) -> KnownAt:
    if not isinstance(node.value, dict) or len({"column", "filename_pattern"} & set(node.value)) != 1:
        node.reject("has to be {column: ...} or {filename_pattern: ...}, with or without delay_days")
        return KnownAt()
    parsers = {
        "column": values.text,
        "filename_pattern": values.filename_pattern,
        "delay_days": values.whole(0),
    }
    found: dict[str, Any] = {}
    for key, value in node.entries():
        if key not in parsers:
            value.reject(f"is no part of known_at: {suggest(key, parsers)}")
        elif (parsed := parsers[key](value)) is not None:
            found[key] = parsed
    if "column" in found:
        column = node.child("column")
        assert column is not None
        check_day(column, found["column"], schema, columns)
    return KnownAt(**found)


def _limits(node: Node) -> Limits:
    names = [field.name for field in fields(Limits)]
    if not isinstance(node.value, dict) or not node.value:
        node.reject(f"has to be {{{names[0]}: ...}}, of {', '.join(names)}")
        return Limits()
    found: dict[str, int] = {}
    for key, value in node.entries():
        if key not in names:
            value.reject(f"is no part of limits: {suggest(key, names)}")
        elif (parsed := values.whole(1)(value)) is not None:
            found[key] = parsed
    return Limits(**found)
