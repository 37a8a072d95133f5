"""docs/benchmarks.md, from what was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from bench.peers.every import PEERS
from bench.results import OURS, Result, number

PACKAGES = [
    "django",
    "channels",
    "channels-redis",
    "uvicorn",
    "uvloop",
    "websockets",
    "redis",
    "hiredis",
    "msgspec",
    "daphne",
]
HEAD = "| who | median | lowest – highest | ours is |\n| --- | ---: | ---: | ---: |"


def tables(results: Iterable[Result]) -> str:
    """One table a result: who, the median, the spread, and how it compares with us."""
    return "\n".join(_table(result) for result in results)


def _table(result: Result) -> str:
    rows = [_row(result, who) for who in result.figures]
    note = [result.note, ""] if result.note else []
    return "\n".join([f"**{result.title}** [{result.unit}]", "", HEAD, *rows, "", *note])


def _row(result: Result, who: str) -> str:
    figures, median = result.figures[who], result.median(who)
    spread = f"{number(min(figures))} – {number(max(figures))}" if len(figures) > 1 else ""
    comparable = OURS in result.figures and who != OURS and median
    ratio = f"{result.median() / median:.2f} ×" if comparable else ""
    return f"| {who} | {number(median)} | {spread} | {ratio} |"


def verdicts(results: Iterable[Result]) -> str:
    """Every target, and whether it was met."""
    lines = ["| measurement | target | found | met |", "| --- | --- | ---: | --- |"]
    for result in results:
        for target in result.targets:
            met = "yes" if target.met else "**no**"
            lines.append(f"| {result.title} | {target.words} | {target.found} | {met} |")
    return "\n".join(lines)


def machine() -> str:
    cpu = _first_line("/proc/cpuinfo", "model name").partition(":")[2].strip()
    memory = int(_first_line("/proc/meminfo", "MemTotal").split()[1]) // 1024**2
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    postgres = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=False).stdout.split()
    return (
        f"- {os.cpu_count()} cores of {cpu}, {memory} GiB, Linux {platform.release()}\n"
        f"- Python {platform.python_version()}, {packages}\n"
        f"- SQLite {sqlite3.sqlite_version}, PostgreSQL {postgres[2] if len(postgres) > 2 else '?'}\n"
    )


def _first_line(path: str, begin: str) -> str:
    return next((line for line in Path(path).read_text().splitlines() if line.startswith(begin)), f"{begin}: 0")


def peers() -> str:
    folder = Path("/nowhere")
    return "\n".join(f"- **{name}**: {peer.title}" for name, peer in ((n, p(folder)) for n, p in PEERS.items()))


def write(sections: dict[str, list[Result]], seconds: float, prose: Path, goal: Path) -> None:
    """The prose is written by hand, in bench/report.md; `{{name}}` in it stands for what was measured."""
    text = prose.read_text()
    values = {name: tables(results) for name, results in sections.items()}
    every = [result for results in sections.values() for result in results]
    values |= {"machine": machine(), "peers": peers(), "verdicts": verdicts(every), "minutes": f"{seconds / 60:.0f}"}
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    goal.write_text(text.rstrip() + "\n")
