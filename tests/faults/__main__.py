"""Does the guarantee hold under every fault? Prints one table; exits with 1 when anything went wrong.

python -m tests.faults                          every fault
python -m tests.faults redis-frozen deploy      these
python -m tests.faults --list
python -m tests.faults --break position-lock    with one protection removed: it has to fail
python -m tests.faults --check FOLDER           judge again what an earlier run has written down
python -m tests.faults soak --minutes 20 --readers 2000
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.faults import broken, scenes
from tests.faults.stage import judge_folder
from tests.faults.verdict import Verdict, summary
from tests.machine import ROOT

COLUMNS = tuple(summary(Verdict()))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add, breakable = parser.add_argument, ["all", *broken.PROTECTIONS]
    add("names", nargs="*", metavar="NAME", help="faults (default: all)")
    add("--list", action="store_true", help="name them, and say what they do")
    add("--seed", type=int, default=int(time.time()) % 10_000, help="of everything that is left to chance")
    add("--break", dest="broken", choices=breakable, metavar="NAME", help="all, or: " + ", ".join(broken.PROTECTIONS))
    add("--check", type=Path, metavar="FOLDER", help="judge an earlier run again")
    add("--folder", type=Path, default=ROOT / "var" / "faults", help="where runs are written down")
    add("--once", action="store_true", help="no second try for a fault in which only promises of time were broken")
    add("--minutes", type=float, default=20, help="of the soak")
    add("--readers", type=int, default=2000, help="of the soak")
    options = parser.parse_args()
    if options.list:
        for name, scene in scenes.ALL.items():
            print(f"{name:24} {(scene.__doc__ or '').splitlines()[0]}")
        return 0
    if options.check:
        return report({options.check.name: judge_folder(options.check)})
    unknown = set(options.names) - scenes.ALL.keys() - {"soak"}
    if unknown:
        parser.error(f"no fault called {', '.join(sorted(unknown))}; there are {', '.join(scenes.ALL)} and soak")
    if options.broken:
        return broken.run_without(options.broken, options.seed)
    verdicts = {}
    for name in options.names or scenes.ALL:
        verdicts[name] = run(name, options.seed, options)
        if verdicts[name].only_late and not options.once:
            print("  only times were not kept, perhaps because the machine was busy: once more", flush=True)
            verdicts[name] = run(name, options.seed + 1, options)
    return report(verdicts)


def run(name: str, seed: int, options: argparse.Namespace) -> Verdict:
    print(f"{name} (seed {seed}) …", flush=True)
    folder, began = options.folder / name, time.monotonic()
    try:
        if name == "soak":
            verdict = scenes.soak(folder, seed, minutes=options.minutes, readers=options.readers)
        else:
            verdict = scenes.ALL[name](folder, seed)
    except Exception:
        traceback.print_exc()
        verdict = Verdict(lost=["the run itself failed"])
    print(f"  {'passed' if verdict.passed else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    tell_faults(verdict)
    return verdict


def tell_faults(verdict: Verdict) -> None:
    for name, found in verdict.faults.items():
        for words in found[:5]:
            print(f"    {name}: {words}")
        if len(found) > 5:
            print(f"    {name}: and {len(found) - 5} more")
    for name, figure in verdict.figures.items():
        print(f"    {name}: {figure:.3g}")


def report(verdicts: dict[str, Verdict]) -> int:
    rows = {name: summary(verdict) for name, verdict in verdicts.items()}
    print("\n| fault |", " | ".join(COLUMNS), "|\n| --- |", " | ".join("---" for _ in COLUMNS), "|")
    for name, row in rows.items():
        print(f"| {name} |", " | ".join(str(row[column]) for column in COLUMNS), "|")
    failed = [name for name, verdict in verdicts.items() if not verdict.passed]
    print(f"\n{len(verdicts) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
