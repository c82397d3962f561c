"""A small mesh that is partial: each node keeps a few links only, and messages travel over others."""

from __future__ import annotations

from typing import ClassVar

from zmqchat.model.config import Config
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.rooms import Rooms

SMALL_PARTIAL = Config(full_mesh_max=6, full_mesh_again=4, neighbours=4)
"""The bounded overlay from 7 nodes on, so that small runs meet it."""


class Partial(Chat):
    """People who chat in a mesh of few links."""

    config: ClassVar[Config] = SMALL_PARTIAL
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9, 10)


class PartialRooms(Rooms):
    """People who come and go in a mesh of few links, through nodes that are in other rooms."""

    config: ClassVar[Config] = SMALL_PARTIAL
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9, 10)
