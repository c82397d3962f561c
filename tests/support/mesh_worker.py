"""Nodes in processes of their own, forked from one that has imported everything: a start costs no second.

The parent reads socket paths from standard input, one a line, and forks a worker for each, which connects there and
carries out orders: one JSON object a line, answered by one with the same `n`; what a stream has stored comes unasked.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import zmqchat.net.zmq_transport  # noqa: F401  # for its imports: forked workers have them
from zmqchat import Config, Message, Node, PeerOffline, Room
from zmqchat.node import runner

Answer = dict[str, Any]
SHOWN_CHARACTERS = 60
"""How much of a text is kept and told: a test of memory must not fill it."""


class Worker:
    """One node and what it was ordered to do."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._node: Node | None = None
        self._streams: list[asyncio.Task[None]] = []
        self._seen: dict[str, float] = {}
        self._twice = 0
        self._went: dict[str, float] = {}
        self.orders: dict[str, Callable[..., Awaitable[Answer]]] = {
            name: getattr(self, name)
            for name in vars(Worker)
            if not name.startswith("_") and name not in ("tell", "node")
        }

    def tell(self, record: Answer) -> None:
        """One line to the test."""
        self._writer.write(json.dumps(record).encode() + b"\n")

    @property
    def node(self) -> Node:
        """The node that was begun."""
        assert self._node is not None
        return self._node

    async def begin(self, scale: float, config: dict[str, Any] | None = None, **settings: Any) -> Answer:
        """Be a node."""
        chosen = Config(**(config or {})).scaled(scale)
        self._node = Node(discovery=False, config=chosen, **settings)
        await self._node.start()
        loop = asyncio.get_running_loop()
        self._streams += [loop.create_task(self._read(await self.node.join("lobby"))), loop.create_task(self._watch())]
        return {"id": self.node.id.hex(), "address": self.node.address, "at_s": time.monotonic()}

    async def _read(self, room: Room) -> None:
        async for item in room.messages(after="start"):
            if isinstance(item, Message) and item.text is not None:
                start = item.text[:SHOWN_CHARACTERS]  # what distinguishes the texts of a test
                self._twice += start in self._seen
                self._seen.setdefault(start, time.monotonic())

    async def _watch(self) -> None:
        async for event in self.node.events():
            if isinstance(event, PeerOffline):
                self._went.setdefault(event.peer.id.hex(), time.monotonic())

    async def send(self, text: str, until: str = "stored", timeout: float | None = None, room: str = "lobby") -> Answer:
        """Send a text."""
        sent = await (await self.node.join(room)).send(text, until, timeout)
        return {"id": str(sent.id), "delivered": [peer.name for peer in sent.delivered], "at_s": time.monotonic()}

    async def stream(self, prefix: str, tasks: int = 4, bytes: int = 0) -> Answer:
        """Send texts from several tasks, telling each id once its text is durable, until stopped."""
        room = await self.node.join("lobby")

        async def talk(task: int) -> None:
            number = 0
            while True:
                text = f"{prefix}.{task}.{number} {'x' * bytes}"
                sent = await room.send(text)
                self.tell({"stored": text[:SHOWN_CHARACTERS], "id": str(sent.id)})
                number += 1
                await asyncio.sleep(0.001)

        loop = asyncio.get_running_loop()
        self._streams += [loop.create_task(talk(task)) for task in range(tasks)]
        return {}

    async def stop_stream(self) -> Answer:
        """End the streams."""
        for task in self._streams[2:]:
            task.cancel()
        del self._streams[2:]
        return {}

    async def linked(self, count: int) -> Answer:
        """Wait until so many peers are in touch and in the lobby."""
        room = await self.node.join("lobby")
        await _until(lambda: len(self.node.peers) >= count and len(room.peers()) >= count)
        return {"at_s": time.monotonic()}

    async def links(self) -> Answer:
        """The mesh as this node has it: its kind, live members, neighbours, links."""
        machines = self.node._core().core.machines
        return {
            "partial": machines.overlay.is_partial,
            "live": machines.roster.live_count,
            "neighbours": [peer.hex() for peer in sorted(machines.overlay.neighbours)],
            "linked": [peer.hex() for peer in sorted(machines.peers.linked)],
            "most": machines.overlay.shape.sessions,
            "unreached": [peer.hex() for peer in machines.gaps.unreached],
            "slow": [peer.hex() for peer in sorted(machines.peers.linked) if machines.data.broadcast.is_slow(peer)],
            "faults": dict(machines.faults.counts),
        }

    async def dial(self, address: str) -> Answer:
        """Be told of a peer."""
        self.node.add_peer(address)
        return {}

    async def peers(self) -> Answer:
        """The names of the peers in touch."""
        return {"peers": [peer.name for peer in self.node.peers]}

    async def seen(self, text: str) -> Answer:
        """Wait until a text was read by a cursor; when that was."""
        text = text[:SHOWN_CHARACTERS]
        await _until(lambda: text in self._seen)
        return {"at_s": self._seen[text], "twice": self._twice, "count": len(self._seen)}

    async def went(self, peer: str) -> Answer:
        """Wait until a peer was told to be offline; when that was."""
        await _until(lambda: peer in self._went)
        return {"at_s": self._went[peer]}

    async def texts(self, room: str = "lobby") -> Answer:
        """The timeline: ids, log numbers and texts."""
        messages = await (await self.node.join(room)).history(1_000_000)
        return {"texts": [[str(m.id), m.id.log, m.text] for m in messages]}

    async def notices(self, containing: str = "") -> Answer:
        """The notices, once one has this in it."""
        await _until(lambda: not containing or any(containing in notice for notice in self.node.notices))
        return {"notices": self.node.notices}

    async def memory(self) -> Answer:
        """Memory in use, without the pages of the store's file."""
        with open("/proc/self/status", encoding="ascii") as file:  # noqa: ASYNC230  # not a disk
            words = next(line for line in file if line.startswith("RssAnon")).split()
        return {"bytes": int(words[1]) * 1024}

    async def latencies(self, count: int, pause_s: float = 0.0) -> Answer:
        """Send texts one by one until `held`; how long each took."""
        room = await self.node.join("lobby")
        took = []
        for number in range(count):
            began_s = time.perf_counter()
            await room.send(f"{self.node.name} latency {began_s} {number}", until="held", timeout=20)
            took.append(time.perf_counter() - began_s)
            await asyncio.sleep(pause_s)  # the pace is what is asked for
        return {"s": took}

    async def clock(self, ahead_s: float) -> Answer:
        """Set this process's wall clock so far ahead of the machine's."""
        set_clock(ahead_s)
        return {}

    async def bare(self, link: str) -> Answer:
        """Drop what is published on the feed from now on (`link` says which part is cut)."""
        assert link == "feed"
        transport = self.node._core().transport
        apply = transport.apply

        def applied(effect: Any) -> None:
            if type(effect).__name__ != "PublishFeed":
                apply(effect)

        transport.apply = applied  # type: ignore[method-assign]  # a fault that is injected
        return {}

    async def stop(self) -> Answer:
        """Stop the node; when that began and how long it took."""
        for task in self._streams:
            task.cancel()
        began_s = time.monotonic()
        await self.node.stop()
        return {"began_s": began_s, "took_s": time.monotonic() - began_s}


def set_clock(ahead_s: float) -> None:
    """Let this process believe that it is later."""
    runner.wall_ms = lambda: time.time_ns() // 1_000_000 + int(ahead_s * 1000)
    from zmqchat.node import assembly

    setattr(assembly, "wall_ms", runner.wall_ms)  # noqa: B010  # it is no public name there


async def _until(condition: Callable[[], object]) -> None:
    # Looking again and again: what a test waits for is told by many parts.
    while not condition():
        await asyncio.sleep(0.003)


async def work(path: str) -> None:
    """Connect to the test and carry out its orders until it closes the connection."""
    reader, writer = await asyncio.open_unix_connection(path, limit=64 * 1024 * 1024)
    worker = Worker(writer)
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.get_running_loop().create_task(_carry_out(worker, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


async def _carry_out(worker: Worker, order: Answer) -> None:
    number = order.pop("n")
    try:
        answer = await worker.orders[order.pop("do")](**order)
    except Exception as error:  # noqa: BLE001  # the test is told
        answer = {"error": f"{type(error).__name__}: {error}"}
    worker.tell({"n": number, **answer})


def main() -> None:
    """Fork a worker for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            asyncio.run(work(line.strip()))
            os._exit(0)


if __name__ == "__main__":
    main()
