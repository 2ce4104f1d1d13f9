"""Features at the speed of a hand-written join, and of the store itself.

    python -m benchmarks.features [--json] [--rows 1000000] [--large 10000000] [--no-peer] [--part offline]

Each part is a module of its own that returns keys: `features_offline` (training sets), `features_online` (today's values).
Every side runs on the same snapshot, files or server, in CPU seconds with imports left out.
"""

import argparse
import importlib
import json
from typing import Any

PARTS = {
    "offline": lambda options: _module("offline").measure(options),
    "online": lambda options: _module("online").measure(options.million),
}
"""What each part's module, benchmarks.features_<part>, is asked for: a dict of figures."""


def _module(part: str) -> Any:
    return importlib.import_module(f"benchmarks.features_{part}")


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
    parser.add_argument("--million", action="store_true", help="online: a million entities too")
    parser.add_argument("--no-peer", action="store_true", help="without stock Feast (make bench-setup)")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for part in arguments.part or PARTS:
        figures |= PARTS[part](arguments)
    if arguments.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:34} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
