"""What zmqchat raises at its caller; a peer's fault never becomes one of these.

ZmqChatError
├── UsageError (also a ValueError)      the call itself is wrong
│   ├── BadPeerId, BadRoomName, BadAddress, BadName, BadConfig, BadCursor
│   ├── BadText                         empty, or not encodable as UTF-8
│   └── MessageTooLarge                 over the limit of its kind
├── NotStored                           the message was not accepted; nothing of it is kept
│   ├── StoreFull                       no room on the disk
│   └── StoreBroken                     the disk fails
├── DeliveryTimeout                     stored, but not yet where `until` wanted it
├── TooManyRooms                        in as many rooms as a node can be
├── CursorLost                          a cursor of another store, or of a room that it never had
├── HomeError                           the home can't be used
│   ├── HomeInUse                       another process owns it
│   ├── HomeUnusable                    not readable, not writable, on a network file system
│   ├── IdentityDamaged                 the key can't be read; it is never replaced
│   ├── StoreDamaged                    the store's file is damaged or truncated
│   └── StoreVersion                    written by a newer zmqchat
├── NetworkError                        sockets can't be had
│   ├── PortInUse                       the address that was asked for is taken
│   └── FileLimit                       too few file descriptors allowed
├── NodeClosed                          the node is stopped
├── WrongProcess                        a node inherited through fork
└── ControlError                        the running node can't be reached or refused
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zmqchat.model.ids import MessageId, Person

_NAMED_MAX: Final = 5
"""Peers that an error calls by name; a line stays a line."""


class ZmqChatError(Exception):
    """The root of all that zmqchat raises."""


class UsageError(ZmqChatError, ValueError):
    """The call is wrong; nothing was done."""


class BadPeerId(UsageError):
    """The text is no peer id."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text[:80]!r} is no peer id: expected the 52 characters that `zmqchat whoami` prints")


class BadRoomName(UsageError):
    """The text can't name a room."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name[:80]!r} can't name a room: use 1 to 128 printable characters")


class BadName(UsageError):
    """The text can't be a nickname."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name[:80]!r} can't be a name: use 1 to 32 visible characters")


class BadAddress(UsageError):
    """The text is no address of a node."""

    def __init__(self, text: str, wanted: str = "HOST:PORT or PEERID@HOST:PORT") -> None:
        self.text = text
        super().__init__(f"{text[:80]!r} is no address: expected {wanted}, for example 192.168.1.7:42100")


class BadConfig(UsageError):
    """A setting is out of its range or contradicts another."""


class BadCursor(UsageError):
    """The text is no cursor."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text[:80]!r} is no cursor: pass None, 'read', 'start' or a message's .cursor")


class BadText(UsageError):
    """It is no text, an empty one, or can't be encoded as UTF-8."""


class MessageTooLarge(UsageError):
    """The message is over the limit of its kind; nothing was stored."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"{size_bytes:,} bytes are too many for one message: the limit is {limit_bytes:,}; split it")


class NotStored(ZmqChatError):
    """The message was not accepted and nothing of it is kept; sending it again is safe."""


class StoreFull(NotStored):
    """No room on the disk; reading and relaying go on."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"no room left on the disk that holds {where}: free some and send again")


class StoreBroken(NotStored):
    """The disk fails; the node reads on but stores nothing more."""


GOES_ON: Final = "it goes on its way while this node runs"


class DeliveryTimeout(ZmqChatError):
    """The message is stored here and stays sent, but has not got where `until` wanted it in time.

    `delivered` and `pending` are the peers that have it on disk (until="read": have read it) and those that have not,
    as `Sent` gives them. `message` is its id, for `wait`.
    """

    def __init__(
        self,
        message: MessageId,
        until: str,
        timeout_s: float,
        delivered: Sequence[Person],
        pending: Sequence[Person],
    ) -> None:
        self.message = message
        self.until = until
        self.timeout_s = timeout_s
        self.delivered = tuple(delivered)
        self.pending = tuple(pending)
        has = "it was read by" if until == "read" else "it has reached"
        who = f"{has} {_people(delivered)}, not yet {_people(pending)}" if pending else f"{has} {_people(delivered)}"
        super().__init__(f"stored here, but not {until} within {timeout_s:g} s ({who}); {GOES_ON}")


class TooManyRooms(ZmqChatError):
    """This node is in as many rooms as a node can be; nothing was joined, and it is in all others as before."""

    def __init__(self, name: str, rooms: int) -> None:
        self.name = name
        self.rooms = rooms
        super().__init__(
            f"{name[:80]!r} can't be joined: this node is in {rooms:,} rooms, and more can't be had; leave one that it "
            "does not need (`zmqchat rooms`, `zmqchat leave ROOM`), then join again"
        )


class CursorLost(ZmqChatError):
    """The cursor belongs to another store; start from 'read' or 'start'."""


class HomeError(ZmqChatError):
    """The home can't be used."""


class HomeInUse(HomeError):
    """Another process owns the home."""

    def __init__(self, home: str, pid: int | None) -> None:
        self.home = home
        self.pid = pid
        owner = f"process {pid}" if pid else "another process"
        super().__init__(f"{home} is in use by {owner}: stop it, or choose another folder with --home")


class HomeUnusable(HomeError):
    """The home can't be read or written."""


class IdentityDamaged(HomeError):
    """The identity can't be read; zmqchat never replaces it by itself."""


class StoreDamaged(HomeError):
    """The store's file is damaged; nothing was overwritten."""


class StoreVersion(HomeError):
    """The store was written by a newer zmqchat."""


class NetworkError(ZmqChatError):
    """Sockets can't be had."""


class PortInUse(NetworkError):
    """The address that was asked for can't be bound."""


class FileLimit(NetworkError):
    """The process may open too few files."""


class NodeClosed(ZmqChatError):
    """The node is stopped or not started."""


class WrongProcess(ZmqChatError):
    """A node was used in a process that inherited it through fork; make one there instead."""


class ControlError(ZmqChatError):
    """The node that runs on this home can't be reached, or refused the request."""


def _people(peers: Sequence[Person]) -> str:
    """A few of them by name, and how many more."""
    if not peers:
        return "nobody"
    more = len(peers) - _NAMED_MAX
    return ", ".join(peer.name for peer in peers[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
