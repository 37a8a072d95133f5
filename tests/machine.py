"""What the tests need from the machine beside Python: a browser and PostgreSQL's programs.

`python -m tests.machine` installs what is missing; `python -m tests.machine faults` also what the faults need.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Without a window and pages of its own: a page costs a third of what it costs in the whole browser (0.5 s of CPU
# instead of 1.7). It shows no desktop alerts.
HEADLESS_BROWSERS = ("chromium-headless-shell",)
WHOLE_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser(*, whole: bool = False) -> str | None:
    """A browser that starts: one on the PATH, else the one that Playwright has downloaded."""
    from playwright.sync_api import sync_playwright

    names = WHOLE_BROWSERS if whole else HEADLESS_BROWSERS + WHOLE_BROWSERS
    on_the_path = next((path for path in map(shutil.which, names) if path and starts(path)), None)
    if on_the_path:
        return on_the_path
    with sync_playwright() as playwright:
        downloaded = playwright.chromium.executable_path
    return downloaded if starts(downloaded) else None


def starts(path: str) -> bool:
    """Ubuntu's `chromium-browser` may be a note that says "install the snap"; a library may be missing."""
    if not os.path.exists(path):
        return False
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def find_postgresql() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps them off the PATH, one folder for each version."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True
    )
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def find_faketime() -> Path | None:
    """The library that gives a process a clock of its own."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def install_browser() -> None:
    """Playwright's own browser, where its download works; else Debian's."""
    print("Installing a browser for the tests (a minute or two) …", flush=True)
    libraries = ["--with-deps"] if os.geteuid() == 0 else []
    download = [sys.executable, "-m", "playwright", "install", "chromium", *libraries]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(download, capture_output=True, timeout=300, check=False)
    if find_browser(whole=True) is None:
        subprocess.run([ROOT / "bin/apt", "chromium"], check=True)
        # Debian has it from 12 on. Where it is missing, the whole browser does all the tests, and takes longer.
        subprocess.run([ROOT / "bin/apt", "chromium-headless-shell"], check=False)


def playwright_runs() -> bool:
    return (
        subprocess.run([sys.executable, "-m", "playwright", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def main() -> None:
    if not playwright_runs():
        # The one library that its Node.js needs and that a small Debian does not have.
        subprocess.run([ROOT / "bin/apt", "libatomic1"], check=True)
    if find_browser(whole=True) is None:
        install_browser()
    if find_postgresql() is None:
        subprocess.run([ROOT / "bin/apt", "postgresql"], check=True)
    if "faults" in sys.argv and find_faketime() is None:
        subprocess.run([ROOT / "bin/apt", "libfaketime"], check=True)
    if find_browser(whole=True) is None or find_postgresql() is None:
        sys.exit(f"The tests need one of {', '.join(WHOLE_BROWSERS)}, and PostgreSQL's initdb.")


if __name__ == "__main__":
    main()
