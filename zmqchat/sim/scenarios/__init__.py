"""All scenarios by name."""

from __future__ import annotations

from typing import Final

from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.partial import Partial, PartialRooms
from zmqchat.sim.scenarios.rooms import Rooms
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.scenarios.stream import Stream
from zmqchat.sim.scenarios.troubles import (
    Backup,
    Crashes,
    ForkedAuthor,
    FullDisk,
    Lossy,
    OneWay,
    Partition,
    SlowPeer,
    WrongClocks,
)

SCENARIOS: Final[dict[str, type[Scenario]]] = {
    "backup": Backup,
    "chat": Chat,
    "crashes": Crashes,
    "forked-author": ForkedAuthor,
    "full-disk": FullDisk,
    "lossy": Lossy,
    "one-way": OneWay,
    "partial": Partial,
    "partial-rooms": PartialRooms,
    "partition": Partition,
    "rooms": Rooms,
    "slow-peer": SlowPeer,
    "stream": Stream,
    "wrong-clocks": WrongClocks,
}
