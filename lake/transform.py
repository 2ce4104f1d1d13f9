"""Raw to marts: prepares a company's dbt project and starts dbt on it. The SQL itself stands in `dbt_project/`.

The project that dbt runs is a copy of `dbt_project/` below `company.dbt`, completed with what the company's contracts
say (sources, variables, profile). So the repository stays unwritten, and one checkout serves many companies at once.
No Dagster here: orchestration reads the manifest that `parse` makes.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lake import progress
from lake.company import COMPANY_VARIABLE, PROJECT_ROOT, Company
from lake.connection import Lake, metadata, table_exists, tables_state
from lake.contracts.model import Contract
from lake.dbt_build import KEPT_VARIABLE, SCHEMA_VARIABLE
from lake.dbt_files import as_yaml, profile, project_files
from lake.dbt_report import BuildReport, NodeRun, raise_on_failures, read_report, standing_nodes
from lake.errors import StocklakeError
from lake.standing import note_good_build, what_stands

_BY_SLICES = "STOCKLAKE_BUILD_BY_SLICES"
# Not `-m dbt...`, which warns; -P keeps the folder `tests` of the dbt project from being imported.
_DBT = "from lake.dbt_build import main; main()"


@dataclass(frozen=True)
class DbtProject:
    """A prepared dbt project: where it stands and how dbt is started on it."""

    project_dir: Path
    profiles_dir: Path
    target_dir: Path
    env: dict[str, str]
    """Variables that dbt needs beside the process's own environment."""
    digest: str
    """Hash of everything that dbt parses."""
    args: tuple[str, ...]
    """Options for any dbt command: --project-dir, --profiles-dir, --target-path, --log-path."""

    @property
    def manifest(self) -> Path:
        """manifest.json, as `parse` or `build` left it."""
        return self.target_dir / "manifest.json"


def prepare(company: Company, contracts: Sequence[Contract]) -> DbtProject:
    """Write below `company.dbt` everything that dbt needs; files that did not change keep their time stamps."""
    root, files = company.dbt, project_files(company, contracts)
    project = DbtProject(
        project_dir=root / "project",
        profiles_dir=root / "profiles",
        target_dir=root / "target",
        env={
            # dbt imports the plugin of this checkout, also where another one is installed.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")])),
            COMPANY_VARIABLE: json.dumps(
                {
                    "name": company.name,
                    "settings": company.settings.model_dump(mode="json"),
                    "code": _code_digest(files),
                }
            ),
            SCHEMA_VARIABLE: Lake.of(company).catalog.schema,
            "DO_NOT_TRACK": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_VERSION_CHECK": "false",
            "DBT_USE_COLORS": "false",
            "DBT_LOG_LEVEL_FILE": "info",
            "DBT_TARGET_PATH": str(root / "target"),
            "DBT_LOG_PATH": str(root / "logs"),
            "DBT_PROFILES_DIR": str(root / "profiles"),
        },
        digest=_project_digest(company, files),
        args=(
            "--project-dir",
            str(root / "project"),
            "--profiles-dir",
            str(root / "profiles"),
            "--target-path",
            str(root / "target"),
            "--log-path",
            str(root / "logs"),
        ),
    )
    _mirror(files, project.project_dir)
    _write_if_changed(project.profiles_dir / "profiles.yml", as_yaml(profile(company)))
    return project


def parse(company: Company, contracts: Sequence[Contract]) -> DbtProject:
    """Prepare, and make `target/manifest.json` (about 5 CPU s; a look where nothing changed). Touches no data."""
    project = prepare(company, contracts)
    note, current = project.target_dir / "parsed.txt", project.digest
    if project.manifest.is_file() and note.is_file() and note.read_text(encoding="utf-8") == current:
        return project
    note.unlink(missing_ok=True)
    _run_dbt(company, project, ["parse"])
    _write_if_changed(note, current)
    return project


def built_manifest(company: Company, contracts: Sequence[Contract]) -> dict[str, Any]:
    """Return dbt's manifest, with each model's SQL as its last whole build ran it; made by `parse` where nothing was built."""
    project = prepare(company, contracts)
    if not project.manifest.is_file():
        parse(company, contracts)
    manifest: dict[str, Any] = json.loads(project.manifest.read_text(encoding="utf-8"))
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            sql = node.get("compiled_code")
            if not sql or _is_of_slices(sql):  # a later parse forgets what was compiled
                kept = _whole_sql(company) / node["original_file_path"]
                sql = kept.read_text(encoding="utf-8") if kept.is_file() else None
            node["compiled_code"] = sql
    return manifest


