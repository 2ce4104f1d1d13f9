"""What Dagster loads: the definitions of the company that STOCKLAKE_COMPANY and STOCKLAKE_HOME choose."""

import os

from lake import transform
from lake.company import load_company
from orchestration.build import build_definitions
from orchestration.house import open_house
from orchestration.instance import environment, write_settings

_company = load_company()
os.environ.update(environment(_company))
_company.prepare()
write_settings(_company)  # before anything of Dagster asks whether it may phone home
# A clean checkout has no dbt manifest yet; when nothing changed since it was parsed, dbt is not started.
transform.parse(_company, open_house(_company.name, _company.home.parent).contracts)

defs = build_definitions(_company)
