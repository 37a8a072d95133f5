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

COLUMNS = (
    "readers",
    "notices",
    "frames",
    "replayed",
    "resets",
    "missing",
    "doubled",
    "disordered",
    "leaked",
    "rolled_back",
    "skipped",
    "lost",
    "behind",
    "broken_promises",
    "p50_ms",
    "p99_ms",
    "longest_s",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults (default: all)")
    parser.add_argument("--list", action="store_true", help="name them, with what must hold")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 10_000, help="of everything that is left to chance"
    )
    parser.add_argument(
        "--break", dest="broken", choices=sorted(broken.PROTECTIONS), help="remove this protection first"
    )
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="judge an earlier run")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "faults", help="where runs are written down")
    parser.add_argument("--minutes", type=float, default=20, help="of the soak")
    parser.add_argument("--readers", type=int, default=2000, help="of the soak")
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
        print(f"{name} (seed {options.seed}) …", flush=True)
        folder, began = options.folder / name, time.monotonic()
        if name == "soak":
            verdicts[name] = scenes.soak(folder, options.seed, minutes=options.minutes, readers=options.readers)
        else:
            try:
                verdicts[name] = scenes.ALL[name](folder, options.seed)
            except Exception:
                traceback.print_exc()
                verdicts[name] = Verdict(broken_promises=["the run itself failed"])
        print(f"  {'passed' if verdicts[name].passed else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
        tell_faults(verdicts[name])
    return report(verdicts)


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
