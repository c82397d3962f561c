"""Event loops: one that can't watch sockets gets a thread that does, and a node runs there as anywhere."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import FAST, MESH, eventually, linked, running, share_room, take_texts
from zmqchat import sync as blocking
from zmqchat.net.loops import ThreadReaders, readers_of


class Proactor(asyncio.SelectorEventLoop):
    """Like the default loop of Windows: it can't watch descriptors."""

    def add_reader(self, *_arguments: object) -> None:
        """As the base of all loops."""
        raise NotImplementedError  # what asyncio raises, not a part to be written

    def remove_reader(self, *_arguments: object) -> bool:
        """As the base of all loops."""
        raise NotImplementedError  # as above


def run_on_proactor(program: Coroutine[Any, Any, None]) -> None:
    """Run a program there, to its end; no thread stays."""
    threads = set(threading.enumerate())
    loop = Proactor()
    try:
        loop.run_until_complete(program)
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert set(threading.enumerate()) <= threads


def test_nodes_run_on_a_loop_that_watches_no_sockets(home: Path) -> None:
    """They find each other, talk both ways, use their feeds, and leave nothing behind."""

    async def talk() -> None:
        async with running(home) as ann, running(home, "bob", ann) as bob:
            await linked(ann, bob)
            ours, theirs = await share_room("lobby", ann, bob)
            reading = theirs.messages(after="start")
            for number in range(50):
                await ours.send(f"text {number}", until="delivered", timeout=10)
            assert await take_texts(reading, 50) == [f"text {number}" for number in range(50)]
            sent = [sent async for sent in theirs.send_all((f"more {n}" for n in range(2_000)), until="held")]
            assert len(sent) == 2_000
            assert (await ours.history(1))[0].text == "more 1999"

    run_on_proactor(talk())


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


async def test_a_loop_that_watches_sockets_does_it_itself() -> None:
    """No thread where none is needed."""
    loop = asyncio.get_running_loop()
    assert readers_of(loop) is loop


def test_each_reader_is_called_on_the_loop_until_it_is_removed() -> None:
    """While there is something to read, again and again; two share a thread, which ends with the last of them."""

    async def watch() -> None:
        threads = set(threading.enumerate())
        loop = asyncio.get_running_loop()
        readers = readers_of(loop)
        assert isinstance(readers, ThreadReaders)
        pairs = [socket.socketpair(), socket.socketpair()]
        heard: list[tuple[int, threading.Thread]] = []

        def hear(index: int) -> None:
            heard.append((index, threading.current_thread()))

        for index, (ours, _theirs) in enumerate(pairs):
            ours.setblocking(False)
            readers_of(loop).add_reader(ours.fileno(), functools.partial(hear, index))
        assert readers_of(loop) is readers_of(loop)
        assert len(set(threading.enumerate()) - threads) == 1
        pairs[0][1].send(b"x")
        await eventually(lambda: len(heard) >= 3)
        assert set(heard) == {(0, threading.current_thread())}
        assert readers_of(loop).remove_reader(pairs[0][0].fileno())
        assert not readers_of(loop).remove_reader(pairs[0][0].fileno())
        count = len(heard)
        pairs[1][1].send(b"x")
        await eventually(lambda: len(heard) > count)
        assert heard[-1][0] == 1 and (0, threading.current_thread()) not in heard[count:]
        assert readers_of(loop).remove_reader(pairs[1][0].fileno())
        assert set(threading.enumerate()) == threads
        for pair in pairs:
            for end in pair:
                end.close()

    run_on_proactor(watch())


def test_a_reader_that_raises_is_called_again() -> None:
    """As a loop of asyncio goes on with it; the loop's handler hears of the error."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        ours, theirs = socket.socketpair()

        def read() -> None:
            raise ValueError("not now")

        with ours, theirs:
            readers_of(loop).add_reader(ours.fileno(), read)
            theirs.send(b"x")
            await eventually(lambda: len(told) >= 2)
            readers_of(loop).remove_reader(ours.fileno())

    run_on_proactor(watch())


@pytest.mark.parametrize("is_readable", [False, True])
def test_a_loop_that_was_closed_leaves_no_thread_that_runs_wild(is_readable: bool) -> None:
    """Whoever forgot to remove a reader has a thread that ends at the next word, and waits till then."""
    loop = Proactor()
    readers = ThreadReaders(loop)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        readers.add_reader(ours.fileno(), lambda: None)
        loop.close()
        if is_readable:
            theirs.send(b"x")
        readers.remove_reader(ours.fileno())
    assert not [thread for thread in threading.enumerate() if thread.name == "zmqchat-readers"]
