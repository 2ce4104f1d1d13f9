"""Dagster's own home for a company: settings written once, telemetry and pop-ups off, one writer at a time."""

import os
from pathlib import Path

import dagster as dg

from lake.company import PROJECT_ROOT, Company
from orchestration.house import WRITER_POOL

_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
    granularity: run
run_monitoring:
  # A run whose process was killed would hold the lake's pool for ever.
  enabled: true
  max_runtime_seconds: 21600
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 30
"""


def environment(company: Company) -> dict[str, str]:
    """Return the variables that Dagster's processes need to serve this company."""
    return {
        "DAGSTER_HOME": str(company.dagster),
        "STOCKLAKE_COMPANY": company.name,
        "STOCKLAKE_HOME": str(company.home.parent),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "FEAST_USAGE": "False",
    }


def write_settings(company: Company) -> Path:
    """Write dagster.yaml where it is missing or old, and return its path."""
    path = company.dagster / "dagster.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != _DAGSTER_YAML:
        path.write_text(_DAGSTER_YAML, encoding="utf-8")
    return path


def open_instance(company: Company) -> dg.DagsterInstance:
    """Return the company's Dagster instance: what the UI shows, the command line writes to."""
    write_settings(company)
    os.environ.update(environment(company))
    instance = dg.DagsterInstance.get()
    # Dagster notes a pool's default limit when it first sees the pool queued, and lets that first batch pass at once.
    instance.event_log_storage.initialize_concurrency_limit_to_default(WRITER_POOL)
    return instance


def workspace() -> Path:
    """Return the workspace file of the project."""
    return PROJECT_ROOT / "workspace.yaml"
