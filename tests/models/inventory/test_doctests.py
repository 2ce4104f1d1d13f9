"""Every formula's worked example runs."""

import doctest
import importlib
import pkgutil

import pytest

from models import inventory

MODULES = [module.name for module in pkgutil.iter_modules(inventory.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_worked_examples(name: str) -> None:
    module = importlib.import_module(f"models.inventory.{name}")
    tried = doctest.testmod(module)
    assert tried.failed == 0
    assert tried.attempted > 0 or name == "markov_chains"  # which has no formulas
