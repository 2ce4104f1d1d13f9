"""Claim: what is built by slices equals what is built whole, whatever was delivered, in whatever order.

    python -m benchmarks.slices [--steps 40] [--seed 1] [--kills | --everything] [--json]

Random sequences of deliveries to a small company (tests/dbt_project/changes.py): new days, late and corrected rows, returns,
deletions, replaced days, prices, promotions, masters, other meanings of codes, merged files. After each up to four of them
the models are built by slices, after every fifth build compared with a whole build of the same raw tables: equal to the last
bit but for doubles (9 digits). Of odd seeds codes are matched, of those that 3 does not divide units, money and time zones
are converted. Raises `AssertionError` with the rows that differ. With `--kills` every build is first begun in a process of
its own that is killed (SIGKILL) at some moment of it. With `--everything` all models are built with their tests, as a run does it, and
what nothing has touched is left alone (docs/adr/0027); `left_alone` counts the models that were.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from lake import transform
from tests.dbt_project.slices import CHAIN, World, check_sequence, dbt_in_process


class Killed(World):
    """A company whose builds are killed first, most of them after dbt has begun with its models."""

    kills = 0

    def build(self, select: str = CHAIN, **options: Any) -> None:
        if not options:
            project = transform.prepare(self.company, self.contracts)
            begun = subprocess.Popen(
                [sys.executable, "-P", "-c", transform._DBT, "--quiet", "build", "--select", *select.split(), *project.args],
                env=os.environ | project.env, cwd=project.project_dir, start_new_session=True,
            )  # fmt: skip
            time.sleep(random.uniform(6, 16))
            if begun.poll() is None:
                os.killpg(begun.pid, signal.SIGKILL)
            self.kills += begun.wait() == -signal.SIGKILL
        super().build(select, **options)


class Everything(World):
    """A company of which everything is built and tested, each time in a process of its own."""

    may_be_whole = True
    left_alone = 0

    def build(self, select: str = CHAIN, **options: Any) -> None:
        report = transform.build(self.company, self.contracts, **options)
        self.left_alone += len(report.models) - len(report.built)


def main(
    steps: int = 40,
    seed: int = 1,
    kills: Annotated[bool, typer.Option(help="kill each build once, then build again")] = False,
    everything: Annotated[
        bool, typer.Option(help="all models and tests, but what nothing has touched")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run one sequence and print how much was compared."""
    warnings.simplefilter("ignore", ResourceWarning)
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        nullcontext() if everything else dbt_in_process(patch),
    ):
        options = {"with_codes": seed % 2 == 1, "with_units": seed % 3 > 0}
        world = (Killed if kills else Everything if everything else World)(Path(folder), seed, **options)
        said = check_sequence(world, steps, every=5)
    result = {
        "seed": seed, "builds": steps, "compared": -(-steps // 5), "deliveries": sum(map(len, said)),
        "kinds": len({kind for one in said for kind in one}), "differing": 0,
    }  # fmt: skip
    if isinstance(world, Killed):
        result["kills"] = world.kills
    if isinstance(world, Everything):
        result["left_alone"] = world.left_alone
    print(json.dumps(result) if as_json else "\n".join(f"{key:12} {value}" for key, value in result.items()))


if __name__ == "__main__":
    typer.run(main)
