from pathlib import Path

import pytest

from tests.end_to_end.house import SMALL, House, make_house


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that went the whole way once. A test that changes it leaves it as good as it was."""
    house = make_house(tmp_path_factory.mktemp("small"), exports=SMALL)
    done = house.cli("run")
    assert done.returncode == 0, done.stderr
    return house


@pytest.fixture
def empty_house(tmp_path: Path) -> House:
    """The example's contracts, an empty inbox, nothing ever run."""
    return make_house(tmp_path)
