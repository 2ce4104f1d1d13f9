"""Claim: policies learned in the twin come close to the exact optimum, and below every classical policy where there is none.

    python -m benchmarks.policies [--json] [--part lost_sales|dual_sourcing|serial|one_warehouse] [--seed 0]

- Lost sales (Zipkin 2008, 9 settings) and dual sourcing (Veeraraghavan and Scheller-Wolf 2008, 4): the learned policy's whole
  orders are evaluated exactly, by the Markov chain that they make, as the optimum and the tuned classical policies are.
- A serial system of 3 stages with normal demand (Snyder and Shen, example 6.1): simulated beside the optimal echelon base stock on
  the same customers; the difference is what counts, its standard error is printed.
- One warehouse and 10 stores (`one_warehouse.py`): on the same customers and in the same way as base stock tuned there.

CPU seconds of training are those of this process; compiling is printed apart.
"""

import json
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import policies_exact, policies_simulated

PARTS = {
    "lost_sales": policies_exact.lost_sales,
    "dual_sourcing": policies_exact.dual_sourcing,
    "serial": policies_simulated.serial,
    "one_warehouse": policies_simulated.one_warehouse,
}


def main(
    part: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PARTS)}; default all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first weights and of the customers to learn from.")] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Train and evaluate, and print the figures: gaps in percent of the optimum, or savings."""
    wanted = part or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            raise typer.BadParameter(f"there is no part {name!r}: {', '.join(PARTS)}")
    settings = {name: PARTS[name](seed) for name in wanted}
    result = figures(settings)
    if as_json:
        print(json.dumps(result | {"settings": settings}))
        return
    for name, rows in settings.items():
        print(f"== {name}")
        for row in rows:
            print("  ".join(f"{key} {_short(value)}" for key, value in row.items()))
    for key, value in result.items():
        print(f"{key:32} {_short(value)}")


def figures(settings: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Return what the claim is judged by, of the parts that were run."""
    found: dict[str, float] = {}
    if rows := settings.get("lost_sales"):
        gaps = [row["learned_gap_pct"] for row in rows]
        found["lost_sales_mean_gap_pct"] = float(np.mean(gaps))
        found["lost_sales_worst_gap_pct"] = float(np.max(gaps))
        found["lost_sales_below_capped"] = sum(row["learned_gap_pct"] < row["capped_gap_pct"] for row in rows)
    if rows := settings.get("dual_sourcing"):
        gaps = [row["learned_gap_pct"] for row in rows]
        found["dual_sourcing_mean_gap_pct"] = float(np.mean(gaps))
        found["dual_sourcing_worst_gap_pct"] = float(np.max(gaps))
    if rows := settings.get("serial"):
        found["serial_gap_pct"] = rows[0]["learned_gap_pct"]
    if rows := settings.get("one_warehouse"):
        found["one_warehouse_saving_pct"] = rows[0]["saving_pct"]
    found["longest_training_cpu_s"] = max(row["training_cpu_s"] for rows in settings.values() for row in rows)
    return found


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)
