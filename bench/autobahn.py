"""Does our server keep to RFC 6455 as well as stock Uvicorn? `python -m bench.autobahn` asks the Autobahn test suite.

The suite's client sends its cases to an echo on both: right and wrong frames, and now and then a wrong byte in the
middle of a character. Exit code 1 when ours does worse in any of them. Its report is in var/autobahn/report.
The suite runs on Python 2.7 only, and needs a C compiler to be installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.machine import ROOT, starts
from tests.servers import NoticeServer, Server, free_port

SUITE = "autobahntestsuite==25.10.1"
VIRTUALENV = "virtualenv==20.21.1"  # the last that can make an environment for Python 2.7
CASES = 301  # of that suite, without those below
LEFT_OUT = ["12.*", "13.*"]  # compression, which both servers have switched off
MAX_BYTES = 16 * 1024 * 1024  # the largest message of the suite
SUITE_SECONDS = 600  # it takes 40

FOLDER = ROOT / "var" / "autobahn"
WSTEST = FOLDER / "venv" / "bin" / "wstest"
REPORT = FOLDER / "report"

STOCK, OURS = "stock uvicorn", "ours"
# A right message and then a wrong frame, byte by byte. How many bytes come at once decides whether the echo is out
# before the connection fails. The suite allows both; of 240 tries at stock Uvicorn, 5 to 7 were NON-STRICT.
BYTE_BY_BYTE = {"3.4", "4.1.5", "4.2.5"}

# How good an outcome is, of a case or of its closing handshake.
GRADES = {
    "OK": 5,
    "NON-STRICT": 4,
    "INFORMATIONAL": 3,
    "UNIMPLEMENTED": 3,
    "FAILED BY CLIENT": 2,  # the server left the end of the TCP connection to the client
    "WRONG CODE": 1,
    "UNCLEAN": 1,
    "FAILED": 0,
}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The stock server's application: accept, then send back what comes."""
    while True:
        event = await receive()
        match event["type"]:
            case "websocket.connect":
                await send({"type": "websocket.accept"})
            case "websocket.receive":
                await send(event | {"type": "websocket.send"})
            case "websocket.disconnect":
                return


class StockServer(Server):
    """Uvicorn as it is installed, with what our server shares with it: uvloop, the frame parser, no compression."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.ws_url = f"ws://127.0.0.1:{self.port}"

    def command(self) -> list[Any]:
        where = ["--port", str(self.port), "--lifespan", "off", "--loop", "uvloop"]
        sockets = ["--ws", "websockets-sansio", "--ws-max-size", str(MAX_BYTES), "--ws-per-message-deflate", "false"]
        return [sys.executable, "-m", "uvicorn", "bench.autobahn:echo", *where, *sockets]

    def answers(self) -> bool:
        return "Uvicorn running on" in self.log


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case at one server."""

    behavior: str
    closing: str
    close_code: int | None  # the one that the server sent

    @classmethod
    def of(cls, found: dict[str, Any]) -> Outcome:
        return cls(found["behavior"], found["behaviorClose"], found["remoteCloseCode"])

    @property
    def grades(self) -> tuple[int, int]:
        return GRADES[self.behavior], GRADES[self.closing]

    @property
    def label(self) -> str:
        """The poorer one of its two verdicts."""
        return min(self.behavior, self.closing, key=GRADES.__getitem__)

    def __str__(self) -> str:
        return f"{self.behavior}, closing {self.closing} ({self.close_code or 'no code'})"


Outcomes = dict[str, Outcome]  # by the case's number, such as "6.4.1"


def verdict(case: str, stock: Outcome, ours: Outcome) -> str:
    """In what way ours differs; "same" when it does not."""
    if ours == stock:
        return "same"
    if case in BYTE_BY_BYTE and {ours.label, stock.label} == {"OK", "NON-STRICT"}:
        return "by chance"
    if any(mine < theirs for mine, theirs in zip(ours.grades, stock.grades, strict=True)):
        return "worse"
    return "better" if ours.grades != stock.grades else "another close code"


