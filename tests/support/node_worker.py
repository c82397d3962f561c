"""Nodes in processes of their own for tests, forked from one that has imported everything: a start costs no second.

The parent is asked over a socket for each: it is sent the network namespace to live in, the worker's end of a
connection and a file for complaints, and answers with the process id. The worker gets one JSON order a line
there and answers each with one line. It notes the monotonic time of all that it reads and of each peer that comes
and goes; all processes of a machine, whatever their namespace, share that clock.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import zmqchat.net.zmq_transport  # noqa: F401  # for its imports: forked workers have them
from zmqchat import Config, Message, Node, PeerOffline, PeerOnline, Room

ROOM = "field"
NAMESPACE_OF_NETWORK = 0x40000000
"""Linux's CLONE_NEWNET."""

Answer = dict[str, Any]


class Worker:
    """The node, and what it saw."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._room: Room | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._read: list[tuple[str, float]] = []
        self._presence: list[tuple[str, bool, float]] = []
        self._news = asyncio.Event()
        self.orders: dict[str, Callable[..., Awaitable[Answer]]] = {
            "open": self.open,
            "linked": self.linked,
            "members": self.members,
            "presence": self.presence,
            "peers": self.peers,
            "dial": self.dial,
            "say": self.say,
            "read": self.read,
            "timeline": self.timeline,
            "notices": self.notices,
            "feed": self.feed,
            "refused": self.refused,
            "mesh": self.mesh,
            "quietness": self.quietness,
        }

    def _here(self) -> tuple[Node, Room]:
        assert self._node is not None and self._room is not None, "the order `open` comes first"
        return self._node, self._room

    async def open(self, config: dict[str, Any] | None = None, **settings: Any) -> Answer:
        """Be the node of these settings, a member of the room."""
        began_s = time.monotonic()
        node = self._node = Node(config=Config(**config) if config else None, **settings)
        await node.start()
        room = self._room = await node.join(ROOM)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._reading(room)), loop.create_task(self._watching(node))]
        return {"id": node.id.hex(), "ports": list(node.ports), "began_s": began_s}

    async def _reading(self, room: Room) -> None:
        async for message in room.messages("start"):
            if isinstance(message, Message) and message.text is not None:
                self._read.append((message.text, time.monotonic()))
                self._news.set()

    async def _watching(self, node: Node) -> None:
        for peer in node.peers:
            self._presence.append((peer.id.hex(), True, time.monotonic()))
        async for event in node.events():
            if isinstance(event, PeerOnline | PeerOffline):
                self._presence.append((event.peer.id.hex(), isinstance(event, PeerOnline), time.monotonic()))
                self._news.set()

    async def linked(self, ids: list[str]) -> Answer:
        """Wait until there is a link with each of these peers."""
        node, _room = self._here()
        await _until(lambda: set(ids) <= {peer.id.hex() for peer in node.peers})
        return {"at_s": time.monotonic()}

    async def members(self, count: int) -> Answer:
        """Wait until so many members of the room, this node among them, are online."""
        _node, room = self._here()
        await _until(lambda: sum(member.online for member in room.members) >= count)
        return {}

    async def presence(self, peer: str, online: bool, after_s: float = 0.0) -> Answer:
        """Wait until a peer was said to come or go after that time."""
        while True:
            for told, is_online, at_s in self._presence:
                if told == peer and is_online == online and at_s >= after_s:
                    return {"at_s": at_s}
            self._news.clear()
            await self._news.wait()

    async def peers(self) -> Answer:
        """The peers in touch: id, address and how each was found."""
        node, _room = self._here()
        return {"peers": {peer.id.hex(): [peer.address, peer.found_by] for peer in node.peers}}

    async def dial(self, address: str) -> Answer:
        """Be told of a peer."""
        node, _room = self._here()
        node.add_peer(address)
        return {}

    async def say(self, texts: list[str], interval_s: float = 0.0) -> Answer:
        """Send texts one after the other, and tell when each began to be sent."""
        _node, room = self._here()
        sent = []
        for text in texts:
            sent.append(time.monotonic())
            await room.send(text)
            await asyncio.sleep(interval_s)  # the pace is what is asked for
        return {"at_s": sent}

    async def read(self, texts: list[str]) -> Answer:
        """Wait until all of these were read; when each was first, and how often this and all else was read."""
        while not set(texts) <= {text for text, _at_s in self._read}:
            self._news.clear()
            await self._news.wait()
        first: dict[str, float] = {}
        for text, at_s in self._read:
            first.setdefault(text, at_s)
        return {"at_s": [first[text] for text in texts], "twice": len(self._read) - len(first)}

    async def timeline(self) -> Answer:
        """All texts of the room in the order of the timeline."""
        _node, room = self._here()
        return {"texts": [message.text for message in await room.history(100_000)]}

    async def notices(self, containing: str = "") -> Answer:
        """The node's notices, once one of them has this in it."""
        node, _room = self._here()
        await _until(lambda: not containing or any(containing in notice for notice in node.notices))
        return {"notices": node.notices}

    async def feed(self, peer: str) -> Answer:
        """Wait until we read this peer's feed."""
        node, _room = self._here()
        bare = next(known for known in node.peers if known.id.hex() == peer)
        while True:
            report = await node.doctor(bare.id_text)
            thoughts = report["peer"]
            assert isinstance(thoughts, dict)
            if thoughts["here"].get("feed") == "open":
                return {}
            await asyncio.sleep(0.02)

    async def refused(self, reason: str) -> Answer:
        """Wait until this node has refused somebody at its door for this reason."""
        node, _room = self._here()
        while True:
            refusals = (await node.doctor())["refusals"]
            assert isinstance(refusals, dict)
            if refusals.get(reason):
                return {}
            await asyncio.sleep(0.02)

    async def mesh(self, count: int) -> Answer:
        """Wait until so many nodes are known to be online; the mesh then, by peer id."""
        node, _room = self._here()
        await _until(lambda: sum(each.online for each in node.mesh().nodes) >= count)
        return {
            "at_s": time.monotonic(),
            "nodes": {
                each.id.hex(): {"linked": each.linked, "hops": each.hops, "rtt_s": each.rtt_s, "subnet": each.subnet}
                for each in node.mesh().nodes
                if each.online
            },
        }

    async def quietness(self) -> Answer:
        """What this node costs its network and machine: links, whether it advertises, records known, memory."""
        node, _room = self._here()
        opened = node._core()
        machines, discovery = opened.core.machines, opened.discovery.statistics()
        with open("/proc/self/status", encoding="ascii") as file:  # noqa: ASYNC230  # not a disk
            resident = next(line for line in file if line.startswith("RssAnon"))
        return {
            "links": len(machines.peers.linked),
            "live": machines.roster.live_count,
            "partial": machines.overlay.is_partial,
            "advertises": discovery.advertised,
            "candidates": discovery.candidates,
            "bytes": int(resident.split()[1]) * 1024,
        }

    async def close(self) -> None:
        """Stop the node."""
        if self._node is not None:
            await self._node.stop()
        for task in self._tasks:
            task.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    # Looking again and again, as nothing tells of links before their peers are told of.
    while not condition():
        await asyncio.sleep(0.005)


