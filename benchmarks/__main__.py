"""Runs every scenario with every client, interleaved, and prints ratios to dpf_async. `make bench`.

The load generator has one core and the client another; one client runs at a time, every run is a fresh process, and
each round has another order. Absolute figures differ between machines; compare the ratios, which come from one run.
A run that did not do its work (for example: fewer waits woken than were due) ends the benchmark with status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

BASE = "dpf_async"

BURST = {
    "dpf_async": 50_000,
    "kubernetes_asyncio": 10_000,
    "kubernetes_asyncio (partial)": 20_000,
    "lightkube": 20_000,
    "lightkube (manually written types)": 20_000,
    "kr8s": 2_000,
}
PACED = {"dpf_async": 2_500, "kubernetes_asyncio": 2_500, "lightkube": 2_500, "kr8s": 1_000}
LISTS = [
    "dpf_async",
    "dpf_async (full models)",
    "kubernetes_asyncio",
    "lightkube",
    "lightkube (manually written types)",
    "kr8s",
]
IMPORTS = {
    "dpf_async": "import dpf_async",
    "dpf_async, connected": "import dpf_async, kubernetes_asyncio.client",
    "kubernetes_asyncio": "from kubernetes_asyncio import client, config, watch",
    "lightkube": "import lightkube, lightkube.generic_resource",
    "kr8s": "import kr8s.asyncio, kr8s.asyncio.objects",
}
_IMPORT = "import time; t = time.process_time(); {}; print(time.process_time() - t)"

Rows = dict[tuple[str, str], list[dict[str, float]]]


def pinned(core: int, *arguments: str) -> list[str]:
    """A command line for this Python interpreter, pinned to one core if the machine has more than one."""
    pin = (
        ["taskset", "-c", str(core)]
        if (os.cpu_count() or 1) > 1 and Path("/usr/bin/taskset").exists()
        else []
    )
    return [*pin, sys.executable, *arguments]


def run(*arguments: str) -> dict[str, float]:
    """Run one client process; its last line of output is its result."""
    done = subprocess.run(pinned(1, *arguments), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 0:
        with suppress(IndexError, ValueError):
            found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
            return found
    sys.exit(f"python {' '.join(arguments)} failed with status {done.returncode}:\n{done.stderr[-2000:]}")


def measure(host: str, rounds: int, scenarios: set[str]) -> Rows:
    """Run all scenarios with all clients, in another order each round."""
    jobs: list[tuple[str, str, int]] = []
    if "burst" in scenarios:
        jobs += [("burst", client, count) for client, count in BURST.items()]
    if "paced" in scenarios:
        jobs += [("paced", client, count) for client, count in PACED.items()]
    if "list" in scenarios:
        jobs += [("list", client, 0) for client in LISTS]
    rows: Rows = defaultdict(list)
    for turn in range(rounds):
        random.Random(turn).shuffle(jobs)
        for position, (scenario, client, count) in enumerate(jobs, 1):
            print(
                f"round {turn + 1}/{rounds}  {position:2}/{len(jobs)}  {scenario} {client}", file=sys.stderr
            )
            rows[scenario, client].append(run("-m", "benchmarks.clients", client, scenario, host, str(count)))
        if "decode" in scenarios:
            for client, cost in run("-m", "benchmarks.decode").items():
                rows["decode", client].append({"cpu_us": cost})
        if "import" in scenarios:
            for client, statement in IMPORTS.items():
                rows["import", client].append({"ms": run("-c", _IMPORT.format(statement)) * 1e3})  # type: ignore[operator]
    return rows


TABLES = {
    "decode": (
        "Decoding one event of 5.7 kB into an object with name, phase and conditions",
        {"cpu_us": "CPU µs"},
    ),
    "burst": (
        "Watch: a burst of 5.7 kB events, from the socket to woken waits (1,000 are pending, 1 event in 14 wakes one)",
        {"events_per_s": "events/s", "cpu_us": "CPU µs/event", "woken": "waits woken"},
    ),
    "paced": (
        "Latency at 500 events/s, from the sender to the reader",
        {"p50_us": "p50 µs", "p99_us": "p99 µs"},
    ),
    "list": (
        "List of 10,000 DPUs of 5.7 kB",
        {"wall_s": "wall s", "cpu_s": "CPU s", "bytes_per_object": "bytes/object"},
    ),
    "import": ("Import", {"ms": "CPU ms"}),
}


def report(rows: Rows) -> str:
    """Medians of all rounds; in brackets the ratio to dpf_async in the same round: median, lowest to highest."""
    lines: list[str] = []
    for scenario, (title, columns) in TABLES.items():
        clients = dict.fromkeys(client for kind, client in rows if kind == scenario)
        if not clients:
            continue
        lines += [f"### {title}", "", f"| client | {' | '.join(columns.values())} |"]
        lines.append("| --- |" + " ---: |" * len(columns))
        first = next(iter(columns))
        better_first = sorted(
            clients,
            key=lambda client: _median(rows[scenario, client], first),
            reverse=first == "events_per_s",
        )
        for client in better_first:
            cells = [_cell(rows, scenario, client, column) for column in columns]
            lines.append(f"| {client} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(rows: Rows, scenario: str, client: str, column: str) -> str:
    value = _median(rows[scenario, client], column)
    digits = 0 if value >= 100 else 2 if value < 10 else 1
    shown = f"{value:,.{digits}f}"
    if client == BASE or column == "woken":
        return shown
    pairs = zip(rows[scenario, client], rows[scenario, BASE], strict=True)
    ratios = [found[column] / base[column] for found, base in pairs]
    return f"{shown} ({statistics.median(ratios):.2f}×, {min(ratios):.2f}–{max(ratios):.2f})"


def _median(runs: list[dict[str, float]], column: str) -> float:
    return statistics.median(found[column] for found in runs)


def main() -> None:
    """Start the load generator, measure, report, and write the raw numbers to benchmarks/results/latest.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of every scenario; medians are reported")
    parser.add_argument("--only", action="append", choices=list(TABLES), help="a scenario; may be repeated")
    options = parser.parse_args()
    scenarios = set(options.only or TABLES)
    load = subprocess.Popen(pinned(0, "-m", "benchmarks.load", "10000"), stdout=subprocess.PIPE, text=True)
    try:
        assert load.stdout is not None
        port = load.stdout.readline().strip()
        rows = measure(f"http://127.0.0.1:{port}", options.rounds, scenarios)
    finally:
        load.terminate()
        load.wait()
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {options.rounds} rounds. In brackets: "
        f"times the value of {BASE} in the same round, median and range.\n"
    )
    print(report(rows))
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.json").write_text(
        json.dumps([{"scenario": s, "client": c, **found} for (s, c), runs in rows.items() for found in runs])
    )


if __name__ == "__main__":
    main()
