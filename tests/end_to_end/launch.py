"""Launches assets alone, as the UI does: `python -m tests.end_to_end.launch [--last-good] KEY...`; what failed, as JSON."""

import json
import logging
import sys
import warnings

import dagster as dg

from lake.company import load_company
from orchestration.build import build_definitions
from orchestration.instance import open_instance


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    company = load_company()
    company.prepare()
    keys = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    definitions = build_definitions(company, last_good="--last-good" in sys.argv)
    job = dg.define_asset_job("alone", selection=keys)
    alone = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("alone")
    with open_instance(company) as instance:
        result = alone.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    found = [failure.user_failure_data for failure in failures if failure.user_failure_data]
    print(
        json.dumps(
            {
                "success": result.success,
                "descriptions": [one.description for one in found],
                "exit_codes": [one.metadata["exit_code"].value for one in found],
            }
        )
    )


if __name__ == "__main__":
    main()
