"""All peers, and what they need that is not in the virtual environment."""

from __future__ import annotations

import os
import subprocess

from bench.peers import nchan, told
from bench.peers.nchan import Nchan
from bench.peers.peer import Peer
from bench.peers.told import NODE_FOLDER, WS_VERSION, Broadcast, Floor, NodeWs
from bench.peers.tutorial.peer import Tutorial
from tests.machine import ROOT

PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Tutorial, Broadcast, NodeWs, Nchan, Floor)}


def install() -> None:
    """Install what is missing, and say so."""
    install_packages()
    if told.ws_installed():
        return
    print(f"Installing ws {WS_VERSION} with npm into {NODE_FOLDER.relative_to(ROOT)} …", flush=True)
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "install", *quiet, "--prefix", NODE_FOLDER, f"ws@{WS_VERSION}"], check=True)


def install_packages() -> None:
    """Debian's packages, by `bin/apt`, which says what it installs."""
    for_nchan = [] if nchan.installed() else ["nginx", "libnginx-mod-nchan"]
    for_node = [] if told.node_installed() else ["nodejs", "npm"]
    if not for_nchan and not for_node:
        return
    subprocess.run([ROOT / "bin" / "apt", *for_nchan, *for_node], check=True)
    if for_nchan:
        stop_system_nginx()


def stop_system_nginx() -> None:
    """Debian starts the nginx it has just installed; nobody asked for a web server on port 80."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*as_root, "service", "nginx", "stop"], capture_output=True, check=False)


if __name__ == "__main__":
    install()
