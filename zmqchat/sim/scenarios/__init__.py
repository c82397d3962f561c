"""All scenarios by name."""

from __future__ import annotations

from typing import Final

from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.crowd import Crowd, CrowdGather, CrowdHeal, CrowdHealMuch, CrowdLoss
from zmqchat.sim.scenarios.gaps import Chain, Isolated, Ring, Subnets
from zmqchat.sim.scenarios.hostile_overlay import HostileEclipse, HostileGossip
from zmqchat.sim.scenarios.hostile_sync import HostileClocks, HostileFork, HostileFrontiers, HostileWant
from zmqchat.sim.scenarios.hostile_tree import HostileGraft, HostileIHave, HostileRelay
from zmqchat.sim.scenarios.keepers import Keepers
from zmqchat.sim.scenarios.partial import Calm, Partial, PartialRooms
from zmqchat.sim.scenarios.rooms import Rooms
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.scenarios.slow import SlowPeer
from zmqchat.sim.scenarios.stream import Stream
from zmqchat.sim.scenarios.switch import Switch, SwitchAtScale
from zmqchat.sim.scenarios.troubles import (
    Backup,
    Crashes,
    ForkedAuthor,
    FullDisk,
    Lossy,
    OneWay,
    Partition,
    WrongClocks,
)

SCENARIOS: Final[dict[str, type[Scenario]]] = {
    "backup": Backup,
    "calm": Calm,
    "chain": Chain,
    "chat": Chat,
    "crashes": Crashes,
    "crowd": Crowd,
    "crowd-gather": CrowdGather,
    "crowd-heal": CrowdHeal,
    "crowd-heal-much": CrowdHealMuch,
    "crowd-loss": CrowdLoss,
    "forked-author": ForkedAuthor,
    "full-disk": FullDisk,
    "hostile-clocks": HostileClocks,
    "hostile-eclipse": HostileEclipse,
    "hostile-fork": HostileFork,
    "hostile-frontiers": HostileFrontiers,
    "hostile-gossip": HostileGossip,
    "hostile-graft": HostileGraft,
    "hostile-ihave": HostileIHave,
    "hostile-relay": HostileRelay,
    "hostile-want": HostileWant,
    "isolated": Isolated,
    "keepers": Keepers,
    "lossy": Lossy,
    "one-way": OneWay,
    "partial": Partial,
    "partial-rooms": PartialRooms,
    "partition": Partition,
    "ring": Ring,
    "rooms": Rooms,
    "slow-peer": SlowPeer,
    "stream": Stream,
    "subnets": Subnets,
    "switch": Switch,
    "switch-at-scale": SwitchAtScale,
    "wrong-clocks": WrongClocks,
}

DRAWN: Final = tuple(sorted(name for name, scenario in SCENARIOS.items() if scenario.is_drawn))
"""Those that a seed may draw."""
