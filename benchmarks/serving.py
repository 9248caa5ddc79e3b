"""Requests a second of our server and of servers that people use, for the same image and the same model.

    python -m benchmarks.serving [--seconds 5] [--rounds 3] [--only NAME ...] [--report FILE]

The servers run one after another on one core, the load generator wrk (Debian: apt-get install wrk) on another.
One image a request: 784 numbers as JSON; for ours also as a binary tensor, and by `create_app` in other servers.
Printed for 1 and 16 connections: the medians of several rounds with the versions, and each server's memory at rest,
time to the first answer and installed size. Requests per second of CPU time, at 16 connections, are comparable even
if other programs use the cores. Each peer runs with one worker, as its own documentation shows it.
"""

import argparse
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import at_least_1
from benchmarks.peer_environments import environment, versions
from benchmarks.servers import Contender, LoadRequest, check_answer, contenders, cpu_seconds, memory, running

CONNECTIONS = (1, 16)
REST = 1.0  # seconds before memory is read


@dataclass
class Round:
    """One run of a server; `loads` has requests a second, p50 and p99 in ms by connections."""

    loads: dict[int, tuple[float, float, float]]
    memory: float  # MiB at rest, all processes
    start: float  # s from the start to the first answer
    per_cpu_second: float  # requests, at 16 connections


@dataclass
class Result:
    """The medians of a server's rounds."""

    name: str
    loads: dict[int, tuple[float, float, float]]
    memory: float
    start: float
    per_cpu_second: float
    version: str
    installed: float  # MiB, by pip

    def rate(self) -> float:
        """Return requests a second at 16 connections."""
        return self.loads[16][0]


def load(port: int, request: LoadRequest, *, connections: int, seconds: float, core: int) -> tuple[float, float, float]:
    """Return requests a second, p50 and p99 in ms."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(request.script())
        script.flush()
        wrk = ["taskset", "--cpu-list", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency"]
        command = [*wrk, "-s", script.name, f"http://127.0.0.1:{port}{request.path}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    latency = dict(re.findall(r"(50|99)%\s+([\d.]+[mu]?s)", said))
    if rate is None:
        raise RuntimeError(said)
    return float(rate[1]), milliseconds(latency["50"]), milliseconds(latency["99"])


def milliseconds(text: str) -> float:
    """Return wrk's `0.95ms`, `950.00us` or `1.20s` in ms."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def installed_size(python: Path) -> float:
    """Return the MiB of an environment's packages, without pip and setuptools."""
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    files = [file for file in packages.rglob("*") if file.is_file() and not file.is_symlink()]
    excluded = re.compile(r"(pip|setuptools|_distutils_hack|pkg_resources)([-/]|$)")
    counted = [file for file in files if not excluded.match(str(file.relative_to(packages)))]
    return sum(file.stat().st_size for file in counted) / 2**20


def measure(contender: Contender, *, seconds: float) -> Round:
    """Run a server once and put it under load."""
    with running(contender, core=0) as (port, process, start):
        check_answer(port, contender.request)
        time.sleep(REST)
        at_rest = memory(process)
        load(port, contender.request, connections=16, seconds=1, core=1)  # to warm up
        loads = {}
        for connections in CONNECTIONS:
            before = cpu_seconds(process)
            loads[connections] = load(port, contender.request, connections=connections, seconds=seconds, core=1)
            used = cpu_seconds(process) - before
    return Round(loads, at_rest, start, loads[connections][0] * seconds / used)


def summarize(contender: Contender, rounds: list[Round]) -> Result:
    """Return the medians, the version and the installed size."""
    python = environment(contender.environment or "ours")
    package = contender.package or contender.environment or "onnxruntime"
    loads = {
        n: (
            statistics.median(each.loads[n][0] for each in rounds),
            statistics.median(each.loads[n][1] for each in rounds),
            statistics.median(each.loads[n][2] for each in rounds),
        )
        for n in CONNECTIONS
    }
    return Result(
        contender.name,
        loads,
        memory=statistics.median(each.memory for each in rounds),
        start=statistics.median(each.start for each in rounds),
        per_cpu_second=statistics.median(each.per_cpu_second for each in rounds),
        version=f"{package} {versions(python)[package]}",
        installed=installed_size(python),
    )


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        (
            "| server | 1 connection, requests/s | p50 ms | p99 ms | 16 connections, requests/s | p50 ms | p99 ms "
            "| requests per CPU second | memory MiB | start s | installed MiB | version |"
        ),
        "| --- " * 12 + "|",
    ]
    for r in results:
        figures = " | ".join("{:,.0f} | {:.2f} | {:.2f}".format(*r.loads[n]) for n in CONNECTIONS)
        sizes = f"{r.memory:.0f} | {r.start:.2f} | {r.installed:.0f}"
        lines.append(f"| {r.name} | {figures} | {r.per_cpu_second:,.0f} | {sizes} | {r.version} |")
    return "\n".join(lines)


def verdict(results: list[Result]) -> list[str]:
    """Return our ratios to the best peer and to the ceiling at 16 connections, and by CPU time in brackets."""
    ours = [result for result in results if result.name.startswith("ours")]
    ceilings = [result for result in results if result.name == "ceiling"]
    peers = [result for result in results if result not in ours and result not in ceilings]
    lines = []
    for result in ours:
        for peer in sorted(peers, key=Result.rate)[-1:]:
            p99, p50 = result.loads[16][2], peer.loads[16][1]
            ratio, by_cpu = result.rate() / peer.rate(), result.per_cpu_second / peer.per_cpu_second
            lines.append(f"{result.name}: {ratio:.1f} ({by_cpu:.1f}) times {peer.name}")
            lines.append(f"{result.name}: p99 {p99:.2f} ms, p50 of {peer.name} {p50:.2f} ms")
        for ceiling in ceilings:
            share, by_cpu = result.rate() / ceiling.rate(), result.per_cpu_second / ceiling.per_cpu_second
            lines.append(f"{result.name}: {share:.0%} ({by_cpu:.0%}) of the ceiling")
    return lines


def main() -> None:
    """Measure, print, and write the table if asked."""
    parser = argparse.ArgumentParser(description="Compare servers.")
    parser.add_argument("--seconds", type=float, default=5, help="of each run; default: %(default)s")
    parser.add_argument(
        "--rounds", type=at_least_1, default=3, help="of which medians are printed; default: %(default)s"
    )
    parser.add_argument("--only", nargs="*", help="servers whose names begin like this")
    parser.add_argument("--report", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} must be installed: apt-get install wrk util-linux")
    chosen = [c for c in contenders() if not arguments.only or c.name.startswith(tuple(arguments.only))]
    if not chosen:
        parser.error(f"--only: no server's name begins so; there are {'; '.join(c.name for c in contenders())}")
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in chosen}
    for number in range(arguments.rounds):  # all servers in each round, so that a slow minute affects them all
        for contender in chosen:
            rounds[contender.name].append(measure(contender, seconds=arguments.seconds))
            rate = rounds[contender.name][-1].loads[16][0]
            print(f"round {number + 1}, {contender.name}: {rate:,.0f} requests/s", flush=True)
    results = [summarize(contender, rounds[contender.name]) for contender in chosen]
    hardware = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    text = "\n".join([table(results), "", *verdict(results), "", f"{hardware}; medians of {arguments.rounds} rounds."])
    print(text)
    if arguments.report is not None:
        arguments.report.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
