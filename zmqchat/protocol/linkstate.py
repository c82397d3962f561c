"""A session with a peer and its connections, as `Peers` keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from zmqchat.model.addresses import Endpoint


@dataclass(slots=True)
class LinkState:
    """One session and its connections.

    outbound   None, "opening" or "open": our DEALER to the peer
    inbound    the peer's DEALER to us has said LINK
    surplus    one side gave up the link, which is about to end
    feed       None, "opening" or "open": our SUB to the peer
    """

    endpoint: Endpoint
    told: tuple[Endpoint, ...]
    instance: bytes
    store: bytes
    generation: int
    version: int
    dialled: bool
    since_s: float
    outbound: str | None = None
    inbound: bool = False
    linked: bool = False
    surplus: bool = False
    features: tuple[str, ...] = ()
    feed: str | None = None
    feed_attempt: int = 0
