"""Events of every kind with bodies of every shape: what a program that reads the room gets of them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import msgpack

from tests.support.hostilepeer import HostilePeer, hostile_peer, room_of
from tests.support.siege import siege
from zmqchat import Message
from zmqchat.model.events import Kind
from zmqchat.node.records import message_record
from zmqchat.wire.events import encode_event

KINDS = (*range(32), 127, 128, 255)
_ID = [b"\xff" * 32, 2**53, 2**53, bytes(8)]
BODIES: tuple[object, ...] = (
    None,
    True,
    -1,
    2**64 - 1,
    float("nan"),
    "",
    "\x1b[2J",
    b"\xff" * 10,
    [],
    {"a": {"b": [1, 2]}},
    ["x/y", {"k": float("inf")}],
    ["x/y", bytes(100)],
    ["\x1b]0;x\x07", 1],
    [_ID, "a reply to nobody"],
    [["text", -1, None, 3], "a reply to nonsense"],
    [[bytes(32), 1, bytes(8), 3]],
    [5],
)
BROKEN = (
    b"",
    b"\xc1",
    b"\x91" * 40,
    msgpack.packb([bytes(16), 2**64 - 1, 1, "later than its batch", []]),
    msgpack.packb([bytes(16), 0, 1, "after", [[bytes(32), 1, 2]] * 5]),
    msgpack.packb([bytes(16), 0, 1, "after", 5]),
)


async def test_any_event_is_read_without_an_exception(home: Path) -> None:
    """Between two honest texts of a signed batch stands what no node would say: all is listed, nothing raises."""
    async with siege(home.parent) as besieged, hostile_peer(besieged.ann) as eve:
        room = await besieged.ann.join("odd")
        await eve.link("odd", feed=False)
        _say_oddities(eve)
        read: list[Message] = []
        async for block in room.messages(after="start").blocks():
            read += block
            if read[-1].text == "the end":
                break
        for message in read:
            json.dumps(message_record(message))
            assert message.author.id == eve.peer
            assert repr(message)
            await asyncio.sleep(0)
        assert {message.id for message in read} == {message.id for message in await room.history(100_000)}
        assert sum(message.text == "ok" for message in read) == 2 * len(KINDS)
        assert not eve.is_cut


def _say_oddities(eve: HostilePeer) -> None:
    last = None
    at = eve.author.ticks
    for kind in KINDS:
        honest = [encode_event(os.urandom(16), at, Kind.TEXT, "ok") for _ in range(2)]
        odd = [encode_event(os.urandom(16), at, kind, body) for body in BODIES]
        last = eve.author.batch(events=[honest[0], *odd, *BROKEN, honest[1]], after=last, room=room_of("odd"))
        eve.push(last)
    eve.push(eve.batch("the end", "odd", after=last))
