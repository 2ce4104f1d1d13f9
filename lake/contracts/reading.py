"""The contracts of a company, ready to use. Not here: what they mean or must hold (`linting.py` and what it calls)."""

from lake.company import Company
from lake.contracts.linting import examine
from lake.contracts.model import Contract
from lake.errors import ContractError


def load_contracts(company: Company) -> tuple[Contract, ...]:
    """Return all contracts of a company, each after those it references, otherwise by name.

    Variables in paths stay as they are written. Raises `ContractError` naming every problem of every file.
    """
    contracts, problems = examine(company)
    if len(problems) == 1:
        raise ContractError(f"{problems[0]}; correct it there and run again.")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ContractError(
            f"The contracts of {company.name} have {len(problems)} problems; correct and run again:\n{listed}"
        )
    return contracts
