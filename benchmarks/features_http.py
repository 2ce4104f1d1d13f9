"""Features over HTTP beside Feast's own server: requests per CPU second of the server, and how long a caller waits.

    python -m benchmarks.features_http [--json] [--seconds 60]

`stocklake serve-features` (token, role, limits, audit, metrics) and Feast's `get_app` (nobody is asked who they are) each in a
process of its own, one uvicorn worker with httptools, over one Redis and the same values: 20 doubles, keyed by item and
location. 4 and 16 connections ask without a pause for 1 and 10 entities. CPU is that of the server's process; the caller
runs beside it on the same machine, so waits are those of a crowded machine.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.features_online import ENTITIES, KEYS, OURS, open_feast, table, write_ours
from tests.features.stores.online_kit import redis_server
from tests.nats import free_port

TOKEN = "benchmark-0123456789abcdef"


def serve(which: str, folder: Path, redis: str, port: int) -> None:
    """Be one of the servers; this is what the processes run."""
    import uvicorn

    if which == "stock":
        from feast.feature_server import get_app

        stock = {"type": "redis", "connection_string": redis.removeprefix("redis://").removesuffix("/0")}
        app = get_app(open_feast(folder, stock))
        uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="error", http="httptools")
        return
    from features.serving import definitions
    from features.serving.app import make_app
    from lake.company import CompanySettings, load_company
    from lake.sources.webhooks.serving import serve as serve_app

    company = load_company("example", home=folder / "home")
    company.prepare()
    serving = {
        "roles": {"reader": ["v1"]},
        "tokens": [{"name": "benchmark", "token": "${env:BENCHMARK_TOKEN}", "roles": ["reader"]}],
        "requests_per_second": 1_000_000,
    }
    written = company.settings.model_dump(exclude={"serving"}) | {"serving": serving}
    config = open_feast(folder, {"type": OURS["redis"], "connection_string": redis}).config
    settings = config.model_dump(include={"project", "provider", "entity_key_serialization_version"})
    settings |= {
        "registry": {"path": str(folder / "registry.db")},
        "online_store": {"type": OURS["redis"], "connection_string": redis},
    }
    definitions.store_settings = lambda _: settings  # the benchmark's registry in place of the company's
    serve_app(make_app(replace(company, settings=CompanySettings.model_validate(written))), "127.0.0.1", port)


async def ask(port: int, connections: int, entities: int, seconds: float) -> tuple[list[float], int]:
    """Return the seconds that each answer took, and how many were no good ones."""
    answers: list[float] = []
    errors = 0
    until = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        at = number
        while time.perf_counter() < until:
            rows = [(at + step * 7) % ENTITIES for step in range(entities)]
            at += 101
            keys = {
                KEYS[0]: [f"FOODS_3_{row:07d}" for row in rows],
                KEYS[1]: [f"CA_{row % 10}" for row in rows],
            }
            body = json.dumps({"feature_service": "v1", "entities": keys}).encode()
            head = (
                f"POST /get-online-features HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            start = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in answer.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            content = await reader.readexactly(length)
            answers.append(time.perf_counter() - start)
            errors += not answer.startswith(b"HTTP/1.1 200") or content.count(b"PRESENT") < 20
        writer.close()

    await asyncio.gather(*(caller(number) for number in range(connections)))
    return answers, errors


def wait_until_up(port: int, process: "subprocess.Popen[bytes]") -> None:
    import socket

    deadline = time.monotonic() + 120
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not come up")
        time.sleep(0.1)


def measure(seconds: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        folder = Path(name)
        write_ours(
            open_feast(folder, {"type": OURS["redis"], "connection_string": redis}),
            table(ENTITIES, datetime(2026, 3, 1)),
        )
        for which in ("ours", "stock"):
            port = free_port()
            command = [
                sys.executable,
                "-m",
                "benchmarks.features_http",
                "--serve",
                which,
                str(folder),
                redis,
                str(port),
            ]
            process = subprocess.Popen(command, env=os.environ | {"BENCHMARK_TOKEN": TOKEN})
            try:
                wait_until_up(port, process)
                figures |= measure_server(which, process.pid, port, seconds)
            finally:
                process.terminate()
                process.wait(timeout=30)
    return figures


def measure_server(which: str, pid: int, port: int, seconds: float) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    server = psutil.Process(pid)
    asyncio.run(ask(port, 1, 1, 0.5))
    for connections in (4, 16):
        for entities in (1, 10):
            before = sum(server.cpu_times()[:2])
            answers, errors = asyncio.run(ask(port, connections, entities, seconds))
            spent = sum(server.cpu_times()[:2]) - before
            label = f"{which}_{connections}_connections_{entities}_entities"
            figures[f"{label}_requests"] = len(answers)
            figures[f"{label}_per_cpu_s"] = round(len(answers) / spent)
            for share in (50, 99):
                figures[f"{label}_p{share}_ms"] = round(1000 * float(np.quantile(answers, share / 100)), 1)
            figures[f"{label}_errors"] = errors
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--serve", nargs=4, metavar=("WHICH", "FOLDER", "REDIS", "PORT"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.serve:
        which, folder, redis, port = arguments.serve
        serve(which, Path(folder), redis, int(port))
        return
    figures = measure(arguments.seconds)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{n:42} {v:,}" for n, v in figures.items()))


if __name__ == "__main__":
    main()
