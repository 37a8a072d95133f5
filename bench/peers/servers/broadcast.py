"""`websockets.broadcast()`, as the library's documentation recommends it: python -m … PORT CONTROL_PORT"""

from __future__ import annotations

import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers.servers.control import serve_control

clients: set[ServerConnection] = set()


async def handle(client: ServerConnection) -> None:
    if client.request and client.request.path == "/echo/":
        await echo(client)
        return
    clients.add(client)
    try:
        await client.wait_closed()
    finally:
        clients.remove(client)


async def echo(client: ServerConnection) -> None:
    async for message in client:
        await client.send(message)


async def publish(texts: list[str]) -> None:
    for text in texts:
        broadcast(clients, text)


async def main(port: int, control_port: int) -> None:
    # 4,096: more clients come at once than the usual 100 places in the queue hold.
    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        await serve_control(control_port, publish)


uvloop.run(main(*map(int, sys.argv[1:])))
