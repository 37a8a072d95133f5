"""How a server is told what to broadcast: a line with a JSON list of texts, answered "ok" once it has taken them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

LONGEST_LINE = 2**26  # bytes

Publish = Callable[[list[str]], Awaitable[None]]


async def serve_control(port: int, publish: Publish) -> None:
    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await publish(json.loads(line))
            writer.write(b"ok\n")
        writer.close()

    server = await asyncio.start_server(obey, "127.0.0.1", port, limit=LONGEST_LINE)
    await server.serve_forever()