async def serve(connection: socket.socket) -> None:
    """Carry out orders, one after the other, until the connection is closed."""
    worker = Worker()
    loop = asyncio.get_running_loop()
    with connection.makefile("r", encoding="utf-8") as orders:
        _answer(connection, {})
        while line := await loop.run_in_executor(None, orders.readline):
            order = json.loads(line)
            within_s = order.pop("within_s")
            try:
                answer = await asyncio.wait_for(worker.orders[order.pop("do")](**order), within_s)
            except asyncio.TimeoutError:
                answer = {"timed_out": True, **await _state(worker)}
            _answer(connection, answer)
    await worker.close()


def _answer(connection: socket.socket, answer: Answer) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


async def _state(worker: Worker) -> Answer:
    """What may explain why something did not happen."""
    node, room = worker._here()
    report = await node.doctor()
    return {
        "peers": report["peers"],
        "hosts": report["hosts"],
        "discovery": report["discovery"],
        "counters": report["counters"],
        "refusals": report["refusals"],
        "notices": node.notices,
        "members": [[member.name, member.online] for member in room.members],
        "last_read": [text for text, _at_s in worker._read[-5:]],
    }


def enter(namespace: str) -> None:
    """Move this process, which has no other thread yet, into a network namespace."""
    with open(f"/run/netns/{namespace}", "rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), NAMESPACE_OF_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), f"no way into the namespace {namespace}")


def main() -> None:
    """Fork a worker for each request, until the one who asks is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    requests = socket.socket(fileno=int(sys.argv[1]))
    gc.freeze()  # what is imported stays shared with the workers
    while True:
        namespace, descriptors, _flags, _address = socket.recv_fds(requests, 4096, 2)
        if not namespace:
            return
        worker, complaints = descriptors
        pid = os.fork()
        if pid == 0:
            requests.close()
            _be_worker(namespace.decode(), worker, complaints)
        os.close(worker)
        os.close(complaints)
        requests.send(str(pid).encode())


def _be_worker(namespace: str, connection: int, complaints: int) -> None:
    """The life of a forked process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(complaints, 1)
    os.dup2(complaints, 2)
    enter(namespace)
    with socket.socket(fileno=connection) as orders:
        asyncio.run(serve(orders))
    os._exit(0)


if __name__ == "__main__":
    main()
