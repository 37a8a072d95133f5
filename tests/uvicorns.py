"""A real Uvicorn with our protocols in this process, for whatever ASGI application a test brings."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import uvicorn

from tests.faults.attacks import Target
from tests.servers import free_port


@asynccontextmanager
async def serving(app, **settings):
    """Serve ``app``; gives its address."""
    ours = "notifications.live.http:PromptHttpProtocol"
    config = uvicorn.Config(app, port=free_port(), lifespan="off", log_level="error", http=ours, **settings)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield Target(config.port, "")
    finally:
        server.should_exit = True
        await running


async def echo(scope, receive, send):
    """Sends back what a socket says."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(event | {"type": "websocket.send"})


async def rest_of(reader, seconds=5):
    """Everything until the server closes; fails when it does not."""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            return await reader.read()
