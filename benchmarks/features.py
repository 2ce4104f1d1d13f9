"""Features at the speed of a hand-written join, and of the store itself: all that is claimed of them, in one run.

    python -m benchmarks.features [--json] [--part offline] [--no-peer] [--rows 1000000] [--large 10000000]
                                  [--no-million] [--http-seconds 60] [--fresh-seconds 120]

Each part is a module of its own that returns keys: `features_offline` (training sets), `features_online` (today's values, written
and read), `features_http` (the server), `features_fresh` (from an event to a read). Every side runs on the same snapshot,
files or server, in CPU seconds with imports left out. All of it takes about 16 minutes on two cores, half of them the eight
loads of a minute over HTTP; what is being measured is told on stderr.
"""

import argparse
import importlib
import json
import sys
import time
from typing import Any

PARTS = {
    "offline": lambda options: _measure("offline", options),
    "online": lambda options: _measure("online", options.million),
    "http": lambda options: _named("http", _measure("http", options.http_seconds)),
    "fresh": lambda options: _named("fresh", _measure("fresh", options.fresh_seconds, options.fresh_rate)),
}
"""What each part's module, benchmarks.features_<part>, is asked for: a dict of figures."""


def _measure(part: str, *arguments: Any) -> dict[str, Any]:
    figures: dict[str, Any] = importlib.import_module(f"benchmarks.features_{part}").measure(*arguments)
    return figures


def _named(part: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Say in each key which part it is of."""
    return {f"{part}_{name.removeprefix(part + '_')}": value for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--part", choices=list(PARTS), action="append", help="only this part; may be repeated"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="entity rows beside the join by hand")
    parser.add_argument("--large", type=int, default=10_000_000, help="entity rows of the large set; 0: none")
    parser.add_argument(
        "--no-peer", action="store_true", help="offline: without stock Feast (make bench-setup)"
    )
    parser.add_argument(
        "--million",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="online: write a million entities too",
    )
    parser.add_argument("--http-seconds", type=float, default=60, help="of each of the eight loads")
    parser.add_argument("--fresh-seconds", type=float, default=120, help="of events")
    parser.add_argument("--fresh-rate", type=float, default=1_000, help="events a second")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for part in arguments.part or PARTS:
        start = time.perf_counter()
        print(f"{part} ...", end=" ", file=sys.stderr, flush=True)
        figures |= PARTS[part](arguments)
        print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:44} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
