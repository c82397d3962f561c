"""What tests of hostile clients share: a client without guards, an honest guest, the memory used."""

from __future__ import annotations

import os
from pathlib import Path

import zmq

from tests.support.transports import NodeUnderTest, World, new_pair
from zmqchat.protocol.effects import AnswerDoor, DialDoor
from zmqchat.protocol.facts import (
    DoorAnswered,
    DoorKnocked,
)


def resident_bytes() -> int:
    """The memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def honest_knock(world: World, node: NodeUnderTest, within_s: float = 1.0) -> None:
    """A fresh honest node knocks and is answered in time."""
    guest = await world.start()
    before = len(node.of(DoorKnocked))
    guest.apply(DialDoor(dial=1, endpoint=node.endpoint, payload=b"honest"))
    await node.until(
        lambda: any(knock.payload == b"honest" for knock in node.of(DoorKnocked)[before:]), within_s=within_s
    )
    knock = next(knock for knock in node.of(DoorKnocked)[before:] if knock.payload == b"honest")
    node.apply(AnswerDoor(caller=knock.caller, payload=b"welcome"))
    await guest.get(DoorAnswered, within_s=within_s)


def dealer(
    port: int, server_key: bytes, pair: tuple[bytes, bytes] | None = None, kind: int = zmq.DEALER
) -> zmq.Socket[bytes]:
    """A client of libzmq with none of our guards."""
    client: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    client.linger = 0
    client.sndhwm = 0
    client.curve_publickey, client.curve_secretkey = pair or new_pair()
    client.curve_serverkey = server_key
    client.connect(f"tcp://127.0.0.1:{port}")
    return client
