"""Definitions load wherever Dagster's own tools look for them, also in a checkout that has never run."""

import os
import subprocess
import sys
from pathlib import Path

from lake.company import PROJECT_ROOT
from tests.conftest import SmallHome

DAGSTER_TOOLS = Path(sys.executable).parent
HEAVY = ("scipy", "xgboost", "matplotlib", "feast", "great_expectations", "sklearn")


def run(command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("STOCKLAKE_", "DAGSTER_"))
    }
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=clean | environment, capture_output=True, text=True, check=False
    )


def test_dg_check_defs_in_a_checkout_that_has_never_run(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    done = run(
        [str(DAGSTER_TOOLS / "dg"), "check", "defs"],
        STOCKLAKE_HOME=str(tmp_path / "new"),
        DAGSTER_HOME=str(tmp_path),
        HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout + done.stderr
    assert not list(tmp_path.rglob(".telemetry")), "Dagster made itself a name to phone home with"


def test_the_workspace_file_names_definitions_that_load(small_home: SmallHome) -> None:
    validate = [str(DAGSTER_TOOLS / "dagster"), "definitions", "validate", "-w", "workspace.yaml"]
    chosen = {key: value for key, value in small_home.environment.items() if key.startswith("STOCKLAKE_")}
    done = run(validate, **chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stocklake" in done.stdout + done.stderr


def test_loading_imports_no_model_and_starts_no_dbt(small_home: SmallHome) -> None:
    program = (
        "import sys, lake.transform; lake.transform._run_dbt = None; import orchestration.definitions;"
        f" print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    chosen = {key: value for key, value in small_home.environment.items() if key.startswith("STOCKLAKE_")}
    done = run([sys.executable, "-c", program], **chosen)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
