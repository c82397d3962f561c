"""The event loops that a node can run on: those that watch sockets by their descriptor."""

from __future__ import annotations

import asyncio
import socket

from zmqchat.model.errors import UsageError


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise UsageError where this loop can't watch a socket, as the default one of Windows."""
    with socket.socket() as probe:
        try:
            loop.remove_reader(probe)
        except NotImplementedError:  # what asyncio's base of all loops raises for what a loop can't do
            raise UsageError(
                f"a node can't run on a {type(loop).__name__}, which watches no sockets: run the program with "
                "asyncio.SelectorEventLoop (before asyncio.run: "
                "asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())), or use "
                "zmqchat.sync.Node, which brings a loop of its own"
            ) from None
