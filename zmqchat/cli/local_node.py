"""A node in this process for a command that found none: it runs on a thread of its own.

So a command is a control client in every case, and other commands that come meanwhile use this node too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from zmqchat import __version__
from zmqchat.cli.logfile import HomeLog, log_events
from zmqchat.cli.options import StartOptions
from zmqchat.model.errors import NodeClosed
from zmqchat.model.ids import peer_short

if TYPE_CHECKING:
    from zmqchat.node.node import Node

STOP_TIMEOUT_S = 3.0


def new_node(options: StartOptions) -> Node:
    """A node as the options want it. Raises UsageError."""
    from zmqchat.node.node import Node

    return Node(
        options.name,
        home=options.home,
        mesh=options.mesh,
        listen=options.listen,
        peers=options.peers,
        discovery=False if options.no_discovery else None,
        interfaces=options.interfaces,
    )


class LocalNode:
    """A node on a thread; commands reach it by its control socket."""

    def __init__(self, options: StartOptions, make: Callable[[StartOptions], Node] = new_node) -> None:
        self._options = options
        self._make = make
        self._thread = threading.Thread(target=self._run, name="zmqchat node", daemon=True)
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._node: Node | None = None

    def start(self) -> None:
        """Start the node; raises what its start raises."""
        self._thread.start()
        self._ready.result()

    def clients(self) -> int:
        """How many commands use it now, this one's connections among them."""
        return self._node.control_clients if self._node is not None else 0

    def stop(self) -> None:
        """Stop the node and wait until it is gone, a bounded time."""
        if self._loop is not None and self._leave is not None:
            try:
                self._loop.call_soon_threadsafe(self._leave.set)
            except RuntimeError:
                return  # the loop has ended
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        # The selector loop everywhere: the sockets need add_reader, which Windows' other loop lacks.
        loop = asyncio.SelectorEventLoop()
        try:
            loop.run_until_complete(self._serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            if not self._ready.done():
                self._ready.set_exception(NodeClosed("the node has not started"))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        try:
            node = self._make(self._options)
            await node.start()
        except Exception as error:  # noqa: BLE001  # it is raised again where the command waits for the start
            self._ready.set_exception(error)
            return
        self._node = node
        log = HomeLog(self._options.home)
        log.open(f"started: zmqchat {__version__}, {peer_short(node.id)}, {node.address}, process {os.getpid()}")
        for notice in node.notices:
            log.say(notice)
        logging_events = asyncio.create_task(log_events(node.events()), name="zmqchat log")
        self._ready.set_result(None)
        try:
            await self._leave.wait()
        finally:
            logging_events.cancel()
            await node.stop()
            log.close("stopped")
