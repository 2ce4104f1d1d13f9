"""Whether the contracts of a company hold together: every problem of every file, and of the files with each other.

Here: which files are contracts, and the rules that need more than one of them (names, references, order). What one
file means and must hold is in `standard.py`, `datasets.py`, `columns.py`, `entities.py`; `reading.py` uses this
module, so that what lints is exactly what loads.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from lake.company import Company
from lake.contracts.datasets import read_contract
from lake.contracts.document import Document, Node, Problem, read_document
from lake.contracts.model import Check, Contract
from lake.contracts.standard import check_standard, suggest

SUFFIX = ".odcs.yaml"


def lint(company: Company) -> list[Problem]:
    """Return every problem in the company's contracts, by file and line; an empty list if all can be used."""
    return examine(company)[1]


def examine(company: Company) -> tuple[tuple[Contract, ...], list[Problem]]:
    """Return the contracts, each after those it references, and all problems; contracts are whole if there is none."""
    paths = sorted(company.contracts.glob("*.y*ml")) if company.contracts.is_dir() else []
    documents = {path: read_document(path) for path in paths if path.name.endswith(SUFFIX)}
    contracts = {
        path: contract
        for path, document in documents.items()
        if not document.problems and check_standard(document)
        if (contract := read_contract(document, company.variables))
    }
    _check_names(documents, contracts)
    _check_ties(documents, contracts)
    ordered = _in_order(documents, contracts)
    problems = [problem for document in documents.values() for problem in document.problems]
    problems += [
        Problem(
            path,
            1,
            "",
            f"is not read: name it {path.name.split('.')[0]}{SUFFIX} or move it out of this folder",
        )
        for path in paths
        if path not in documents
    ]
    if not paths:
        problems.append(
            Problem(company.contracts, 1, "", f"there is no contract: write one as <dataset>{SUFFIX} there")
        )
    return ordered, sorted(problems)


def _check_names(documents: Mapping[Path, Document], contracts: Mapping[Path, Contract]) -> None:
    """Judge that datasets and ids are unique and that a file is called as its dataset."""
    datasets: dict[str, Path] = {}
    ids: dict[str, Path] = {}
    for path, contract in contracts.items():
        document, name = documents[path], ("schema", 0, "name")
        if contract.dataset in datasets:
            other = datasets[contract.dataset].name
            document.reject(
                name, f"the dataset {contract.dataset!r} is also described by {other}: rename or remove one"
            )
        elif path.name != contract.dataset + SUFFIX:
            document.reject(
                name, f"is {contract.dataset!r} in a file called {path.name}: both have to be the same"
            )
        datasets.setdefault(contract.dataset, path)
        identity = document.data["id"]
        if identity in ids:
            document.reject(("id",), f"{identity!r} is also the id of {ids[identity].name}: choose another")
        ids.setdefault(identity, path)


def _check_ties(documents: Mapping[Path, Document], contracts: Mapping[Path, Contract]) -> None:
    """Judge that what a check ties with is there: the dataset, its columns, and types that compare."""
    by_name = {contract.dataset: contract for contract in contracts.values()}
    broken = {path.name.removesuffix(SUFFIX) for path in documents if path not in contracts}
    for path, contract in contracts.items():
        for item in Node(documents[path], ("schema", 0)).items("quality"):
            node = item.child("implementation")
            check = next((one for one in contract.checks if one.name == item.value.get("name")), None)
            if node is None or check is None or check.kind != "ties_with" or not check.dataset:
                continue
            other = by_name.get(check.dataset)
            if other is not None:
                _check_tie(node, contract, check, other)
            elif check.dataset not in broken:
                (node.child("dataset") or node).reject(
                    f"there is no dataset {check.dataset!r}: {suggest(check.dataset, by_name)}"
                )


def _check_tie(node: Node, contract: Contract, check: Check, other: Contract) -> None:
    types = {column.name: column.type for column in other.columns}
    own = {column.name: column.type for column in contract.columns}
    for name in (there for there, _ in check.figures):
        if types.get(name) not in ("integer", "number"):
            (node.child("figures") or node).reject(
                f"{other.dataset} has no column {name!r} that is a number: name one of"
                f" {', '.join(sorted(one for one, kind in types.items() if kind in ('integer', 'number')))}"
            )
    for here, there in check.on:
        comparable = {own.get(here), "date" if own.get(here) == "timestamp" else own.get(here)}
        if there not in types:
            (node.child("on") or node).reject(
                f"{other.dataset} has no column {there!r}: {suggest(there, types)}"
            )
        elif here in own and types[there] not in comparable:
            (node.child("on") or node).reject(
                f"{here} is {own[here]} and {other.dataset}.{there} is {types[there]}: give both the same type"
            )


def _in_order(documents: Mapping[Path, Document], contracts: Mapping[Path, Contract]) -> tuple[Contract, ...]:
    """Return the contracts so that each stands after those it references, noting references that cannot be."""
    by_name = {contract.dataset: contract for contract in reversed(list(contracts.values()))}
    broken = {path.name.removesuffix(SUFFIX) for path in documents if path not in contracts}
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(by_name, ()))
    places: dict[tuple[str, str], Node] = {}
    for contract in by_name.values():
        for node, column, reference in _references(documents[contract.path], contract):
            target = reference.partition(".")[0]
            if target in by_name:
                _check_target(node, contract, column, by_name[target], reference.partition(".")[2])
                if target != contract.dataset:  # its own dataset: the loader looks into the file itself
                    places.setdefault((contract.dataset, target), node)
                    sorter.add(contract.dataset, target)
            elif target not in broken:
                node.reject(f"there is no dataset {target!r}: {suggest(target, by_name)}")
    try:
        sorter.prepare()
    except CycleError as error:
        cycle: list[str] = list(reversed(error.args[1]))
        places[cycle[0], cycle[1]].reject(
            f"datasets refer to each other in a circle ({' -> '.join(cycle)}): cut one"
        )
        return tuple(by_name.values())
    ordered: list[Contract] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return tuple(ordered)


def _references(document: Document, contract: Contract) -> list[tuple[Node, str, str]]:
    """Return place, column and target of each reference."""
    found = []
    for item in Node(document, ("schema", 0)).items("properties"):
        for relationship in item.items("relationships"):
            to = relationship.child("to")
            name = item.value["name"]
            if to and any(
                column.name == name and column.references == to.value for column in contract.columns
            ):
                found.append((to, name, str(to.value)))
    return found


def _check_target(node: Node, contract: Contract, name: str, target: Contract, target_name: str) -> None:
    """Judge that a reference points at a column of the same type."""
    types = {column.name: column.type for column in target.columns}
    if target_name not in types:
        node.reject(f"{target.dataset} has no column {target_name!r}: {suggest(target_name, types)}")
    elif contract.column(name).type != types[target_name]:
        here, there = contract.column(name).type, types[target_name]
        node.reject(
            f"{name} is {here} and {target.dataset}.{target_name} is {there}: give both the same type"
        )