def build(
    company: Company,
    contracts: Sequence[Contract],
    select: str | None = None,
    *,
    unit_tests: bool = False,
    whole: bool = False,
) -> BuildReport:
    """Run `dbt build`: every model, and the data tests behind each, under the lake's writer lock.

    Models that nothing has touched since the last good build are left out with their tests (lake/standing.py), unless all of it
    is asked for by `whole`, or by STOCKLAKE_BUILD_BY_SLICES=0; the report has them as they stand. `select` is dbt's node selection, parts apart by blanks. `unit_tests` adds the tests of the SQL itself: they say nothing about the data,
    so the test-suite runs them and a run does not. `whole` computes every row again, also of models that are built by
    slices (macros/slices.sql). Raises `StocklakeError` naming every node that failed;
    `GateFailed` where only tests of the data did.
    """
    project = prepare(company, contracts)
    arguments = ["build"]
    if select:  # tests that also need a model which is not selected are left out
        arguments += ["--select", *select.split(), "--indirect-selection", "cautious"]
    if not unit_tests:
        arguments += ["--exclude-resource-type", "unit_test"]
    if whole:
        arguments.append("--full-refresh")
    results = project.target_dir / "run_results.json"
    results.unlink(missing_ok=True)
    lake = Lake.of(company)
    lake.ensure()
    code = project.digest
    leaves_out = not (select or unit_tests or whole or os.environ.get(_BY_SLICES) == "0")
    with progress.stage("staging, core, marts") as stage, lake.writer_lock():
        standing = what_stands(lake, code) if leaves_out else None
        if standing:
            if not standing.fallen:
                stage.advance(note="nothing new")
                return BuildReport(standing_nodes(standing), 0.0)
            # dbt goes through all nodes, and each looks whether it stands: to have it select by 100 names costs a second.
            kept = project.target_dir / "last_good_build.json"
            kept.write_text(json.dumps([standing.snapshot_id, standing.nodes]), encoding="utf-8")
            project = replace(project, env=project.env | {KEPT_VARIABLE: str(kept)})
        _run_dbt(company, project, arguments, results=results)
        ran = read_report(results, project.manifest)
        stage.advance(
            len(ran.built),
            note=f"{len(ran.built)} models, {sum(not test.is_standing for test in ran.tests)} tests",
        )
        tested = lake.snapshot()
    report = BuildReport(ran.nodes, ran.elapsed_s)
    _keep_whole_sql(company, project)
    raise_on_failures(report)
    if select is None and report.tests:
        _note_tested(lake, tested)
        manifest = json.loads(project.manifest.read_text(encoding="utf-8"))
        note_good_build(lake, code, tested, manifest, map(asdict, ran.nodes), standing)
    return report


def build_if_changed(company: Company, contracts: Sequence[Contract], *, anew: bool = False) -> BuildReport:
    """Build everything, unless nothing that a build reads has changed since the last one that succeeded.

    Then the report of that build stands and is returned (`is_standing`) in the time of a look; `anew` builds in any
    case, and every row. What was built is noted after the build: killed half-way, the next call builds again. Raises as `build` does.
    """
    note = company.dbt / "built.json"
    current = inputs_fingerprint(company, contracts)
    if not anew and note.is_file():
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["fingerprint"] == current:
            return BuildReport(tuple(NodeRun(**node) for node in noted["nodes"]), 0.0, is_standing=True)
    note.unlink(missing_ok=True)
    report = build(company, contracts, whole=anew)
    noted = {"fingerprint": current, "nodes": [asdict(node) for node in report.nodes]}
    half_made = note.with_suffix(".making")
    half_made.write_text(json.dumps(noted), encoding="utf-8")
    half_made.replace(note)
    return report


def newest_report(company: Company) -> BuildReport | None:
    """Return what the newest dbt run did, also where it failed; None where dbt ended before it ran anything."""
    target = company.dbt / "target"
    results, manifest = target / "run_results.json", target / "manifest.json"
    return read_report(results, manifest) if results.is_file() and manifest.is_file() else None


def inputs_fingerprint(company: Company, contracts: Sequence[Contract]) -> str:
    """Return a hash of everything a build reads: raw tables' state, project files, what contracts add to them.

    Equal to the fingerprint at the last successful build: building again would make the same tables.
    """
    digest = hashlib.sha256(_project_digest(company, project_files(company, contracts)).encode())
    for row in _raw_state(Lake.of(company)):
        digest.update(f"{row}\0".encode())
    return digest.hexdigest()


# Starting dbt, and reading what it says -----------------------------------------------------------------------