def python2() -> Path:
    """A Python 2.7: the PATH's, else pyenv's, whose `python2.7` on the PATH starts only where it is chosen."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_the_path = shutil.which("python2.7")
    found = [Path(on_the_path)] if on_the_path else []
    found += sorted(pyenv.glob("versions/2.7.*/bin/python2.7"))
    for python in found:
        if starts(str(python)):
            return python
    sys.exit("The Autobahn test suite needs a Python 2.7, on the PATH or as one of pyenv's versions.")


def run(*command: str | Path, log: Path, seconds: float, **environment: str) -> None:
    """Run a command whose output is of interest only when it fails."""
    with log.open("ab") as output:
        ended = subprocess.run(  # only commands of this file
            command,
            cwd=FOLDER,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    if ended.returncode:
        sys.exit(f"{command[0]} ended with {ended.returncode}; the end of {log}:\n{log.read_text()[-3000:]}")


def install() -> None:
    """The suite, in an environment of its own; half a minute, once."""
    if WSTEST.exists():  # pip writes it last
        return
    python, log, venv = python2(), FOLDER / "install.log", WSTEST.parent.parent
    print(f"autobahn: installing {SUITE} for {python} (half a minute) …", flush=True)
    with tempfile.TemporaryDirectory() as tools:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        run(*pip, "install", "--target", tools, VIRTUALENV, log=log, seconds=300)
        make = [sys.executable, "-m", "virtualenv", "--app-data", f"{tools}/data", "--clear", "--python", str(python)]
        run(*make, venv, log=log, seconds=60, PYTHONPATH=tools)
    run(venv / "bin" / "python", "-m", "pip", "install", SUITE, log=log, seconds=600)


def run_suite(servers: dict[str, str]) -> dict[str, Outcomes]:
    """Every case at each of the servers, name → address. Returns name → outcomes."""
    shutil.rmtree(REPORT, ignore_errors=True)
    spec, log = FOLDER / "fuzzingclient.json", FOLDER / "wstest.log"
    log.unlink(missing_ok=True)
    asked = {
        "outdir": str(REPORT),
        "servers": [{"agent": name, "url": url} for name, url in servers.items()],
        "cases": ["*"],
        "exclude-cases": LEFT_OUT,
        "exclude-agent-cases": {},
    }
    spec.write_text(json.dumps(asked))
    run(WSTEST, "-m", "fuzzingclient", "-s", spec, log=log, seconds=SUITE_SECONDS)
    found = json.loads((REPORT / "index.json").read_text())
    return {name: outcomes(name, found.get(name, {})) for name in servers}


def outcomes(server: str, found: dict[str, Any]) -> Outcomes:
    if len(found) != CASES:  # one that does not answer is left out without a word
        sys.exit(f"autobahn: {server} was asked {len(found)} of {CASES} cases; see {FOLDER / 'wstest.log'}")
    return {case: Outcome.of(each) for case, each in found.items()}


def ask_both() -> dict[str, Outcomes]:
    with tempfile.TemporaryDirectory() as folder:
        stock = StockServer(Path(folder))
        ours = NoticeServer(Path(folder), WS_RATE_LIMIT=0, WS_MAX_BYTES=MAX_BYTES, WS_ANONYMOUS_MAX_BYTES=0)
        try:
            stock.start()
            ours.start()
            return run_suite({STOCK: f"{stock.ws_url}/", OURS: f"{ours.ws_url}/ws/echo/?verbatim=1"})
        finally:
            ours.stop()
            stock.stop()


def differences(stock: Outcomes, ours: Outcomes) -> Iterator[tuple[str, str]]:
    """The cases in which the two differ, and how."""
    for case in sorted(stock, key=lambda case: [int(part) for part in case.split(".")]):
        how = verdict(case, stock[case], ours[case])
        if how != "same":
            yield case, how


def counted(found: Outcomes) -> str:
    """Such as "286 ok, 11 non-strict"."""
    labels = Counter(outcome.label for outcome in found.values())
    return ", ".join(f"{labels[label]} {label.lower()}" for label in GRADES if labels[label])


def main() -> int:
    for folder in (FOLDER.parent, FOLDER):
        folder.mkdir(mode=0o700, exist_ok=True)  # var/ is for its owner only
    install()
    began = time.monotonic()
    both = ask_both()
    stock, ours = both[STOCK], both[OURS]
    differing = dict(differences(stock, ours))
    for case, how in differing.items():
        print(f"{case} {how}: {STOCK} {stock[case]}; ours {ours[case]}")
    hows = Counter(differing.values())
    results = f"{STOCK}: {counted(stock)}; ours: {counted(ours)}"
    print(f"autobahn: {CASES} cases in {time.monotonic() - began:.0f} s; {results}; worse: {hows['worse']}")
    return 1 if hows["worse"] else 0


if __name__ == "__main__":
    sys.exit(main())
