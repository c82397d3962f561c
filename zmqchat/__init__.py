"""Group messaging for a local network with no server: nodes find each other, talk, and keep what was said.

    from zmqchat import Node

    async with Node("ann") as node:
        lobby = await node.join("lobby")
        await lobby.send("Hello, World!")

`zmqchat.sync` has the same names, blocking. Everything here is loaded when first used, so that importing
the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zmqchat.model.config import Config as Config
    from zmqchat.model.errors import BadAddress as BadAddress
    from zmqchat.model.errors import BadConfig as BadConfig
    from zmqchat.model.errors import BadCursor as BadCursor
    from zmqchat.model.errors import BadName as BadName
    from zmqchat.model.errors import BadPeerId as BadPeerId
    from zmqchat.model.errors import BadRoomName as BadRoomName
    from zmqchat.model.errors import BadText as BadText
    from zmqchat.model.errors import ControlError as ControlError
    from zmqchat.model.errors import CursorLost as CursorLost
    from zmqchat.model.errors import DeliveryTimeout as DeliveryTimeout
    from zmqchat.model.errors import FileLimit as FileLimit
    from zmqchat.model.errors import HomeError as HomeError
    from zmqchat.model.errors import HomeInUse as HomeInUse
    from zmqchat.model.errors import HomeUnusable as HomeUnusable
    from zmqchat.model.errors import IdentityDamaged as IdentityDamaged
    from zmqchat.model.errors import MessageTooLarge as MessageTooLarge
    from zmqchat.model.errors import NetworkError as NetworkError
    from zmqchat.model.errors import NodeClosed as NodeClosed
    from zmqchat.model.errors import NotStored as NotStored
    from zmqchat.model.errors import PortInUse as PortInUse
    from zmqchat.model.errors import StoreBroken as StoreBroken
    from zmqchat.model.errors import StoreDamaged as StoreDamaged
    from zmqchat.model.errors import StoreFull as StoreFull
    from zmqchat.model.errors import StoreVersion as StoreVersion
    from zmqchat.model.errors import TooManyRooms as TooManyRooms
    from zmqchat.model.errors import UsageError as UsageError
    from zmqchat.model.errors import WrongProcess as WrongProcess
    from zmqchat.model.errors import ZmqChatError as ZmqChatError
    from zmqchat.model.ids import MessageId as MessageId
    from zmqchat.model.ids import PeerId as PeerId
    from zmqchat.model.ids import parse_message_id as parse_message_id
    from zmqchat.model.ids import parse_peer_id as parse_peer_id
    from zmqchat.model.ids import peer_short as peer_short
    from zmqchat.model.ids import peer_text as peer_text
    from zmqchat.node.mesh import MeshNode as MeshNode
    from zmqchat.node.mesh import MeshView as MeshView
    from zmqchat.node.message import Block as Block
    from zmqchat.node.message import Gap as Gap
    from zmqchat.node.message import Message as Message
    from zmqchat.node.node import Node as Node
    from zmqchat.node.room import Room as Room
    from zmqchat.node.sending import Posting as Posting
    from zmqchat.node.sending import Sent as Sent
    from zmqchat.node.values import DuplicateIdentity as DuplicateIdentity
    from zmqchat.node.values import Member as Member
    from zmqchat.node.values import MemberJoined as MemberJoined
    from zmqchat.node.values import MemberLeft as MemberLeft
    from zmqchat.node.values import NoticeGiven as NoticeGiven
    from zmqchat.node.values import Peer as Peer
    from zmqchat.node.values import PeerOffline as PeerOffline
    from zmqchat.node.values import PeerOnline as PeerOnline

__version__ = "0.1.0"

_ERRORS = (
    "BadAddress BadConfig BadCursor BadName BadPeerId BadRoomName BadText ControlError CursorLost DeliveryTimeout "
    "FileLimit HomeError HomeInUse HomeUnusable IdentityDamaged MessageTooLarge NetworkError NodeClosed NotStored "
    "PortInUse StoreBroken StoreDamaged StoreFull StoreVersion TooManyRooms UsageError WrongProcess ZmqChatError"
)
_HOMES = {
    "zmqchat.model.config": "Config",
    "zmqchat.model.errors": _ERRORS,
    "zmqchat.model.ids": "MessageId PeerId parse_message_id parse_peer_id peer_short peer_text",
    "zmqchat.node.mesh": "MeshNode MeshView",
    "zmqchat.node.message": "Block Gap Message",
    "zmqchat.node.node": "Node",
    "zmqchat.node.room": "Room",
    "zmqchat.node.sending": "Posting Sent",
    "zmqchat.node.values": "DuplicateIdentity Member MemberJoined MemberLeft NoticeGiven Peer PeerOffline PeerOnline",
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_MODULE_OF)]  # built from the table above


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'zmqchat' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