def _run_dbt(
    company: Company, project: DbtProject, arguments: Sequence[str], results: Path | None = None
) -> None:
    """Start dbt and wait; raise `StocklakeError` when it ended before it ran any node (`results` missing)."""
    command = [sys.executable, "-P", "-c", _DBT, "--quiet", *arguments, *project.args]
    done = subprocess.run(
        command,
        env=os.environ | project.env,
        cwd=project.project_dir,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and (results is None or not results.exists()):
        said = " ".join((done.stdout.strip() or done.stderr.strip())[-2000:].split())
        raise StocklakeError(
            f"dbt {arguments[0]} could not run for company {company.name!r} (log: {company.dbt / 'logs' / 'dbt.log'}): "
            f"{said}"
        )


def _keep_whole_sql(company: Company, project: DbtProject) -> None:
    """Keep what dbt compiled, but for the SQL of builds by slices: what a column comes from, only all of it tells."""
    compiled = project.target_dir / "compiled" / "stocklake"
    for path in compiled.glob("models/*/*.sql"):
        sql = path.read_text(encoding="utf-8")
        if not _is_of_slices(sql):
            _write_if_changed(_whole_sql(company) / path.relative_to(compiled), sql)


def _whole_sql(company: Company) -> Path:
    return company.dbt / "whole"


def _is_of_slices(sql: str) -> bool:
    """Whether a model's SQL is that of a build by slices: it looks at what has changed (macros/slices.sql)."""
    return re.search(r"\b(affected|ducklake_table_changes)\b", sql) is not None


def _note_tested(lake: Lake, snapshot: int) -> None:
    """Note that all tests have passed on the models built by slices: the next time, only what came since is tested."""
    with lake.write() as connection:
        if not table_exists(connection, "meta", "model_build"):
            return
        connection.execute(
            "CREATE TABLE IF NOT EXISTS lake.meta.model_tested (model VARCHAR, table_uuid VARCHAR, snapshot_id BIGINT)"
        )
        connection.execute("DELETE FROM lake.meta.model_tested")
        connection.execute(
            f"""
            INSERT INTO lake.meta.model_tested
            SELECT b.model, t.table_uuid, {snapshot}
            FROM lake.meta.model_build AS b
            JOIN {metadata(connection)}.ducklake_schema AS s ON s.end_snapshot IS NULL
            JOIN {metadata(connection)}.ducklake_table AS t
                ON t.schema_id = s.schema_id AND b.model = s.schema_name || '.' || t.table_name AND t.end_snapshot IS NULL
            """
        )


def _project_digest(company: Company, files: Mapping[str, str]) -> str:
    """Return a hash of everything that dbt parses; where the home lies is no part of it, so that a home can move."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')}\0".encode())
    settings = as_yaml(profile(company)).replace(str(company.home), "HOME").replace(str(PROJECT_ROOT), "ROOT")
    for path, content in sorted({**files, "profiles.yml": settings}.items()):
        digest.update(f"{path}\0{content}\0".encode())
    return digest.hexdigest()


def _code_digest(files: Mapping[str, str]) -> str:
    """Return a hash of the SQL, the variables and the promised types that rows are made by: with another one, every row is made again."""
    made_by = [
        text
        for path, text in sorted(files.items())
        if path.endswith((".sql", ".yml")) and path != "models/sources.yml"
    ]
    return hashlib.sha256(
        "\0".join([version("dbt-duckdb"), version("duckdb"), *made_by]).encode()
    ).hexdigest()


# Files and lake state -----------------------------------------------------------------------------------------


def _mirror(files: dict[str, str], folder: Path) -> None:
    """Make `folder` hold exactly `files`."""
    for path, text in files.items():
        _write_if_changed(folder / path, text)
    for found in folder.rglob("*"):
        if found.is_file() and found.relative_to(folder).as_posix() not in files:
            found.unlink()


def _write_if_changed(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half_made = path.with_name(f"{path.name}.{os.getpid()}.making")
    half_made.write_text(text, encoding="utf-8")
    shutil.move(half_made, path)


def _raw_state(lake: Lake) -> list[tuple[Any, ...]]:
    """Return one row per table that a build reads, which changes whenever its rows or columns do, and the ledger's sums."""
    if not lake.exists:
        return []
    with lake.read() as connection:
        counted: list[tuple[Any, ...]] = []
        if table_exists(connection, "meta", "delivery"):  # marts.reconciliation tells what it counts
            counted = connection.execute(
                "SELECT dataset, sum(rows_read), sum(loaded), sum(quarantined), sum(duplicate), sum(unchanged)"
                " FROM lake.meta.delivery WHERE status IN ('loaded', 'replayed') GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        return counted + tables_state(connection, "raw") + tables_state(connection, "staging", ["crosswalk"])
