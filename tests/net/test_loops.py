"""Event loops: one that can't watch sockets is refused, with a word on what to do; the blocking node has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import FAST, MESH
from zmqchat import Node, UsageError
from zmqchat import sync as blocking


class Proactor(asyncio.SelectorEventLoop):
    """Like the default loop of Windows: it can't watch descriptors."""

    def add_reader(self, *_arguments: object) -> None:
        """As the base of all loops."""
        raise NotImplementedError  # what asyncio raises, not a part to be written

    def remove_reader(self, *_arguments: object) -> bool:
        """As the base of all loops."""
        raise NotImplementedError  # as above


def run_on_proactor(program: Coroutine[Any, Any, None]) -> None:
    """Run a program there, to its end."""
    loop = Proactor()
    try:
        loop.run_until_complete(program)
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_a_loop_that_watches_no_sockets_is_refused(home: Path) -> None:
    """One line that names the loop and both ways out; nothing was opened."""

    async def start() -> None:
        await Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False).start()

    with pytest.raises(UsageError, match=r"on a Proactor.*SelectorEventLoop.*zmqchat\.sync\.Node") as raised:
        run_on_proactor(start())
    assert "\n" not in str(raised.value)
    assert not (home / "ann").exists()


def test_the_blocking_node_runs_beside_such_a_loop(home: Path) -> None:
    """It has a loop of its own, so a program on that loop uses it from threads."""

    async def talk() -> None:
        node = blocking.Node("ann", home=home / "ann", mesh=MESH, listen="127.0.0.1", discovery=False, config=FAST)
        await asyncio.to_thread(node.start)
        try:
            lobby = await asyncio.to_thread(node.join, "lobby")
            await asyncio.to_thread(lobby.send, "hello")
            assert [message.text for message in await asyncio.to_thread(lobby.history)] == ["hello"]
        finally:
            await asyncio.to_thread(node.stop)

    run_on_proactor(talk())
