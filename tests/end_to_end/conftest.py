import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import SmallHome
from tests.end_to_end.house import House, in_process, make_house


@pytest.fixture(scope="module")
def own_home(small_home: SmallHome, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that went the whole way once, for tests that change it."""
    with pytest.MonkeyPatch.context() as patch:
        copy = small_home.copy_to(tmp_path_factory.mktemp("own"), patch)
    return House(copy.companies, copy.root)


@pytest.fixture
def empty_house(tmp_path: Path) -> House:
    """The example's contracts, an empty inbox, nothing ever run."""
    return make_house(tmp_path)


@pytest.fixture
def stocklake(
    empty_house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line on the empty house, in this process."""
    return partial(in_process, empty_house, monkeypatch, capsys)
