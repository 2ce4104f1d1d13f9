from pathlib import Path

import pytest

from tests.companies.deliveries import SMALL, Made, generate


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One small run with all its dirt."""
    return _make(tmp_path_factory.mktemp("dirty"))


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The same without dirt, and all systems spell alike."""
    return _make(tmp_path_factory.mktemp("clean"), dirt=0, spelling=0)


def _make(folder: Path, **more: object) -> Made:
    result = generate(folder / "inbox", **SMALL, **more)
    assert result.returncode == 0, result.stderr
    return Made(folder / "inbox", folder / "truth")
