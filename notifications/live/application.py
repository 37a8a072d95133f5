"""The ASGI application of one server process: gives every connection its hub, and begins and ends the hub."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from notifications.live.access import Receive, Scope, Send, refuse_handshake
from notifications.live.hub import Hub

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def end_process() -> None:
    """Stop this server in order: its pages come back, to another process or to the next one of the supervisor.

    By a signal, because that is what each server understands (Uvicorn, its supervisor, Daphne).
    """
    signal.raise_signal(signal.SIGTERM)


class LiveApplication:
    """Wraps ``app``; each scope finds the process's hub as `scope["hub"]`.

    The hub begins with the server's start-up where the server tells of it, else with the first connection (Daphne
    does not know `lifespan`).
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._hubs: dict[asyncio.AbstractEventLoop, Hub] = {}  # one, but for tests that bring their own loops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        hub = self._hub()
        if hub.draining and scope["type"] == "websocket":
            await refuse_handshake(scope, send, 503, "The server is restarting; come back in a moment.")
            return
        scope["hub"] = hub  # each connection has a scope of its own
        await self._app(scope, receive, send)

    def _hub(self) -> Hub:
        loop = asyncio.get_running_loop()
        if loop not in self._hubs:
            self._hubs[loop] = Hub(on_failure=end_process)
            self._hubs[loop].start()
        return self._hubs[loop]

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        hub = self._hub()
        if "state" in scope:  # our own server looks for it there
            scope["state"]["hub"] = hub
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await hub.stop()
        await send({"type": "lifespan.shutdown.complete"})
