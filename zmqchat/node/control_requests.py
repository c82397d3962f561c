"""What commands may ask a running node, one function a request; the table is at the end.

A request is `{"id": …, "op": …, …}`. It is answered by any number of `{"id": …, "item": …}` and one
`{"id": …, "done": …}` or `{"id": …, "error": {"kind", "text"}}`, kind being a class of `model/errors.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from zmqchat import __version__
from zmqchat.model.errors import UsageError, ZmqChatError
from zmqchat.model.ids import MessageId, mesh_id, parse_message_id, peer_short, peer_text, room_id
from zmqchat.node.control_send import Answer, SendStream
from zmqchat.node.control_sent import Line, SentMemory
from zmqchat.node.message import Gap, Message
from zmqchat.node.records import (
    Record,
    event_record,
    gap_record,
    jsonable,
    member_record,
    mesh_node_record,
    mesh_record,
    message_record,
    peer_record,
    room_record,
    sent_record,
    way_record,
)

if TYPE_CHECKING:
    from zmqchat.model.ids import PeerId
    from zmqchat.node.node import Node
    from zmqchat.node.values import Peer

ITEMS_PER_WRITE = 128
"""Items that are made before everything else on the loop gets its turn: about 4 ms."""

SEEN_MAX = 10_000
"""Messages of the beginning that are known again when they arrive while it is read; far more than can."""

SEEN_S = 60.0
"""How long they are; a cursor waits 30 s for what is missing."""

LAST_MAX = 1_000_000
"""Messages of history that one request may ask for."""


class Request:
    """One request of one client: its fields, checked when read, and its answers.

    stream   set by a request that takes further lines from its client
    """

    def __init__(
        self,
        node: Node,
        memory: SentMemory,
        settings: Mapping[str, object],
        fields: Mapping[str, Any],
        write: Callable[..., Awaitable[None]],
    ) -> None:
        self.node = node
        self.memory = memory
        self.settings = settings
        self.id = str(fields.get("id", ""))
        self.operation = str(fields.get("op", ""))
        self.stream: SendStream | None = None
        self._fields = fields
        self._write = write

    async def item(self, **fields: object) -> None:
        """One of several answers; returns when there is room for the next."""
        await self._write({"id": self.id, "item": fields})

    async def items(self, several: Iterable[Record]) -> None:
        """Several of them, in few writes."""
        remaining = iter(several)
        while group := [{"id": self.id, "item": fields} for fields in islice(remaining, ITEMS_PER_WRITE)]:
            await self._write(*group)

    async def done(self, fields: Record) -> None:
        """The last answer."""
        await self._write({"id": self.id, "done": fields})

    async def failed(self, error: Exception) -> None:
        """The last answer where something is wrong."""
        await self._write({"id": self.id, "error": error_record(error)})

    def text(self, name: str) -> str:
        """A text that must be there. Raises UsageError."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise UsageError(f"{name} must be a text")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text that may be missing. Raises UsageError."""
        return None if self._fields.get(name) is None else self.text(name)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds. Raises UsageError."""
        value = self._fields.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise UsageError(f"{name} must be a whole number from {low:,} to {high:,}")
        return value

    def seconds(self, name: str) -> float | None:
        """A duration, None where there is none. Raises UsageError."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
            raise UsageError(f"{name} must be seconds")
        return float(value)

    def flag(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._fields.get(name) is True


def error_record(error: Exception) -> Record:
    """An error as a client reads it: one line, and the class that the caller of the library would have seen."""
    if isinstance(error, ZmqChatError):
        return {"kind": type(error).__name__, "text": " ".join(str(error).split())}
    return {"kind": "ZmqChatError", "text": f"the node failed ({type(error).__name__}: {error})"[:300]}


async def _status(request: Request) -> Record:
    node = request.node
    return {
        "pid": os.getpid(),
        "version": __version__,
        "id": peer_text(node.id),
        "short": peer_short(node.id),
        "name": node.name,
        "home": str(node.home),
        "address": node.address,
        "peers": len(node.peers),
        "notices": list(node.notices),
        "nobody_found": node.nobody_found(),
        "settings": jsonable(request.settings),
    }


async def _send(request: Request) -> Record:
    """Send the lines that follow; `brief` answers have only the id, with `progress` those on their way are counted."""
    room = await request.node.join(request.text("room"))
    until = request.text("until")
    copies = request.number("copies", 1, 1, 1000)

    brief = request.flag("brief")

    async def answer(answers: Sequence[Answer]) -> None:
        await request.items({"n": number, **outcome(result)} for number, result in answers)

    def outcome(result: Message | Exception) -> Record:
        if isinstance(result, Exception):
            return {"error": error_record(result)}
        return {"record": {"id": str(result.id)} if brief else sent_record(result, room.receipts_of(result.id))}

    async def stored(count: int) -> None:
        await request.item(stored=count)

    told = stored if request.flag("progress") else None
    stream = SendStream(room, request.memory, answer, until, request.seconds("timeout"), copies, told)
    request.stream = stream
    await request.item(ready=True)
    await stream.run()
    return {}


def line_of(fields: Mapping[str, Any]) -> Line:
    """A further line of a `send` request. Raises UsageError."""
    number, key, text = fields.get("n"), fields.get("key"), fields.get("text")
    if type(number) is not int or not isinstance(key, str) or not 8 <= len(key) <= 64 or not isinstance(text, str):
        raise UsageError("a line needs n, a key of 8 to 64 characters, and a text")
    return Line(number, key, text)


async def _tail(request: Request) -> Record:
    """The last messages, and then what arrives; with `read` this home's read position follows."""
    room = await request.node.join(request.text("room"), latest_first=request.flag("latest_first"))
    last = request.number("last", 0, 0, LAST_MAX)
    marks = request.flag("read")
    # The cursor is placed before the store is read, so that nothing falls between the two.
    cursor = room.messages(after=None) if request.flag("follow") else None
    shown = await room.history(last)
    await request.items({"record": message_record(message)} for message in shown)
    if marks and shown:
        for message in _newest_of_each_author(shown):
            message.mark_read()
    await request.item(caught_up=True)
    if cursor is None:
        return {}
    seen: set[MessageId] = {message.id for message in shown[-SEEN_MAX:]}
    del shown
    # What is in the store and has not arrived waits for what is missing before it, and no longer than that.
    asyncio.get_running_loop().call_later(SEEN_S, seen.clear)
    async for item in cursor:
        if isinstance(item, Gap):
            await request.item(gap=gap_record(item))
        elif seen and item.id in seen:
            seen.discard(item.id)
            if marks:
                item.mark_read()
        else:
            await request.item(record=message_record(item), live=item.live, backfill=item.backfill)
            if marks:
                item.mark_read()
    return {}


async def _history(request: Request) -> Record:
    room = await request.node.join(request.text("room"))
    shown = await room.history(request.number("last", 50, 0, LAST_MAX))
    await request.items({"record": message_record(message)} for message in shown)
    return {}


def _newest_of_each_author(messages: list[Message]) -> list[Message]:
    newest: dict[tuple[bytes, int], Message] = {}
    for message in messages:
        place = (message.id.author, message.id.log)
        if place not in newest or newest[place].id.number < message.id.number:
            newest[place] = message
    return list(newest.values())


async def _join(request: Request) -> Record:
    return await room_record(await request.node.join(request.text("room")))


async def _leave(request: Request) -> Record:
    name = request.text("room")
    # Names are compared as ids are made of them, by whatever mesh.
    any_mesh = mesh_id("")
    wanted = room_id(any_mesh, name)
    was_in = any(room_id(any_mesh, room.name) == wanted for room in request.node.rooms)
    await request.node.leave(name)
    return {"room": name, "was_in": was_in}


async def _rooms(request: Request) -> Record:
    for room in request.node.rooms:
        await request.item(room=await room_record(room))
    return {}


async def _members(request: Request) -> Record:
    room = await request.node.join(request.text("room"))
    for member in room.members:
        await request.item(member=member_record(member))
    return {}


async def _peers(request: Request) -> Record:
    """Who is in touch, by a link or by others, and with `all` who is not; the nearest come first."""
    node = request.node
    view = node.mesh()
    if any(each.online and each.hops is None for each in view.nodes):
        view = await node.survey()
    others = {each.id: each for each in view.nodes if not each.is_self}
    listed = {peer.id: peer for peer in (node.known_peers() if request.flag("all") else node.peers)}
    listed |= {each.id: each.peer for each in others.values() if each.online and each.id not in listed}

    def nearest(peer: Peer) -> tuple[bool, float, str, PeerId]:
        hops = others[peer.id].hops if peer.id in others else None
        return (not peer.online, float("inf") if hops is None else hops, peer.name, peer.id)

    peers = sorted(listed.values(), key=nearest)
    await request.items({"peer": peer_record(peer) | way_record(others.get(peer.id))} for peer in peers)
    return {}


async def _mesh(request: Request) -> Record:
    """The nodes and the links of the mesh one by one, the rest at the end; with `survey` others are asked first."""
    view = await request.node.survey() if request.flag("survey") else request.node.mesh()
    await request.items({"node": mesh_node_record(node)} for node in view.nodes)
    await request.items({"link": [peer_text(one), peer_text(other)]} for one, other in view.links)
    await request.item(mesh=mesh_record(view))
    return {}


async def _whoami(request: Request) -> Record:
    node = request.node
    return {
        "id": peer_text(node.id),
        "name": node.name,
        "short": peer_short(node.id),
        "mesh": jsonable(request.settings.get("mesh")),
        "home": str(node.home),
        "address": node.address,
        "version": __version__,
    }


async def _add_peer(request: Request) -> Record:
    request.node.add_peer(request.text("address"))
    return {}


async def _catching_up(request: Request) -> Record:
    return {"missing": request.node.missing_messages()}


async def _nobody_found(request: Request) -> Record:
    return {"text": request.node.nobody_found()}


async def _doctor(request: Request) -> Record:
    report = jsonable(await request.node.doctor(request.text_or_none("peer")))
    return {"report": report}


async def _events(request: Request) -> Record:
    events = request.node.events()
    # The listening begins with the first step of the iterator: the client is told once it has begun.
    first = asyncio.ensure_future(anext(events))
    try:
        await asyncio.sleep(0)
        await request.item(ready=True)
        try:
            await request.item(event=event_record(await first))
        except StopAsyncIteration:
            return {}
        async for event in events:
            await request.item(event=event_record(event))
    finally:
        first.cancel()
    return {}


async def _linger(request: Request) -> Record:
    """Wait until another node holds what this one has sent; for the command that started it."""
    return {"held": await request.node.linger(request.seconds("timeout") or 0.0)}


async def _wait(request: Request) -> Record:
    room = await request.node.join(request.text("room"))
    message = parse_message_id(request.text("message"))
    if message is None:
        raise UsageError("message must be a message's id")
    sent = await room.wait(message, request.text("until"), request.seconds("timeout"))
    return {"delivered": [peer.name for peer in sent.delivered], "pending": [peer.name for peer in sent.pending]}


OPERATIONS: Mapping[str, Callable[[Request], Awaitable[Record]]] = {
    "status": _status,
    "send": _send,
    "wait": _wait,
    "tail": _tail,
    "history": _history,
    "join": _join,
    "leave": _leave,
    "rooms": _rooms,
    "members": _members,
    "peers": _peers,
    "mesh": _mesh,
    "whoami": _whoami,
    "add_peer": _add_peer,
    "nobody_found": _nobody_found,
    "catching_up": _catching_up,
    "doctor": _doctor,
    "events": _events,
    "linger": _linger,
}
