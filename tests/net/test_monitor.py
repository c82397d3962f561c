"""What libzmq tells of connections reaches us with the event and its value."""

from __future__ import annotations

import asyncio
import os

import zmq

from zmqchat.net.monitor import LISTENER_EVENTS, Monitor


async def test_accepted_and_disconnected_carry_the_descriptor() -> None:
    """Both events of one connection name one open descriptor; after the close nothing is told."""
    loop = asyncio.get_running_loop()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = context.socket(zmq.ROUTER)
    heard: list[tuple[int, int]] = []
    more = asyncio.Event()

    def told(event: int, value: int) -> None:
        heard.append((event, value))
        more.set()

    monitor = Monitor(context, loop, listener, LISTENER_EVENTS, told)
    port = listener.bind_to_random_port("tcp://127.0.0.1")
    client = context.socket(zmq.DEALER)
    client.connect(f"tcp://127.0.0.1:{port}")
    await asyncio.wait_for(more.wait(), 5)
    event, file = heard[0]
    assert event == zmq.EVENT_ACCEPTED
    assert os.fstat(file)
    more.clear()
    client.close(0)
    await asyncio.wait_for(more.wait(), 5)
    assert heard[1] == (zmq.EVENT_DISCONNECTED, file)
    monitor.close()
    monitor.close()
    monitor.drain()
    assert len(heard) == 2
    listener.close(0)
    context.destroy(0)
