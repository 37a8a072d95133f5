"""Sends to the group from a process beside the server, as a view or a worker would: python -m … CONTROL_PORT

The tutorial wraps each `group_send` in `async_to_sync`, which opens a connection to Redis for each; one loop that
keeps its connection is what a careful project has, and tells the server faster.
"""

from __future__ import annotations

import asyncio
import sys

from channels.layers import get_channel_layer

from bench.peers.servers.control import serve_control
from bench.peers.tutorial.consumers import GROUP


async def publish(texts: list[str]) -> None:
    layer = get_channel_layer()
    for text in texts:
        await layer.group_send(GROUP, {"type": "notice", "text": text})


asyncio.run(serve_control(int(sys.argv[1]), publish))
