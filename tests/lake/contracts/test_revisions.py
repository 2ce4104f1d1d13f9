"""Contracts in files, folders and git revisions, and what `stocklake contract diff` says of them; on real repositories."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lake.contracts import revisions
from lake.contracts.revisions import NoRevision, parent_revision, read_path, read_revision
from lake.errors import ContractError
from tests.lake.contracts.conftest import GOOD, ITEM

Git = Callable[..., str]
DEARER = GOOD.replace("maximum: 10}", "maximum: 5}")


def git_at(folder: Path) -> Git:
    def git(*words: str) -> str:
        named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
        return subprocess.run(
            ["git", *named, *words], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    return git


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """One commit with two contracts, in folders with signs in their names."""
    folder = tmp_path / "a clone"
    contracts = folder / "companies" / "äcme inc" / "contracts"
    contracts.mkdir(parents=True)
    (contracts / "sales.odcs.yaml").write_text(GOOD)
    (contracts / "item.odcs.yaml").write_text(ITEM)
    git = git_at(folder)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return folder


@pytest.fixture
def sales(clone: Path) -> Path:
    return clone / "companies" / "äcme inc" / "contracts" / "sales.odcs.yaml"


def diff(*words: object) -> Result:
    from orchestration.commands.contracts import app

    return CliRunner().invoke(app, ["diff", *map(str, words)])


def test_a_breaking_change_is_refused_until_the_version_says_so(clone: Path, sales: Path) -> None:
    companies = clone / "companies"
    assert diff("--against", "main", companies).output == "No contract has changed.\n"
    sales.write_text(DEARER)
    refused = diff("--against", "main", companies)
    assert refused.exit_code == 2
    assert refused.output.splitlines() == [
        "äcme inc/contracts/sales.odcs.yaml: version 1.0.0: 1 breaking change without a new version; write"
        " `version: 2.0.0`, or take them back",
        "  breaking   column quantity: the maximum was 10 and is 5: values above it are refused",
    ]
    sales.write_text(DEARER.replace("version: 1.0.0", "version: 2.0.0"))
    assert diff("--against", "HEAD", companies).exit_code == 0
    assert diff("--against", "HEAD", sales).exit_code == 0
    told = json.loads(diff("--against", "HEAD", sales, "--json").output)
    assert [(one["verdict"], one["before"], one["after"]) for one in told] == [("sound", "1.0.0", "2.0.0")]
    assert told[0]["changes"][0]["weight"] == "breaking"


def test_a_compatible_change_only_warns(clone: Path, sales: Path) -> None:
    sales.write_text(GOOD.replace("maximum: 10}", "maximum: 15}"))
    done = diff("--against", "main", clone)
    assert done.exit_code == 0
    assert "better `version: 1.1.0`" in done.output


def test_a_contract_that_is_gone_is_refused(clone: Path, sales: Path) -> None:
    sales.unlink()
    done = diff("--against", "main", clone / "companies")
    assert done.exit_code == 2
    assert "sales is removed, and who reads it was not told" in done.output


def test_the_parent_is_where_the_work_left_main(clone: Path, sales: Path) -> None:
    git = git_at(clone)
    first = git("rev-parse", "HEAD")
    assert parent_revision(clone) is None  # one commit, on main
    git("checkout", "--quiet", "-b", "work")
    for text in (GOOD.replace("What was sold.", "Sold."), DEARER):
        sales.write_text(text)
        git("commit", "--quiet", "-am", "more")
    assert parent_revision(clone) == first  # not the commit before: both changes count
    assert diff("--against", "parent", clone).exit_code == 2
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--ff-only", "work")
    assert parent_revision(clone) == git("rev-parse", "HEAD~1")
    assert diff("--against", "parent", clone).exit_code == 2


def test_a_shallow_clone_has_no_parent_and_says_so(clone: Path, sales: Path, tmp_path: Path) -> None:
    git = git_at(clone)
    sales.write_text(DEARER)
    git("commit", "--quiet", "-am", "second")
    git("clone", "--quiet", "--depth", "1", clone.as_uri(), str(tmp_path / "shallow"))
    git("clone", "--quiet", clone.as_uri(), str(tmp_path / "fresh"))
    for depth, code in (("shallow", 0), ("fresh", 2)):
        done = diff("--against", "parent", tmp_path / depth / "companies")
        assert done.exit_code == code, done.output
        assert done.output.startswith("This clone has no earlier revision") == (code == 0)
    with pytest.raises(
        NoRevision, match=r"There is no revision 'HEAD~1' .* shallow clone has the newest only"
    ):
        read_revision("HEAD~1", tmp_path / "shallow" / "companies")


def test_a_folder_without_git_has_nothing_to_compare_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sales.odcs.yaml").write_text(GOOD)
    assert diff("--against", "parent", tmp_path).exit_code == 0
    with pytest.raises(NoRevision):
        read_revision("main", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert parent_revision(tmp_path) is None


@pytest.mark.parametrize(
    "revision",
    ["--output=pwned", "-h", "main;touch pwned", "$(touch pwned)", "main..HEAD", "main:companies", ""],
)
def test_a_revision_is_never_an_option_or_a_command(clone: Path, revision: str) -> None:
    with pytest.raises(NoRevision):
        read_revision(revision, clone)
    assert not (clone / "pwned").exists()


def test_what_git_tells_its_hooks_does_not_lead_elsewhere(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert set(read_revision("main", clone)) == {
        "companies/äcme inc/contracts/item.odcs.yaml", "companies/äcme inc/contracts/sales.odcs.yaml",
    }  # fmt: skip


def test_a_folder_is_named_as_its_revision_is(clone: Path) -> None:
    (clone / ".hidden").mkdir()
    (clone / ".hidden" / "x.odcs.yaml").write_text(GOOD)
    git = git_at(clone)
    git("add", ".")
    git("commit", "--quiet", "-m", "hidden")
    assert read_path(clone) == read_revision("HEAD", clone)
    assert read_path(clone / "companies") == read_revision("HEAD", clone / "companies")


def test_two_files_or_two_folders(clone: Path, sales: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.odcs.yaml"
    other.write_text(DEARER)
    assert diff(sales, other).exit_code == 2
    assert "other.odcs.yaml: version 1.0.0: 1 breaking change" in diff(sales, other).output
    assert diff(clone, clone).output == "No contract has changed.\n"
    for words, message in (
        ((sales, clone), "are a file and a folder"),
        ((sales,), "Name what to compare"),
        ((sales, tmp_path / "nothing"), "There is no contract at"),
        ((sales, other, "--against", "main"), "With --against there is one file or folder"),
    ):
        error = diff(*words).exception
        assert isinstance(error, ContractError)
        assert message in str(error)


def test_the_repository_is_compared_by_make(request: pytest.FixtureRequest) -> None:
    """`make contracts`, which `make check` and .ci/run begin with, names the command that this module tries."""
    makefile = (request.config.rootpath / "Makefile").read_text()
    assert "contract diff companies --against $(or $(BASE),parent)" in makefile
    assert revisions.PARENT == "parent"
    assert "\ncheck: .venv/dev.stamp contracts " in makefile
    assert "\nmake contracts\n" in (request.config.rootpath / ".ci" / "run").read_text()
