"""Nchan, a push server written in C: how fast a server made for nothing else is."""

from __future__ import annotations

import os
import pwd
import re
import resource
import socket
import subprocess
from pathlib import Path
from typing import Any, BinaryIO, Self

from bench.peers.peer import PUBLISH_SECONDS, Peer, find_program

PIPELINE = 200  # requests written before their answers are read; the answers must fit into the socket's buffers

# "newest": a client begins with what is published after it came, as ours do, not with what is still stored.
CONFIGURATION = """
daemon off;
user {user};
pid nginx.pid;
error_log stderr warn;
load_module {modules}/ngx_nchan_module.so;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /sub {{
            nchan_subscriber websocket;
            nchan_channel_id notices;
            nchan_subscriber_first_message newest;
            nchan_websocket_ping_interval 0;
        }}
        location = /pub {{
            nchan_publisher;
            nchan_channel_id notices;
            nchan_message_buffer_length 500;  # a client that is slower than a burst of 200 loses nothing
            nchan_message_timeout 1h;
        }}
    }}
}}
"""


class Nchan(Peer):
    name = "nchan"
    path = "/sub"

    @property
    def title(self) -> str:
        nginx = re.search(r"nginx/([\d.]+)", nginx_about())
        return f"Nchan {nchan_version()} in nginx {nginx[1] if nginx else '?'}"

    def server(self) -> list[Any]:
        # The kernel kills nginx's master with the bench, but not its worker; asked to end, it ends its worker.
        ask = ["setpriv", "--pdeathsig", "TERM"]
        return [*ask, find_program("nginx"), "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", "stderr"]

    def start(self, seconds: float = 20) -> Self:
        (self.folder / "nginx.conf").write_text(self.configuration())
        super().start(seconds)
        self.publisher = socket.create_connection(("127.0.0.1", self.port), timeout=PUBLISH_SECONDS)
        self.publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.responses = self.publisher.makefile("rb")
        return self

    def stop(self, seconds: float = 20) -> int | None:
        if self.running:
            self.responses.close()
            self.publisher.close()
        return super().stop(seconds)

    def configuration(self) -> str:
        return CONFIGURATION.format(
            user=pwd.getpwuid(os.geteuid()).pw_name,  # started by root, it would take one who cannot read our folder
            modules=modules_folder(),
            files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            port=self.port,
        )

    def pids(self) -> list[int]:
        """The master, which only waits, and the worker."""
        return [child for master in super().pids() for child in (master, *children(master))]

    def publish(self, texts: list[str]) -> None:
        for first in range(0, len(texts), PIPELINE):
            batch = texts[first : first + PIPELINE]
            self.publisher.sendall(b"".join(post(text) for text in batch))
            for _ in batch:
                status = read_response(self.responses)
                assert status in (201, 202), f"Nchan answered {status}"  # stored, with or without subscribers


def post(text: str) -> bytes:
    body = text.encode()
    head = f"POST /pub HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def read_response(stream: BinaryIO) -> int:
    """Read one response, with its body. Returns its status."""
    status, length = int(stream.readline().split()[1]), 0
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    stream.read(length)
    return status


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def nginx_about() -> str:
    """nginx's version and how it was built."""
    program = find_program("nginx")
    return subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr if program else ""


def modules_folder() -> Path | None:
    found = re.search(r"--modules-path=(\S+)", nginx_about())
    return Path(found[1]) if found else None


def nchan_version() -> str:
    """The package's; the module itself does not tell. Debian's "1:1.3.6+dfsg-2" is Nchan 1.3.6."""
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True, check=True
    )
    found = re.search(r"(?:\d+:)?([\d.]+)", asked.stdout)
    return found[1] if found else asked.stdout


def installed() -> bool:
    folder = modules_folder()
    return folder is not None and (folder / "ngx_nchan_module.so").exists()
